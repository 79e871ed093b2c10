/**
 * Runs a worker's code per query, for hot-path.test.ts, under JSC's log of garbage collections: each kind
 * of query is warmed up, announced on standard error, and asked so often that two words allocated for each
 * would make a collection due.
 */
import { readSourceText } from "../../src/address.ts";
import { COUNTER_CELLS, FIRST_BLOCK } from "../../src/dns/cells.ts";
import { openGate } from "../../src/dns/gate.ts";
import { createGateOwner } from "../../src/dns/gate-writer.ts";
import { createMissMemory, openMissRing, takeMiss } from "../../src/dns/misses.ts";
import { createResponder } from "../../src/dns/respond.ts";
import { createAnswerTable } from "../../src/dns/table-writer.ts";
import {
  BATCH_DATAGRAMS,
  type DatagramBatch,
  INPUT_SLOT_OCTETS,
  OUTPUT_OCTETS,
  serveBatch,
} from "../../src/dns/worker.ts";

const [queries = ""] = process.argv.slice(2);
/** 16 octets for each are twice the 8 MiB after which a collection comes. */
const ROUNDS = Math.ceil((2 * (8 << 20)) / 16 / BATCH_DATAGRAMS);

type Load = {
  name: string;
  source: string;
  /** Base64. */
  wire: string;
  /** Published under the question, base64; absent: a miss. */
  answer?: string;
  ratePerSecond?: number;
  othersAnswered?: boolean;
};

for (const load of JSON.parse(queries) as Load[]) {
  const wire = Buffer.from(load.wire, "base64");
  let nowMs = 1000;
  const { table, memory } = createAnswerTable({
    octets: 4 << 20,
    clock: () => nowMs,
    random: () => 12345,
  });
  if (load.answer !== undefined) {
    const answer = new Uint8Array(Buffer.from(load.answer, "base64"));
    let end = 12;
    while (answer[end] !== 0) end += answer[end]! + 1;
    table.publish({
      question: answer.slice(12, end + 5),
      variants: [answer],
      minPayload: 0,
      maxPayload: 65535,
      withoutEdns: true,
      withEdns: true,
      shuffle: null,
      countdown: null,
      expiresAtMs: Infinity,
    });
  }
  const owner = createGateOwner(() => 0, 1);
  owner.write({
    allow: [],
    deny: [],
    local: [],
    othersAnswered: load.othersAnswered ?? true,
    exempt: [],
    views: [],
    ratePerSecond: load.ratePerSecond ?? 0,
    slip: 2,
    payloadOctets: 1232,
    cookies: true,
    secrets: [new Uint8Array(16).fill(7)],
  });
  const responder = createResponder({
    memory,
    input: new ArrayBuffer(BATCH_DATAGRAMS * INPUT_SLOT_OCTETS),
    output: new ArrayBuffer(OUTPUT_OCTETS),
    counters: new Float64Array(COUNTER_CELLS),
    seed: Int32Array.of(1, 2, 3, 4),
  });
  for (let i = 0; i < BATCH_DATAGRAMS; i++) responder.input.set(wire, i * INPUT_SLOT_OCTETS);
  const misses = openMissRing(createMissMemory());
  const source = new Int32Array(4);
  readSourceText(load.source, source);
  const isLoopback = load.source.startsWith("127.");
  let sent = 0;
  const batch: DatagramBatch = {
    receive: () => BATCH_DATAGRAMS,
    length: () => wire.length,
    isLoopback: () => isLoopback,
    blockOf: () => FIRST_BLOCK,
    readSource(_, to) {
      for (let i = 0; i < 4; i++) to[i] = source[i]!;
    },
    reply: () => void sent++,
    storeReturn() {},
    flush() {},
  };
  const serving = {
    responder,
    gate: openGate(owner.memory, 9),
    misses,
    clock: () => nowMs,
    wallSeconds: () => 1_700_000_000,
    ring() {},
  };
  for (let i = 0; i < 500; i++) serveBatch(serving, batch);
  // The rings of misses are the main thread's to empty, and what it takes it allocates.
  while (takeMiss(misses) !== undefined);
  (globalThis as unknown as { Bun: { gc(full: boolean): void } }).Bun.gc(true);
  sent = 0;
  console.error(`begin ${load.name}`);
  const startMs = performance.now();
  for (let i = 0; i < ROUNDS; i++) {
    nowMs += 0.1;
    serveBatch(serving, batch);
  }
  const ns = ((performance.now() - startMs) * 1e6) / (ROUNDS * BATCH_DATAGRAMS);
  console.error(`end ${load.name}`);
  console.log(JSON.stringify({ name: load.name, ns, sent, asked: ROUNDS * BATCH_DATAGRAMS }));
}
