/** S1: ids and ports of questions to upstream servers cannot be guessed, on both kinds of sockets. */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import dnsPacket from "dns-packet";
import { startProgram } from "../program.ts";

const MISSES = 20_000;
const AT_ONCE = 64;
/** Beyond it lies one sample of a thousand of chi-square with 255 degrees of freedom. */
const CHI_SQUARE_255 = 330.52;
const MAX_CORRELATION = 0.02;

type Seen = { id: number; port: number };
type Upstream = { port: number; seen: Seen[]; reused: () => number };

/** Answers every question with NXDOMAIN, those that arrive together together. */
async function startUpstream(t: Test): Promise<Upstream> {
  const seen: Seen[] = [];
  const outstanding = new Set<number>();
  let reused = 0;
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  socket.on("message", (wire, { port, address }) => {
    if (outstanding.has(port)) reused++;
    outstanding.add(port);
    seen.push({ id: wire.readUInt16BE(0), port });
    setImmediate(() => {
      outstanding.delete(port);
      wire[2]! |= 0x80;
      wire[3] = 0x83;
      // Without the OPT that came with it.
      wire.writeUInt16BE(0, 10);
      socket.send(wire.subarray(0, wire.indexOf(0, 12) + 5), port, address);
    });
  });
  await new Promise<void>((bound) => socket.bind(0, "127.0.0.1", bound));
  t.teardown(() => socket.close());
  return { port: socket.address().port, seen, reused: () => reused };
}

/** Asks for names that nobody knows, so many at a time, each again after a second without answer. */
async function askMisses(t: Test, dnsPort: number, tag: string, count: number, atOnce: number) {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  t.teardown(() => socket.close());
  const waiting = new Map<number, () => void>();
  socket.on("message", (wire) => waiting.get(wire.readUInt16BE(0))?.());
  let next = 0;
  const askOne = (i: number): Promise<void> =>
    new Promise((done) => {
      const id = i & 0xffff;
      const name = `${tag}-${i}.entropy.test`;
      const questions = [{ type: "A" as const, name }];
      const wire = dnsPacket.encode({ type: "query", id, flags: 0x0100, questions });
      const send = () => socket.send(wire, dnsPort, "127.0.0.1");
      const again = setInterval(send, 1000);
      waiting.set(id, () => {
        clearInterval(again);
        waiting.delete(id);
        done();
      });
      send();
    });
  const worker = async (): Promise<void> => {
    while (next < count) await askOne(next++); // oxlint-disable-line no-await-in-loop -- one after the other
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

function chiSquare(octets: readonly number[]): number {
  const counts = Array.from({ length: 256 }, () => 0);
  for (const octet of octets) counts[octet]!++;
  const expected = octets.length / 256;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

function serialCorrelation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let covariance = 0;
  let variance = 0;
  for (const [i, value] of values.entries()) {
    variance += (value - mean) ** 2;
    if (i > 0) covariance += (value - mean) * (values[i - 1]! - mean);
  }
  return covariance / variance;
}

/** What speaks against the sample being random; empty if nothing does. */
function suspicions(seen: readonly Seen[], [low, high]: readonly [number, number]): string[] {
  const ids = seen.map(({ id }) => id);
  const ports = seen.map(({ port }) => port);
  const found: string[] = [];
  const highOctets = chiSquare(ids.map((id) => id >> 8));
  const lowOctets = chiSquare(ids.map((id) => id & 255));
  if (highOctets > CHI_SQUARE_255) found.push(`chi-square of high octets ${highOctets}`);
  if (lowOctets > CHI_SQUARE_255) found.push(`chi-square of low octets ${lowOctets}`);
  for (const [what, values] of [
    ["ids", ids],
    ["ports", ports],
  ] as const) {
    const r = serialCorrelation(values);
    if (Math.abs(r) >= MAX_CORRELATION) found.push(`serial correlation of ${what} ${r}`);
  }
  const range = high - low + 1;
  const expected = range * (1 - (1 - 1 / range) ** seen.length);
  const distinct = new Set(ports).size;
  if (distinct < 0.95 * expected)
    found.push(`${distinct} ports, ${Math.round(expected)} expected of ${range}`);
  const outside = ports.find((port) => port < low || port > high);
  if (outside !== undefined) found.push(`port ${outside} is outside ${low}-${high}`);
  return found;
}

function systemRange(): [number, number] {
  const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const [low, high] = text.trim().split(/\s+/).map(Number);
  return [low!, high!];
}

const scenes: [title: string, config: object, range: () => [number, number]][] = [
  ["batched system calls", { batched_system_calls: true }, systemRange],
  ["node:dgram", { batched_system_calls: false }, () => [1024, 65_535]],
];
for (const [title, config, range] of scenes)
  t.test(`S1: ids and ports: ${title}`, { timeout: 60_000 }, async (t) => {
    const upstream = await startUpstream(t);
    const program = await startProgram(t, {
      ...config,
      recursors: [`127.0.0.1:${upstream.port}`],
    });
    await askMisses(t, program.dnsPort, "one", 300, 1);
    const sequential = upstream.seen.splice(0);
    t.ok(sequential.length >= 300);
    t.ok(new Set(sequential.map(({ port }) => port)).size >= 290, "a port for each of 300");
    t.ok(new Set(sequential.map(({ id }) => id)).size >= 290, "an id for each of 300");

    // One sample of a few hundred random ones looks suspicious: two in a row do not.
    let found: string[] = [];
    for (const sample of ["a", "b"]) {
      upstream.seen.length = 0;
      await askMisses(t, program.dnsPort, sample, MISSES, AT_ONCE); // oxlint-disable-line no-await-in-loop -- the second only if needed
      t.ok(upstream.seen.length >= MISSES);
      found = suspicions(upstream.seen, range());
      if (found.length === 0) break;
    }
    t.same(found, []);
    t.equal(upstream.reused(), 0, "no port is used again while it is outstanding");
    t.notOk(
      upstream.seen.some(({ port }) => port === program.dnsPort || port === upstream.port),
      "never a port that is listened on",
    );
  });
