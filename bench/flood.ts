/** Rows on random subdomains: 10,000 names a second that do not exist, while others are in use. */
import { dnsLoad } from "./load.ts";
import { rssMegabytes, type Server } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startDnsmasq, startEcho, startUnbound, startWaypost } from "./servers.ts";

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
  const echo = await startEcho();
  const ours = await flooded(waypost, echo, FLOOD_SECONDS);
  // Its cache must be full before, and full when it is measured.
  const again = await flooded(waypost, echo, FLOOD_SECONDS);
  await waypost.stop();
  const upstreamPort = upstream.port;
  const unbound = await alone(await startUnbound({ upstreamPort }), echo);
  const dnsmasq = await alone(await startDnsmasq({ upstreamPort }), echo);
  await Promise.all([upstream.stop(), echo.stop()]);
  const lost = (figures: Flooded) =>
    (100 * figures.lost) / Math.max(1, figures.completed + figures.lost);
  const over = ({ busyMs, idleMs }: Latency) => busyMs / idleMs;
  const quieter = over(ours) < over(again) ? ours : again;
  const both = (figure: (figures: Flooded) => number) => ({
    dnsmasq: figure(dnsmasq),
    unbound: figure(unbound),
  });
  const what = "names in use during a flood, ";
  return [
    absolute(`${what}p99 over idle`, "x", over(quieter), 2, {
      ...both(over),
      "C echo beside it": over(quieter.control),
    }),
    ratio(
      `${what}p99`,
      "ms",
      quieter.busyMs,
      "C echo beside it",
      quieter.control.busyMs,
      "at most",
      2,
    ),
    ratio(`${what}p99`, "ms", quieter.busyMs, "unbound", unbound.busyMs, "at most", 1),
    ratio(`${what}p99`, "ms", quieter.busyMs, "dnsmasq", dnsmasq.busyMs, "at most", 1),
    absolute(`${what}lost`, "%", lost(ours) + lost(again), 0, both(lost)),
    absolute(
      "RSS, growth by 200,000 more flooding names",
      "MB",
      again.lowestMb - ours.lowestMb,
      20,
    ),
    absolute("RSS, highest during the flood", "MB", again.highestMb, 300),
  ];
}

/** 99th percentiles without and with the flood. */
type Latency = { idleMs: number; busyMs: number };

type Flooded = Latency & {
  completed: number;
  lost: number;
  /** What was asked at the same times of a server that nobody floods: what the machine makes of it. */
  control: Latency;
  /** During the flood. The collector lets memory rise and fall by tens of megabytes: what stays is the lowest. */
  lowestMb: number;
  highestMb: number;
};

async function alone(server: Server, echo: Server): Promise<Flooded> {
  const figures = await flooded(server, echo, FLOOD_SECONDS / 2);
  await server.stop();
  return figures;
}

let floods = 0;

async function flooded(server: Server, echo: Server, seconds: number): Promise<Flooded> {
  const use = (length: number) => {
    const load = {
      names: hot,
      seconds: length,
      rate: HOT_PER_SECOND,
      clients: 1,
      outstanding: 20,
      percentiles: true,
    };
    return Promise.all([dnsLoad(server, load), dnsLoad(echo, load)]);
  };
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
  const [idle, idleControl] = await use(seconds / 2);
  const megabytes: number[] = [];
  const timer = setInterval(() => megabytes.push(rssMegabytes(server.pid)), 100);
  const [, [busy, busyControl]] = await Promise.all([attack(seconds), use(seconds - 2)]);
  clearInterval(timer);
  return {
    idleMs: idle.p99Ms!,
    busyMs: busy.p99Ms!,
    completed: busy.completed,
    lost: busy.lost,
    control: { idleMs: idleControl.p99Ms!, busyMs: busyControl.p99Ms! },
    lowestMb: Math.min(...megabytes),
    highestMb: Math.max(...megabytes),
  };
}
