/** Rows on what names cost in memory: a large blocklist, and a cache that is well filled. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { dnsLoad } from "./load.ts";
import { rssMegabytes, type Server } from "./process.ts";
import { askOnce } from "./questions.ts";
import { absolute, type Row } from "./rows.ts";
import { startDnsmasq, startUnbound, startWaypost } from "./servers.ts";

const BLOCKED = 1_000_000;
const CACHED = 100_000;
/** Names of one load: fewer than the sockets' queues hold up. */
const LOAD = 20_000;
/** The collector frees what a load leaves behind when it was idle for some seconds. */
const SETTLE_MS = 6_000;
const RCODE_NXDOMAIN = 3;

const blockedName = (n: number): string => `ads-${n}.tracker-${n % 997}.example`;

/** All rows of the group. */
export async function memory(): Promise<Row[]> {
  return [...(await blocklist()), await filledCache()];
}

/** The whole process, with the list in force. */
async function blocklist(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "waypost-bench-"));
  const write = (name: string, line: (n: number) => string): string => {
    const file = join(dir, name);
    writeFileSync(file, Array.from({ length: BLOCKED }, (_, n) => line(n)).join("\n") + "\n");
    return file;
  };
  try {
    const list = write("list", blockedName);
    const ours = await withList(await startWaypost({ forwarder: { blocklists: [list] } }));
    const lines = write("dnsmasq", (n) => `local=/${blockedName(n)}/`);
    const dnsmasq = await withList(await startDnsmasq({ extra: [`conf-file=${lines}`] }));
    const what = `process with a blocklist of ${BLOCKED} names`;
    return [absolute(what, "MB", ours, 200, { dnsmasq })];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function withList(server: Server): Promise<number> {
  const name = blockedName(BLOCKED - 1);
  for (let i = 0; (await askOnce(server.port, name)).rcode !== RCODE_NXDOMAIN; i++) {
    if (i === 300) throw new Error(`${server.name} does not block ${name}`);
    await pause(100);
  }
  await pause(SETTLE_MS);
  const megabytes = rssMegabytes(server.pid);
  await server.stop();
  return megabytes;
}

/** The whole process, after this many names have been asked for once. */
async function filledCache(): Promise<Row> {
  const upstream = await startUnbound({
    localData: [
      'local-zone: "bench.example." redirect',
      'local-data: "bench.example. 3600 A 192.0.2.7"',
    ],
  });
  const upstreamPort = upstream.port;
  const servers = [
    await startWaypost({
      recursors: [`127.0.0.1:${upstreamPort}`],
      forwarder: { packets_per_second: 0, cache_size: 128 << 20 },
    }),
    await startDnsmasq({ upstreamPort, cacheSize: CACHED }),
    await startUnbound({ upstreamPort }),
  ];
  const figures: number[] = [];
  for (const server of servers) {
    for (let from = 0; from < CACHED; from += LOAD) {
      const names = Array.from({ length: LOAD }, (_, n) => `c-${from + n}.bench.example`);
      await dnsLoad(server, { names, seconds: 20, once: true, outstanding: 100 });
    }
    await pause(SETTLE_MS);
    figures.push(rssMegabytes(server.pid));
    await server.stop();
  }
  await upstream.stop();
  const [ours, dnsmasq, unbound] = figures;
  const what = `process with ${CACHED} answers in its cache`;
  return absolute(what, "MB", ours!, 200, { dnsmasq: dnsmasq!, unbound: unbound! });
}
