/** Rows on upstream servers that fail: what clients notice of it, how long, and when it is over. */
import { setTimeout as pause } from "node:timers/promises";
import { a, replyTo, startUpstream, type Says, type Upstream } from "../test/upstream.ts";
import type { Server } from "./process.ts";
import { askOnce, askSteadily, type Asked } from "./questions.ts";
import { absolute, type Row } from "./rows.ts";
import { startDnsmasq, startUnbound, startWaypost } from "./servers.ts";

const RCODE_NOERROR = 0;
const RCODE_SERVFAIL = 2;
const RCODE_REFUSED = 5;

/** While a server fails, names that nobody has asked for. */
const PER_SECOND = 200;
/** A question that takes longer was held up by the failure. */
const SLOW_MS = 400;
/** What timers and this machine add to a time that is promised. */
const SLACK_MS = 10;
const LOAD_SECONDS = 5;
const RECOVERY_PER_SECOND = 100;
/** How long a server is watched after the upstream is back. */
const WATCHED_MS = 6_000;
const REPEATS = 50;

const answering: Says = (got) => [
  replyTo(got, { answers: got.type === "A" ? [a(got.name, "192.0.2.7", 1)] : [] }),
];
const refusing: Says = (got) => [replyTo(got, { rcode: RCODE_REFUSED })];
const silent: Says = () => [];

/** Closed when the bench ends. */
const untilTheEnd = { teardown: () => undefined };

/** All rows but the long outage. */
export async function outages(): Promise<Row[]> {
  return [
    ...(await oneOfTwo("falls silent", (first) => first.says(silent))),
    ...(await oneOfTwo("refuses", (first) => first.says(refusing))),
    ...(await oneOfTwo("closes its port", (first) => first.hangUp())),
    ...(await allDead()),
    ...(await staleAnswers()),
    ...(await recovery(10)),
  ];
}

/** The same recovery after an outage that is longer than servers' memories of it. */
export function longOutage(): Promise<Row[]> {
  return recovery(70);
}

/** waypost first; each asks these upstreams in this order. */
async function startAll(ports: readonly number[], waypost = {}): Promise<Server[]> {
  return Promise.all([
    startWaypost({ recursors: ports.map((port) => `127.0.0.1:${port}`), ...waypost }),
    startDnsmasq({ upstreamPorts: ports, extra: ["strict-order", "use-stale-cache"] }),
    startUnbound({
      upstreamPorts: ports,
      extra: ["serve-expired: yes", "serve-expired-client-timeout: 400"],
    }),
  ]);
}

async function stopAll(servers: readonly Server[], upstreams: readonly Upstream[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
  await Promise.all(upstreams.map((upstream) => upstream.hangUp()));
}

/** A row of the first figure with the others beside it. */
function beside(
  servers: readonly Server[],
  figures: readonly number[],
  [what, unit, bar]: [string, string, number],
): Row {
  const peers = servers.slice(1).map(({ name }, i) => [name, figures[i + 1]!]);
  return absolute(what, unit, figures[0]!, bar, Object.fromEntries(peers));
}

async function oneOfTwo(
  what: string,
  fail: (first: Upstream) => void | Promise<void>,
): Promise<Row[]> {
  const first = await startUpstream(untilTheEnd, answering);
  const second = await startUpstream(untilTheEnd, answering);
  const servers = await startAll([first.port, second.port]);
  const loads = await Promise.all(
    servers.map(({ port }) => askSteadily(port, PER_SECOND, (n) => `n${n}.bench.example`)),
  );
  await pause((LOAD_SECONDS * 1000) / 3);
  await fail(first);
  await pause((LOAD_SECONDS * 2000) / 3);
  const asked = await Promise.all(loads.map((load) => load.stop()));
  await stopAll(servers, [first, second]);
  const held = (list: Asked[]) =>
    list.filter(({ tookMs, rcode }) => tookMs > SLOW_MS || rcode !== RCODE_NOERROR).length;
  return [
    beside(servers, asked.map(held), [
      `first of two servers ${what}: slow or failed, of ${PER_SECOND}/s`,
      "",
      1,
    ]),
  ];
}

async function allDead(): Promise<Row[]> {
  const upstreams = [
    await startUpstream(untilTheEnd, answering),
    await startUpstream(untilTheEnd, answering),
  ];
  const servers = await startAll(upstreams.map(({ port }) => port));
  for (const { port } of servers) await askOnce(port, "before.bench.example");
  for (const upstream of upstreams) upstream.says(silent);
  const found = await Promise.all(
    servers.map(async ({ port }) => {
      const first = await askOnce(port, "first.bench.example");
      const later: number[] = [];
      // Who did not answer at all is not asked twenty times more.
      for (let i = 0; i < 20 && first.rcode >= 0; i++)
        later.push((await askOnce(port, `later${i}.bench.example`)).tookMs);
      return { first, worstMs: Math.max(...later, first.rcode < 0 ? Infinity : 0) };
    }),
  );
  await stopAll(servers, upstreams);
  if (found[0]!.first.rcode !== RCODE_SERVFAIL) throw new Error("no SERVFAIL from dead servers");
  const what = "all servers silent, ";
  return [
    beside(
      servers,
      found.map(({ first }) => first.tookMs),
      [`${what}first SERVFAIL`, "ms", 3_000 + SLACK_MS],
    ),
    beside(
      servers,
      found.map(({ worstMs }) => worstMs),
      [`${what}slowest of 20 later`, "ms", 100],
    ),
  ];
}

async function staleAnswers(): Promise<Row[]> {
  const upstream = await startUpstream(untilTheEnd, answering);
  const servers = await startAll([upstream.port]);
  for (const { port } of servers) await askOnce(port, "stale.bench.example");
  await pause(1_500); // its TTL is a second
  upstream.says(silent);
  const found = await Promise.all(
    servers.map(async ({ port }) => {
      const first = await askOnce(port, "stale.bench.example");
      const later: number[] = [];
      for (let i = 0; i < REPEATS; i++) {
        const { tookMs, rcode } = await askOnce(port, "stale.bench.example");
        later.push(rcode === RCODE_NOERROR ? tookMs : Infinity);
        if (rcode < 0) break;
      }
      later.sort((x, y) => x - y);
      return {
        firstMs: first.rcode === RCODE_NOERROR ? first.tookMs : Infinity,
        laterMs: later[Math.floor(later.length / 2)]!,
      };
    }),
  );
  await stopAll(servers, [upstream]);
  return [
    beside(
      servers,
      found.map(({ firstMs }) => firstMs),
      ["stale answer, the first", "ms", 400 + SLACK_MS],
    ),
    beside(
      servers,
      found.map(({ laterMs }) => laterMs),
      [`stale answer, median of ${REPEATS} more`, "ms", 2],
    ),
  ];
}

/** The only server is silent for so long, while names that nobody has asked for are wanted. */
async function recovery(seconds: number): Promise<Row[]> {
  const upstream = await startUpstream(untilTheEnd, answering);
  const servers = await startAll([upstream.port]);
  const name = (n: number) => `n${n}.bench.example`;
  const loads = await Promise.all(
    servers.map(({ port }) => askSteadily(port, RECOVERY_PER_SECOND, name)),
  );
  await pause(500);
  upstream.says(silent);
  await pause(seconds * 1000);
  upstream.says(answering);
  const backMs = performance.now();
  await pause(WATCHED_MS);
  const asked = await Promise.all(loads.map((load) => load.stop()));
  await stopAll(servers, [upstream]);
  const figures = asked.map((list) => {
    const failed = list.filter(({ sentMs, rcode }) => sentMs > backMs && rcode !== RCODE_NOERROR);
    return failed.length === 0 ? 0 : (failed.at(-1)!.sentMs - backMs) / 1000;
  });
  return [beside(servers, figures, [`back after ${seconds} s, last failure`, "s", 1])];
}
