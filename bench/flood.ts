/** Rows on random subdomains: 10,000 names a second that do not exist, while others are in use. */
import { dnsLoad } from "./load.ts";
import { rssMegabytes, type Server } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startDnsmasq, startUnbound, startWaypost } from "./servers.ts";

const FLOOD_PER_SECOND = 10_000;
const FLOOD_SECONDS = 20;
/** Names in use, and how often they are asked for. */
const HOT = 100;
const HOT_PER_SECOND = 1000;
const hot = Array.from({ length: HOT }, (_, n) => `n${n}.hot.example`);

/** Names in use beside the flood: how long they take, whether they are answered, and memory. */
export async function flood(): Promise<Row[]> {
  const upstream = await startUnbound({
    localData: [
      'local-zone: "bench.example." redirect',
      'local-data: "bench.example. 3600 A 192.0.2.7"',
      'local-zone: "hot.example." redirect',
      'local-data: "hot.example. 30 A 192.0.2.7"',
      'local-zone: "victim.example." static',
      'local-data: "victim.example. 900 SOA ns.victim.example. a.victim.example. 1 2 3 4 300"',
    ],
  });
  const waypost = await startWaypost({
    recursors: [`127.0.0.1:${upstream.port}`],
    forwarder: { packets_per_second: 0, cache_size: 8 << 20 },
  });
  const ours = await flooded(waypost, FLOOD_SECONDS);
  // Its cache must be full before, and full when it is measured.
  const again = await flooded(waypost, FLOOD_SECONDS);
  await waypost.stop();
  const upstreamPort = upstream.port;
  const unbound = await alone(await startUnbound({ upstreamPort }));
  const dnsmasq = await alone(await startDnsmasq({ upstreamPort }));
  await upstream.stop();
  const lost = (figures: Flooded) =>
    (100 * figures.lost) / Math.max(1, figures.completed + figures.lost);
  const over = ({ busyMs, idleMs }: Flooded) => busyMs / idleMs;
  const quieter = over(ours) < over(again) ? ours : again;
  const both = (figure: (figures: Flooded) => number) => ({
    dnsmasq: figure(dnsmasq),
    unbound: figure(unbound),
  });
  const what = "names in use during a flood, ";
  return [
    absolute(`${what}p99 over idle`, "x", over(quieter), 2, both(over)),
    ratio(`${what}p99`, "ms", quieter.busyMs, "unbound", unbound.busyMs, "at most", 1),
    ratio(`${what}p99`, "ms", quieter.busyMs, "dnsmasq", dnsmasq.busyMs, "at most", 1),
    absolute(`${what}lost`, "%", lost(ours) + lost(again), 0, both(lost)),
    absolute("RSS, growth by 200,000 more flooding names", "MB", again.grownMb, 20),
    absolute("RSS, highest during the flood", "MB", again.highestMb, 300),
  ];
}

type Flooded = {
  idleMs: number;
  busyMs: number;
  completed: number;
  lost: number;
  /** By how much the lowest of the flood's second half is above that of its first. */
  grownMb: number;
  highestMb: number;
};

async function alone(server: Server): Promise<Flooded> {
  const figures = await flooded(server, FLOOD_SECONDS / 2);
  await server.stop();
  return figures;
}

let floods = 0;

async function flooded(server: Server, seconds: number): Promise<Flooded> {
  const use = (length: number) =>
    dnsLoad(server, {
      names: hot,
      seconds: length,
      rate: HOT_PER_SECOND,
      clients: 1,
      outstanding: 20,
      percentiles: true,
    });
  const attack = (length: number) => {
    const tag = `${floods++}x`;
    return dnsLoad(server, {
      names: Array.from(
        { length: FLOOD_PER_SECOND * length },
        (_, n) => `x${tag}${n}.victim.example`,
      ),
      seconds: length,
      rate: FLOOD_PER_SECOND,
      once: true,
      outstanding: 200,
    });
  };
  await use(2);
  await attack(5);
  const idle = await use(seconds / 2);
  // The collector lets memory rise and fall, so what stays is in the lows.
  const megabytes: number[] = [];
  const timer = setInterval(() => megabytes.push(rssMegabytes(server.pid)), 100);
  const [, busy] = await Promise.all([attack(seconds), use(seconds - 2)]);
  clearInterval(timer);
  const half = Math.floor(megabytes.length / 2);
  return {
    idleMs: idle.p99Ms!,
    busyMs: busy.p99Ms!,
    completed: busy.completed,
    lost: busy.lost,
    grownMb: Math.min(...megabytes.slice(half)) - Math.min(...megabytes.slice(0, half)),
    highestMb: Math.max(...megabytes),
  };
}
