/** Rows on DNS over TCP: connections that ask nothing, and a client that comes after them. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { framed, query } from "../test/dns-client.ts";
import type { Server } from "./process.ts";
import { absolute, type Row } from "./rows.ts";
import { startDnsmasq, startUnbound, startWaypost } from "./servers.ts";

const CROWDS = [30, 1_000];
const NAME = "host.bench.example";
const NEW_CLIENTS = 10;
/** Connections opened at the same time: more would overflow a listener's backlog. */
const OPENING = 50;
/** How long a new client waits. */
const PATIENCE_MS = 3_000;

/** The slowest of NEW_CLIENTS that come one after the other. */
export async function connections(): Promise<Row[]> {
  const data = `local-data: "${NAME}. 60 A 192.0.2.7"`;
  const upstream = await startUnbound({ localData: [data] });
  const servers = [
    await startWaypost({ recursors: [`127.0.0.1:${upstream.port}`] }),
    await startDnsmasq({ hostRecords: [`${NAME},192.0.2.7`] }),
    await startUnbound({ localData: [data] }),
  ];
  const rows: Row[] = [];
  for (const size of CROWDS) {
    const figures: number[] = [];
    for (const server of servers) figures.push(await beside(server, size));
    const [ours, dnsmasq, unbound] = figures;
    const what = `${size} idle TCP connections, a new client`;
    rows.push(absolute(what, "ms", ours!, 100, { dnsmasq: dnsmasq!, unbound: unbound! }));
  }
  await Promise.all([...servers, upstream].map((server) => server.stop()));
  return rows;
}

async function beside(server: Server, size: number): Promise<number> {
  await askOverTcp(server);
  const idle: Socket[] = [];
  while (idle.length < size) {
    const opening = Array.from({ length: Math.min(OPENING, size - idle.length) }, () =>
      open(server),
    );
    idle.push(...(await Promise.all(opening)));
  }
  let worstMs = 0;
  for (let i = 0; i < NEW_CLIENTS && worstMs < Infinity; i++)
    worstMs = Math.max(worstMs, await askOverTcp(server));
  for (const socket of idle) socket.destroy();
  return worstMs;
}

/** A connection that is never used; one that is refused is as idle. */
async function open({ port }: Server): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await Promise.race([once(socket, "connect"), once(socket, "close"), pause(PATIENCE_MS)]);
  return socket;
}

/** Milliseconds from connecting to the answer; Infinity: none came. */
async function askOverTcp({ port }: Server): Promise<number> {
  const startMs = performance.now();
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(framed(query(1, NAME)));
  const late = new AbortController();
  const isAnswered = await Promise.race([
    once(socket, "data").then(() => true),
    once(socket, "close").then(() => false),
    pause(PATIENCE_MS, false, { signal: late.signal }),
  ]);
  const tookMs = performance.now() - startMs;
  late.abort();
  socket.destroy();
  return isAnswered ? tookMs : Infinity;
}
