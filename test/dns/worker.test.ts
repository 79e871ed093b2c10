import t from "tap";
import { COUNTER_CELLS, FIRST_BLOCK, sumCounters } from "../../src/dns/cells.ts";
import { createGateMemory, openGate } from "../../src/dns/gate.ts";
import {
  createMissMemory,
  openMissRing,
  setSample,
  takeMiss,
  unloggedIn,
} from "../../src/dns/misses.ts";
import { createResponder } from "../../src/dns/respond.ts";
import { createAnswerTable } from "../../src/dns/table-writer.ts";
import {
  BATCH_DATAGRAMS,
  type DatagramBatch,
  INPUT_SLOT_OCTETS,
  OUTPUT_OCTETS,
  serveBatch,
} from "../../src/dns/worker.ts";
import { addresses, answerWith, decode, query, seeded, tallyOf } from "./prepared.ts";

/** A worker whose socket is two arrays: what arrives and what was sent. */
function createHarness(ringOctets?: number) {
  const { table, memory } = createAnswerTable({
    octets: 4 << 20,
    clock: () => 0,
    random: seeded(5),
  });
  const output = new ArrayBuffer(OUTPUT_OCTETS);
  const responder = createResponder({
    memory,
    input: new ArrayBuffer(BATCH_DATAGRAMS * INPUT_SLOT_OCTETS),
    output,
    counters: new Float64Array(COUNTER_CELLS),
    seed: Int32Array.of(1, 2, 3, 4),
  });
  const misses = openMissRing(createMissMemory(ringOctets));
  let arriving: Uint8Array[] = [];
  const queued: { i: number; out: number; octets: number }[] = [];
  const sent: { i: number; wire: Uint8Array }[] = [];
  let flushes = 0;
  let rings = 0;
  let nowMs = 100;
  const batch: DatagramBatch = {
    receive() {
      arriving.forEach((wire, i) => responder.input.set(wire, i * INPUT_SLOT_OCTETS));
      return arriving.length;
    },
    length: (i) => arriving[i]!.length,
    isLoopback: () => true,
    blockOf: () => FIRST_BLOCK,
    readSource() {},
    reply: (i, out, octets) => queued.push({ i, out, octets }),
    storeReturn: (i, words, at) => (words[at] = 1000 + i),
    flush() {
      for (const { i, out, octets } of queued.splice(0))
        sent.push({ i, wire: new Uint8Array(output.slice(out, out + octets)) });
      flushes++;
    },
  };
  const gate = openGate(createGateMemory(), 1);
  const wallSeconds = () => 1_700_000_000;
  const serving = {
    responder,
    gate,
    misses,
    clock: () => nowMs++,
    wallSeconds,
    ring: () => rings++,
  };
  return {
    table,
    misses,
    serve(...datagrams: Uint8Array[]) {
      arriving = datagrams;
      sent.length = flushes = rings = 0;
      serveBatch(serving, batch);
      return { sent: [...sent], flushes, rings };
    },
    counters: () => sumCounters([responder.counters], 0),
    responder,
  };
}

t.test("a batch is answered, handed over and ignored, each in its place", async (t) => {
  const harness = createHarness();
  harness.table.publish(answerWith("a.consul", ["10.0.0.1"]));
  const { sent, flushes, rings } = harness.serve(
    query("a.consul", "A", { id: 1 }),
    query("b.consul", "A", { id: 2 }),
    Uint8Array.of(1, 2, 3),
    query("A.consul", "A", { id: 3 }),
  );
  t.same(
    sent.map(({ i, wire }) => [i, decode(wire).id]),
    [
      [0, 1],
      [3, 3],
    ],
  );
  t.equal(flushes, 1);
  t.equal(rings, 1);
  const miss = takeMiss(harness.misses)!;
  t.same(miss.query, query("b.consul", "A", { id: 2 }));
  t.same(miss.returnAddress.slice(0, 4), Uint8Array.of(0xe9, 3, 0, 0), "1001");
  t.equal(miss.arrivedMs, 100);
  t.equal(takeMiss(harness.misses), undefined);
  t.equal(harness.serve(query("a.consul")).rings, 0, "no miss, no ring");
  t.match(harness.counters(), { batches: 2, tableHits: 3, tableMisses: 1, ignored: 1 });
  const [a] = tallyOf(harness.responder).durations;
  t.equal(a!.counts[5], 3, "one tick of the clock is 1 ms");
  t.equal(a!.sum.toFixed(6), "0.003000");
});

t.test("long replies leave in several calls", async (t) => {
  const harness = createHarness();
  harness.table.publish(answerWith("big.consul", addresses(4000)));
  const batch = Array.from({ length: 10 }, (_, id) =>
    query("big.consul", "A", { id, edns: 65535 }),
  );
  const { sent, flushes } = harness.serve(...batch);
  t.equal(sent.length, 10);
  t.ok(flushes > 2, `${flushes} calls`);
  sent.forEach(({ wire }, i) => {
    const reply = decode(wire);
    t.equal(reply.id, i);
    t.equal(reply.answers!.length, 4000);
  });
});

t.test("when the ring is full the worker says SERVFAIL itself", async (t) => {
  const harness = createHarness(4096);
  const misses = Array.from({ length: 64 }, (_, id) =>
    query("Nobody.example.org", "A", { id, cd: true, ...(id % 2 ? { edns: 1232 } : {}) }),
  );
  const { sent, rings } = harness.serve(...misses);
  t.equal(rings, 1);
  t.ok(sent.length > 10 && sent.length < 64, `${sent.length} of 64 were refused`);
  for (const { i, wire } of sent) {
    const reply = decode(wire);
    t.match(reply, { id: i, type: "response", rcode: "SERVFAIL", flag_rd: true, answers: [] });
    t.match(reply.questions, [{ name: "Nobody.example.org" }]);
    t.equal(reply.additionals!.length, i % 2, "OPT as asked");
  }
  t.equal(harness.counters().missesDropped, sent.length);
  const dropped = tallyOf(harness.responder);
  t.equal(dropped.rcodes[2], sent.length);
  t.equal(dropped.shedQueue, sent.length);
  const broken = query("a.b").slice(0, 14);
  const refused = harness.serve(broken).sent;
  t.equal(refused.length, 1);
  t.same(
    refused[0]!.wire.slice(2),
    Uint8Array.of(0x81, 2, 0, 0, 0, 0, 0, 0, 0, 0),
    "no question to echo",
  );
});

t.test(
  "what is drawn for the log is answered as ever, and left for it without a ring",
  async (t) => {
    const harness = createHarness(4096);
    harness.table.publish(answerWith("a.consul", ["10.0.0.1"]));
    setSample(harness.misses, 1);
    const { sent, rings } = harness.serve(query("a.consul", "A", { id: 7 }));
    t.equal(rings, 0);
    const told = takeMiss(harness.misses)!;
    t.match(told, { isServed: true, isSampled: false });
    t.same(told.query, sent[0]!.wire, "the reply, as it was sent");
    t.same(told.returnAddress.slice(0, 2), Uint8Array.of(0xe8, 3), "and to whom");
    t.equal(harness.serve(query("b.consul")).rings, 1);
    t.match(takeMiss(harness.misses), { isServed: false, isSampled: true }, "misses are marked");

    const batch = Array.from({ length: 64 }, (_, id) => query("a.consul", "A", { id }));
    const full = harness.serve(...batch);
    t.equal(full.sent.length, 64, "all are answered");
    t.ok(full.rings > 0, "the main thread is told that much waits");
    let waiting = 0;
    while (takeMiss(harness.misses) !== undefined) waiting++;
    t.ok(waiting > 10 && waiting < 64, `${waiting} wait`);
    t.equal(unloggedIn(harness.misses), 64 - waiting, "the others are counted");

    setSample(harness.misses, 0);
    harness.serve(query("a.consul"));
    t.equal(takeMiss(harness.misses), undefined, "off again");
  },
);
