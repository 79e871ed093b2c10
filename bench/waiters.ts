/** Rows on 10,000 blocking queries at once: memory, time until all are answered, DNS while they are. */
import { openConnection, type Answer, type Connection } from "./http-connection.ts";
import { dnsLoad } from "./load.ts";
import { rssMegabytes } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startWaypost, type Waypost } from "./servers.ts";

const WAITERS = 10_000;
/** Connections opened at the same time: more would overflow the listener's backlog. */
const OPENING = 100;
const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5);
const PROBES_PER_SECOND = 500;
const ROUNDS = 5;
const path = "/v1/health/service/crowd";

/** All rows of the group. */
export async function waiters(): Promise<Row[]> {
  const waypost = await startWaypost({ limits: { http_max_conns_per_client: 2 * WAITERS } });
  await change(waypost);
  await warm(waypost);
  const emptyMb = rssMegabytes(waypost.pid);
  const crowd = await openCrowd(waypost, WAITERS);
  let held = await block(waypost, crowd);
  const kilobytesEach = ((rssMegabytes(waypost.pid) - emptyMb) * 1024) / WAITERS;
  const seconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedMs = performance.now();
    await change(waypost);
    await held.answers;
    seconds.push((performance.now() - startedMs) / 1000);
    held = await block(waypost, crowd);
  }
  const dns = await dnsBesideWakes(waypost, crowd, held);
  for (const connection of crowd) connection.close();
  await waypost.stop();
  const what = `${WAITERS} blocked queries`;
  return [
    absolute(`${what}, memory of each`, "KB", kilobytesEach, 8),
    absolute(`${what}, change to last answer`, "s", median(seconds), 2),
    ratio(
      "DNS p99 while they wake",
      "ms",
      dns.waking,
      "while they wait",
      dns.waiting,
      "at most",
      2,
    ),
  ];
}

/** A smaller crowd goes first, so that memory is not measured while the program compiles itself. */
async function warm(waypost: Waypost): Promise<void> {
  const crowd = await openCrowd(waypost, WAITERS / 10);
  for (let round = 0; round < ROUNDS; round++) {
    const { answers } = await block(waypost, crowd);
    await change(waypost);
    await answers;
  }
  for (const connection of crowd) connection.close();
  await pause(2_000);
}

async function openCrowd(waypost: Waypost, size: number): Promise<Connection[]> {
  const crowd: Connection[] = [];
  while (crowd.length < size) {
    const opening = Array.from({ length: OPENING }, async () => {
      const connection = await openConnection(waypost.httpPort);
      await connection.ask("GET", path); // one that asks nothing is closed after some seconds
      return connection;
    });
    crowd.push(...(await Promise.all(opening)));
  }
  return crowd;
}

/** Resolves when all of them wait; `answers` when all are answered. */
async function block(
  waypost: Waypost,
  crowd: readonly Connection[],
): Promise<{ answers: Promise<Answer[]> }> {
  const { index } = await crowd[0]!.ask("GET", path);
  const query = `${path}?index=${index}&wait=10m`;
  const answers = Promise.all(crowd.map((connection) => connection.ask("GET", query)));
  while ((await waitingNow(waypost)) < crowd.length) await pause(50);
  return { answers };
}

async function waitingNow({ httpPort }: Waypost): Promise<number> {
  const reply = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  return Number(/^waypost_http_blocked_queries (\d+)$/m.exec(await reply.text())?.[1] ?? 0);
}

let port = 1000;

/** Registers the watched service with another port. */
async function change({ httpPort }: Waypost): Promise<void> {
  const Service = { Service: "crowd", Port: ++port };
  const body = JSON.stringify({ Node: "n", Address: "10.0.0.1", Service });
  const url = `http://127.0.0.1:${httpPort}/v1/catalog/register`;
  const reply = await fetch(url, { method: "PUT", body });
  if ((await reply.text()) !== "true") throw new Error(`registration: ${reply.status}`);
}

/** p99 of a name that is asked all the time: first while everybody waits, then while they wake again and again. */
async function dnsBesideWakes(
  waypost: Waypost,
  crowd: readonly Connection[],
  first: { answers: Promise<Answer[]> },
): Promise<{ waiting: number; waking: number }> {
  const probe = { names: ["consul.service.consul"], outstanding: 1, clients: 1 };
  const p99 = async () =>
    (
      await dnsLoad(waypost, {
        ...probe,
        seconds: SECONDS,
        rate: PROBES_PER_SECOND,
        percentiles: true,
      })
    ).p99Ms!;
  const waiting = await p99();
  let isOver = false;
  const probing = p99().finally(() => (isOver = true));
  let held = first;
  for (;;) {
    await change(waypost);
    await held.answers;
    if (isOver) break;
    held = await block(waypost, crowd);
  }
  return { waiting, waking: await probing };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!;
