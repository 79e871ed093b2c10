/** Rows on random subdomains: 10,000 names a second that do not exist, while others are in use. */
import { dnsLoad } from "./load.ts";
import { rssMegabytes } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startUnbound, startWaypost } from "./servers.ts";

const FLOOD_PER_SECOND = 10_000;
const FLOOD_SECONDS = 20;
/** Names in use, and how often they are asked for. */
const HOT = 100;
const HOT_PER_SECOND = 1000;

/** Names in use beside the flood: how long they take, whether they are answered, and memory. */
export async function flood(): Promise<Row[]> {
  const upstream = await startUnbound({
    localData: [
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
  const hot = Array.from({ length: HOT }, (_, n) => `n${n}.hot.example`);
  const use = (seconds: number) =>
    dnsLoad(waypost, {
      names: hot,
      seconds,
      rate: HOT_PER_SECOND,
      clients: 1,
      outstanding: 20,
      percentiles: true,
    });
  const attack = (tag: string, seconds: number) =>
    dnsLoad(waypost, {
      names: Array.from(
        { length: FLOOD_PER_SECOND * seconds },
        (_, n) => `x${tag}${n}.victim.example`,
      ),
      seconds,
      rate: FLOOD_PER_SECOND,
      once: true,
      outstanding: 200,
    });
  await use(2);
  await attack("w", 5);
  const idle = await use(FLOOD_SECONDS / 2);
  const before = rssMegabytes(waypost.pid);
  const [, busy] = await Promise.all([attack("f", FLOOD_SECONDS), use(FLOOD_SECONDS - 2)]);
  const after = rssMegabytes(waypost.pid);
  await Promise.all([waypost.stop(), upstream.stop()]);
  const lostShare = busy.lost / Math.max(1, busy.completed + busy.lost);
  return [
    ratio("names in use during a flood, p99", "ms", busy.p99Ms!, "idle", idle.p99Ms!, "at most", 2),
    absolute("names in use during a flood, lost", "%", lostShare * 100, 0),
    absolute("RSS growth by 200,000 flooding names", "MB", after - before, 20),
  ];
}
