/** Queries and prepared answers for the tests of the answer table. */
import dnsPacket from "dns-packet";
import type { PublishedAnswer, SharedClock } from "../../src/dns/answer.ts";
import {
  COUNTER_CELLS,
  FIRST_BLOCK,
  readTally,
  TALLY_CELLS,
  type TallyFigures,
} from "../../src/dns/cells.ts";
import { createResponder, respond, type Responder } from "../../src/dns/respond.ts";
import { createAnswerTable } from "../../src/dns/table-writer.ts";

type QueryOptions = {
  id?: number;
  rd?: boolean;
  cd?: boolean;
  ad?: boolean;
  /** Payload size of an OPT. */
  edns?: number;
  dnssecOk?: boolean;
  options?: dnsPacket.PacketOpt[];
};

/** A query as a stub resolver sends it. */
export function query(name: string, type = "A", options: QueryOptions = {}): Uint8Array {
  const { id = 0x1234, rd = true, cd = false, ad = false, edns, dnssecOk = false } = options;
  const flags = (rd ? 0x100 : 0) | (cd ? 0x10 : 0) | (ad ? 0x20 : 0);
  const opt = {
    type: "OPT" as const,
    name: "." as const,
    udpPayloadSize: edns ?? 0,
    flags: dnssecOk ? 0x8000 : 0,
    options: options.options ?? [],
  };
  const wire = new Uint8Array(
    dnsPacket.encode({
      type: "query",
      id,
      flags,
      questions: [{ name, type: type as "A" }],
      additionals: edns === undefined ? [] : [opt as never],
    }),
  );
  if (edns === undefined) return wire;
  // dns-packet writes 4096 for 0.
  const at = 12 + questionOf(wire).length + 3;
  wire.set([edns >> 8, edns & 255], at);
  return wire;
}

/** The question section of a query, in lower case. */
function questionOf(octets: Uint8Array): Uint8Array {
  let at = 12;
  while (octets[at] !== 0) at += octets[at]! + 1;
  const question = octets.slice(12, at + 5);
  for (let i = 0; i < question.length - 4; i++)
    if (question[i]! >= 0x41 && question[i]! <= 0x5a) question[i]! |= 0x20;
  return question;
}

/** An authoritative answer with A records; its owners are pointers to the question. */
export function answerWith(name: string, addresses: readonly string[], ttl = 0): PublishedAnswer {
  const question = questionOf(query(name));
  const wire = new Uint8Array(12 + question.length + 16 * addresses.length);
  wire.set([0, 0, 0x84, 0x80, 0, 1, addresses.length >> 8, addresses.length & 255]);
  wire.set(question, 12);
  addresses.forEach((address, i) => {
    const at = 12 + question.length + 16 * i;
    const record = [
      0xc0,
      12,
      0,
      1,
      0,
      1,
      ttl >>> 24,
      (ttl >> 16) & 255,
      (ttl >> 8) & 255,
      ttl & 255,
    ];
    wire.set([...record, 0, 4, ...address.split(".").map(Number)], at);
  });
  return {
    question,
    variants: [wire],
    minPayload: 0,
    maxPayload: 65535,
    withoutEdns: true,
    withEdns: true,
    shuffle: null,
    countdown: null,
    expiresAtMs: Infinity,
  };
}

/** Addresses 10.x.y.z for z, y, x counting from 0. */
export const addresses = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);

/** xorshift32: a source of numbers that every run draws alike. */
export function seeded(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** A table and one responder on it. */
export function createBench({ octets = 1 << 20, clock = (() => 0) as SharedClock } = {}) {
  const { table, memory } = createAnswerTable({ octets, clock, random: seeded(7) });
  const responder = createBenchResponder(memory);
  return {
    table,
    memory,
    responder,
    ask: (wire: Uint8Array, nowMs = 0) => ask(responder, wire, nowMs),
  };
}

export function createBenchResponder(memory: SharedArrayBuffer, seed = 1): Responder {
  return createResponder({
    memory,
    input: new ArrayBuffer(4096),
    output: new ArrayBuffer(80_000),
    counters: new Float64Array(COUNTER_CELLS),
    seed: Int32Array.of(seed, 2, 3, 4),
  });
}

/** What was counted under an origin by a thread with one block. */
export function tallyOf({ counters }: Pick<Responder, "counters">, origin = 0): TallyFigures {
  const at = FIRST_BLOCK + origin * TALLY_CELLS;
  return readTally(counters.subarray(at, at + TALLY_CELLS));
}

/** The reply to a query, or what `respond` returned instead: 0 ignored, -1 miss. */
export function ask(responder: Responder, wire: Uint8Array, nowMs = 0): Uint8Array | number {
  responder.input.fill(0xee);
  responder.input.set(wire, 0);
  const octets = respond(responder, 0, wire.length, 0, nowMs);
  return octets > 0 ? responder.output.slice(0, octets) : octets;
}

/** A reply as dns-packet reads it; fails on a miss. */
export function decode(reply: Uint8Array | number): dnsPacket.DecodedPacket {
  if (typeof reply === "number") throw new Error(`no reply: ${reply}`);
  return dnsPacket.decode(Buffer.from(reply));
}
