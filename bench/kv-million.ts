/**
 * One million keys with values of 100 octets: memory, lists, pauses while a snapshot is taken, restore.
 * Pauses are what a client sees that asks without a break on a connection of its own.
 */
import { openConnection, type Connection } from "./http-connection.ts";
import { rssMegabytes } from "./process.ts";
import { absolute, type Row } from "./rows.ts";
import { startWaypost, type Waypost } from "./servers.ts";

const KEYS = 1_000_000;
const PER_DIRECTORY = 100;
const PER_TRANSACTION = 64;
const CONNECTIONS = 4;
const LISTS = 2_000;
/** Time for the collector to give memory back after the load. */
const SETTLE_MS = 10_000;
const IDLE_MS = 5_000;

/** All rows of the group. */
export async function kvMillion(): Promise<Row[]> {
  const waypost = await startWaypost();
  const { peakMegabytes, seconds } = await load(waypost);
  console.log(`loaded in ${seconds.toFixed(1)} s`);
  const settledMegabytes = await settle(waypost);
  const rows = [
    absolute(
      "1,000,000 keys: RSS at its highest while they are written",
      "MB",
      peakMegabytes,
      1200,
    ),
    absolute("1,000,000 keys: RSS 10 s later", "MB", settledMegabytes, 1200),
    ...(await lists(waypost)),
    ...(await snapshotAndRestore(waypost)),
  ];
  await waypost.stop();
  const startMs = performance.now();
  const again = await startWaypost({}, waypost.dataDir);
  const restartSeconds = (performance.now() - startMs) / 1000;
  rows.push(absolute("1,000,000 keys: start from the disk", "s", restartSeconds, 10));
  await again.stop();
  return rows;
}

async function load({
  httpPort,
  pid,
}: Waypost): Promise<{ peakMegabytes: number; seconds: number }> {
  const startMs = performance.now();
  let peakMegabytes = 0;
  let next = 0;
  async function write(): Promise<void> {
    const connection = await openConnection(httpPort);
    while (next < KEYS) {
      const first = next;
      next = Math.min(KEYS, next + PER_TRANSACTION);
      const operations = Array.from({ length: next - first }, (_, i) => setOf(shuffled(first + i)));
      const { status } = await connection.ask("PUT", "/v1/txn", JSON.stringify(operations));
      if (status !== 200) throw new Error(`transaction answered ${status}`);
      if (first % (PER_TRANSACTION * 64) === 0)
        peakMegabytes = Math.max(peakMegabytes, rssMegabytes(pid));
    }
    connection.close();
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, write));
  return { peakMegabytes, seconds: (performance.now() - startMs) / 1000 };
}

/** Each number once, in an order that puts nothing at the end. */
const shuffled = (i: number): number => (i * 7_919) % KEYS;

function setOf(n: number): unknown {
  const key = `${directory(Math.floor(n / PER_DIRECTORY))}key-${n}`;
  const value = btoa(String(n).padEnd(PER_DIRECTORY, "v"));
  return { KV: { Verb: "set", Key: key, Value: value } };
}

const directory = (n: number): string => `app/${n}/`;

async function settle({ pid }: Waypost): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return rssMegabytes(pid);
}

async function lists({ httpPort }: Waypost): Promise<Row[]> {
  const connection = await openConnection(httpPort);
  const times: number[] = [];
  for (let i = 0; i < LISTS; i++) {
    const startMs = performance.now();
    const n = shuffled(i) % (KEYS / PER_DIRECTORY);
    const { status } = await connection.ask("GET", `/v1/kv/${directory(n)}?recurse`);
    if (status !== 200) throw new Error(`list answered ${status}`);
    times.push(performance.now() - startMs);
  }
  connection.close();
  times.sort((a, b) => a - b);
  return [absolute("1,000,000 keys: list of 100, median", "ms", times[LISTS / 2]!, 1)];
}

async function snapshotAndRestore({ httpPort }: Waypost): Promise<Row[]> {
  const url = `http://127.0.0.1:${httpPort}/v1/snapshot`;
  const idle = await startProbe(httpPort);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  // On a machine that has other work, this is what a row can be at best.
  console.log(`longest pause without a snapshot: ${(await idle.stop()).toFixed(1)} ms`);
  const probe = await startProbe(httpPort);
  const image = await (await fetch(url)).arrayBuffer();
  const pauseMs = await probe.stop();
  const startMs = performance.now();
  const restored = await fetch(url, { method: "PUT", body: image });
  if (restored.status !== 200) throw new Error(await restored.text());
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`snapshot of ${(image.byteLength / 1e6).toFixed(1)} MB`);
  return [
    absolute("1,000,000 keys: longest pause while a snapshot is taken", "ms", pauseMs, 20),
    absolute("1,000,000 keys: restore", "s", seconds, 10),
  ];
}

/** Asks again and again; `stop` gives the longest time in milliseconds that an answer took. */
async function startProbe(port: number): Promise<{ stop(): Promise<number> }> {
  const connection: Connection = await openConnection(port);
  let stopped = false;
  let longestMs = 0;
  const run = (async () => {
    while (!stopped) {
      const startMs = performance.now();
      await connection.ask("GET", "/v1/status/leader");
      longestMs = Math.max(longestMs, performance.now() - startMs);
    }
    connection.close();
  })();
  return {
    async stop() {
      stopped = true;
      await run;
      return longestMs;
    },
  };
}
