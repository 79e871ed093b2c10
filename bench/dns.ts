/** Rows on DNS: catalog hits, forwarded hits and misses, fresh computation, latency. */
import { fill, address, serviceName } from "./catalog.ts";
import { dnsLoad, type DnsResult } from "./load.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startDnsmasq, startEcho, startUnbound, startWaypost, type Waypost } from "./servers.ts";
import { cpuSeconds, rssMegabytes, type Server } from "./process.ts";

const NAMES = 1_000;
const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5);
const MISSES = 9_000; // below dnsmasq's largest cache, so that it stays "not full"
const ROUNDS = 3;
const MISS_ROUNDS = 7;
const PROBES_PER_SECOND = 500;

/** The peers do not spare their servers either. */
const unlimited = { forwarder: { packets_per_second: 0 } };

const catalogNames = Array.from({ length: NAMES }, (_, n) => `${serviceName(n)}.service.consul`);

/** Median cost over rounds in which the servers take turns, so that noise hits all alike. */
async function inTurns(
  servers: readonly Server[],
  measure: (server: Server, round: number) => Promise<DnsResult>,
): Promise<number[]> {
  const costs: number[][] = servers.map(() => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, server] of servers.entries()) {
      const result = await measure(server, round);
      if (result.completed === 0) throw new Error(`${server.name} answered nothing`);
      costs[i]!.push(result.cpuMicrosPerQuery);
    }
  return costs.map((list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!);
}

/** Catalog hits against unbound's local-data, dnsmasq's host-record and the C echo floor. */
export async function catalogHits(): Promise<Row[]> {
  const waypost = await startWaypost();
  await fill(waypost, NAMES, NAMES);
  const local = catalogNames.flatMap((name, n) => [`local-data: "${name}. 0 A ${address(n)}"`]);
  const unbound = await startUnbound({ localData: ['local-zone: "consul." static', ...local] });
  const dnsmasq = await startDnsmasq({
    hostRecords: catalogNames.map((name, n) => `${name},${address(n)}`),
  });
  const echo = await startEcho();
  const servers = [waypost, unbound, dnsmasq, echo];
  const hit = (server: Server) => dnsLoad(server, { names: catalogNames, seconds: SECONDS });
  await hit(waypost);
  const [ours, byUnbound, byDnsmasq, floor] = await inTurns(servers, hit);
  const latency = await latencyAtHalfPeak([waypost, unbound]);
  await Promise.all(servers.map((server) => server.stop()));
  return [
    ratio("catalog hit, UDP", "us CPU", ours!, "unbound", byUnbound!, "at most", 0.95),
    ratio("catalog hit, UDP", "us CPU", ours!, "dnsmasq", byDnsmasq!, "at most", 0.85),
    ratio("catalog hit, UDP", "us CPU", ours!, "C echo", floor!, "at most", 1.35),
    ratio("p99 at 50 % of own peak", "ms", latency[0]!, "unbound", latency[1]!, "at most", 1),
  ];
}

/**
 * The load runs at half the peak in one dnsperf; a second one asks PROBES_PER_SECOND and notes how long
 * each answer took, so that the generator of the load does not measure its own queue.
 */
async function latencyAtHalfPeak(servers: readonly Server[]): Promise<number[]> {
  const runs: number[][] = servers.map(() => []);
  const rates: number[] = [];
  for (const server of servers)
    rates.push((await dnsLoad(server, { names: catalogNames, seconds: SECONDS })).perSecond / 2);
  const probe = { names: catalogNames, seconds: SECONDS, outstanding: 1, clients: 1 };
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, server] of servers.entries()) {
      const load = dnsLoad(server, { names: catalogNames, seconds: SECONDS, rate: rates[i]! });
      const probed = dnsLoad(server, { ...probe, rate: PROBES_PER_SECOND, percentiles: true });
      runs[i]!.push((await probed).p99Ms!);
      await load;
    }
  return runs.map((list) => list.sort((x, y) => x - y)[Math.floor(ROUNDS / 2)]!);
}

/** Forwarded names: cache hits, then names never asked before. */
export async function forwarded(): Promise<Row[]> {
  const upstream = await startUnbound({
    localData: [
      'local-zone: "bench.example." redirect',
      'local-data: "bench.example. 3600 A 192.0.2.7"',
    ],
  });
  const recursors = { recursors: [`127.0.0.1:${upstream.port}`], ...unlimited };
  const hitNames = Array.from({ length: NAMES }, (_, n) => `hit-${n}.bench.example`);
  const servers: Server[] = [
    await startWaypost(recursors),
    await startDnsmasq({ upstreamPort: upstream.port }),
    await startUnbound({ upstreamPort: upstream.port }),
  ];
  for (const server of servers)
    await dnsLoad(server, { names: hitNames, seconds: 5, once: true, outstanding: 50 });
  const hits = await inTurns(servers, (server) =>
    dnsLoad(server, { names: hitNames, seconds: SECONDS }),
  );
  await Promise.all(servers.map((server) => server.stop()));
  const [ours, byDnsmasq, byUnbound] = await uniqueNames(upstream);
  const full = await fullCache(upstream);
  await upstream.stop();
  return [
    ratio("forwarded cache hit", "us CPU", hits[0]!, "dnsmasq", hits[1]!, "at most", 0.8),
    ratio("forwarded cache hit", "us CPU", hits[0]!, "unbound", hits[2]!, "at most", 1),
    ratio("unique forwarded names", "us CPU", ours!, "dnsmasq", byDnsmasq!, "at most", 1.2),
    ratio("unique forwarded names", "us CPU", ours!, "unbound", byUnbound!, "at most", 1),
    full,
  ];
}

/** Names never asked before: waypost, dnsmasq with a cache that is never full, unbound. */
async function uniqueNames(upstream: Server): Promise<number[]> {
  const waypost = await startWaypost({
    recursors: [`127.0.0.1:${upstream.port}`],
    ...unlimited,
  });
  const unbound = await startUnbound({ upstreamPort: upstream.port });
  const load = (server: Server, tag: string, count: number) => {
    const names = Array.from({ length: count }, (_, n) => `${tag}-${n}.bench.example`);
    return dnsLoad(server, { names, seconds: 20, once: true, outstanding: 100 });
  };
  // So that nothing is measured while it still compiles; on a busy machine that takes a while.
  for (let run = 0; run < 3; run++) await load(waypost, `w${run}`, 30_000);
  await settle(waypost);
  const costs: number[][] = [[], [], []];
  for (let round = 0; round < MISS_ROUNDS; round++) {
    const dnsmasq = await startDnsmasq({ upstreamPort: upstream.port });
    for (const [i, server] of [waypost, dnsmasq, unbound].entries())
      costs[i]!.push((await load(server, `m${round}`, MISSES)).cpuMicrosPerQuery);
    await dnsmasq.stop();
  }
  await Promise.all([waypost.stop(), unbound.stop()]);
  return costs.map((list) => list.sort((x, y) => x - y)[Math.floor(MISS_ROUNDS / 2)]!);
}

async function fullCache(upstream: Server): Promise<Row> {
  const recursors = [`127.0.0.1:${upstream.port}`];
  const unique = (tag: string, count: number) =>
    Array.from({ length: count }, (_, n) => `${tag}-${n}.bench.example`);
  const cost = async (server: Waypost, tag: string) => {
    const load = { names: unique(tag, 40_000), seconds: 20, once: true, outstanding: 100 };
    return (await dnsLoad(server, load)).cpuMicrosPerQuery;
  };
  const roomy = await startWaypost({ recursors, ...unlimited });
  const tight = await startWaypost({
    recursors,
    forwarder: { packets_per_second: 0, cache_size: 1 << 20 },
  });
  await cost(roomy, "w");
  await cost(tight, "w"); // 40,000 answers do not fit into 1 MiB: from here on it is full
  const empties: number[] = [];
  const fulls: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    empties.push(await cost(roomy, `r${round}`));
    fulls.push(await cost(tight, `r${round}`));
  }
  await Promise.all([roomy.stop(), tight.stop()]);
  const median = (list: number[]) => list.sort((a, b) => a - b)[1]!;
  const what = "unique forwarded names, full cache";
  return ratio(what, "us CPU", median(fulls), "not full", median(empties), "at most", 1.3);
}

/** Rows that need 200,000 instances: hit cost, memory, restart. */
export async function large(): Promise<Row[]> {
  const small = await startWaypost();
  await fill(small, NAMES, NAMES);
  const big = await startWaypost();
  const idle = rssAfterIdle(await startWaypost());
  await fill(big, 200_000, 40_000);
  const rows = [absolute("RSS idle", "MB", await idle, 90)];
  const hit = (server: Server) => dnsLoad(server, { names: catalogNames, seconds: SECONDS });
  await hit(small);
  await hit(big);
  const [few, many] = await inTurns([small, big], hit);
  const what = "catalog hit, 200,000 instances";
  rows.push(ratio(what, "us CPU", many!, "1,000 instances", few!, "at most", 1.15));
  rows.push(absolute("RSS with 200,000 instances", "MB", rss(big), 700));
  rows.push(await growth(small));
  await small.stop();
  await big.stop();
  const before = performance.now();
  const again = await startWaypost({}, big.dataDir);
  const seconds = (performance.now() - before) / 1000;
  rows.push(absolute("start to first answer, 200,000 instances", "s", seconds, 3));
  await again.stop();
  return rows;
}

/** Names of services with one instance, asked once each, after the first 30,000 have let the program compile itself. */
export async function computedAfresh(): Promise<Row[]> {
  const loads = [15_000, 15_000, 10_000, 10_000, 10_000];
  const count = loads.reduce((sum, names) => sum + names);
  const waypost = await startWaypost();
  await fill(waypost, count, count);
  await settle(waypost);
  let next = 0;
  const costs: number[] = [];
  for (const load of loads) {
    const names = Array.from({ length: load }, () => `${serviceName(next++)}.service.consul`);
    const result = await dnsLoad(waypost, { names, seconds: 20, once: true, outstanding: 100 });
    costs.push(result.cpuMicrosPerQuery);
  }
  await waypost.stop();
  const [, median] = costs.slice(-ROUNDS).sort((a, b) => a - b);
  return [absolute("catalog name computed afresh", "us CPU", median!, 20)];
}

/** Waits until a server has finished what a load left behind (snapshot, compaction), a minute at most. */
async function settle(server: Server): Promise<void> {
  for (let quietSeconds = 0, seconds = 0; quietSeconds < 3 && seconds < 60; seconds++) {
    const before = cpuSeconds(server.pid);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    quietSeconds = cpuSeconds(server.pid) - before < 0.05 ? quietSeconds + 1 : 0;
  }
}

async function rssAfterIdle(server: Waypost): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const megabytes = rss(server);
  await server.stop();
  return megabytes;
}

async function growth(server: Waypost): Promise<Row> {
  const before = rss(server);
  let hits = 0;
  while (hits < 10_000_000)
    hits += (await dnsLoad(server, { names: catalogNames, seconds: 20 })).completed;
  return absolute("RSS growth after 10,000,000 hits", "MB", rss(server) - before, 10);
}

const rss = (server: Server): number => rssMegabytes(server.pid);
