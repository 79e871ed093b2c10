import t from "tap";
import type { PublishedAnswer } from "../../src/dns/answer.ts";
import { sumCounters } from "../../src/dns/cells.ts";
import { MISS, respond } from "../../src/dns/respond.ts";
import {
  addresses,
  answerWith,
  ask as askWith,
  createBench,
  createBenchResponder,
  decode,
  query,
  seeded,
  tallyOf,
} from "./prepared.ts";

const dataOf = (reply: Uint8Array | number): unknown[] =>
  decode(reply).answers!.map((answer) => (answer as { data: unknown }).data);

t.test("a reply echoes id, RD, CD and spelling, and carries OPT if the query did", async (t) => {
  const { table, ask } = createBench();
  table.publish(answerWith("web.service.consul", ["10.1.2.3"], 30));
  const reply = decode(ask(query("WEB.serVice.consul", "A", { id: 0xbeef, cd: true })));
  t.equal(reply.id, 0xbeef);
  t.match(reply, { type: "response", flag_aa: true, flag_ra: true, flag_rd: true, flag_cd: true });
  t.match(reply.questions, [{ name: "WEB.serVice.consul", type: "A" }]);
  t.match(reply.answers, [{ name: "WEB.serVice.consul", ttl: 30, data: "10.1.2.3" }]);
  t.same(reply.additionals, []);
  t.notOk(decode(ask(query("web.service.consul", "A", { rd: false }))).flag_rd);

  for (const edns of [0, 512, 1232, 65535]) {
    const withOpt = decode(ask(query("web.service.consul", "A", { edns, dnssecOk: true })));
    t.match(withOpt.additionals, [
      { type: "OPT", udpPayloadSize: edns, ednsVersion: 0, flags: 0, options: [] },
    ]);
    t.match(withOpt.answers, [{ data: "10.1.2.3" }]);
  }
});

t.test("DO comes back where the answer says so (RFC 3225 section 3)", async (t) => {
  const { table, ask } = createBench();
  table.publish({ ...answerWith("own.test", ["10.1.2.3"]), copiesDo: true });
  for (const dnssecOk of [true, false]) {
    const { additionals, answers } = decode(ask(query("own.test", "A", { edns: 1232, dnssecOk })));
    t.match(additionals, [{ type: "OPT", flags: dnssecOk ? 0x8000 : 0 }]);
    t.match(answers, [{ data: "10.1.2.3" }]);
  }
  t.same(decode(ask(query("own.test"))).additionals, []);
});

t.test("names of every length are matched as a whole", async (t) => {
  const { table, ask } = createBench();
  for (let length = 1; length <= 63; length++)
    table.publish(answerWith(`${"x".repeat(length)}.consul`, [`10.0.0.${length}`]));
  for (let length = 1; length <= 63; length++)
    t.same(dataOf(ask(query(`${"X".repeat(length)}.consul`))), [`10.0.0.${length}`]);
  t.equal(ask(query(`${"x".repeat(8)}.consuk`)), MISS);
  t.equal(ask(query("x.consul", "AAAA")), MISS, "another type");
  const chaos = query("x.consul");
  chaos[chaos.length - 1] = 3;
  t.equal(ask(chaos), MISS, "another class");
});

t.test("which of several prepared answers is sent", async (t) => {
  const { table, ask } = createBench();
  const base = (address: string, over: Partial<PublishedAnswer>): PublishedAnswer => ({
    ...answerWith("a.consul", [address]),
    ...over,
  });
  const only = { withEdns: false, withoutEdns: false };
  table.publish(base("10.0.0.1", { ...only, withoutEdns: true }));
  table.publish(base("10.0.0.2", { ...only, withEdns: true, maxPayload: 1231 }));
  table.publish(base("10.0.0.3", { ...only, withEdns: true, minPayload: 1232, maxPayload: 4096 }));
  const rows: [edns: number | undefined, address: string | null][] = [
    [undefined, "10.0.0.1"],
    [100, "10.0.0.2"],
    [1231, "10.0.0.2"],
    [1232, "10.0.0.3"],
    [4096, "10.0.0.3"],
    [4097, null],
  ];
  for (const [edns, address] of rows) {
    const reply = ask(query("a.consul", "A", edns === undefined ? {} : { edns }));
    if (address === null) t.equal(reply, MISS, `payload ${edns}`);
    else t.same(dataOf(reply), [address], `payload ${edns}`);
  }
});

t.test("variants are picked at random, each as often", async (t) => {
  const { table, ask } = createBench();
  const variants = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(
    (address) => answerWith("a.consul", [address]).variants[0]!,
  );
  table.publish({ ...answerWith("a.consul", ["10.0.0.1"]), variants });
  const counts = new Map<unknown, number>();
  for (let i = 0; i < 3000; i++) {
    const [data] = dataOf(ask(query("a.consul")));
    counts.set(data, (counts.get(data) ?? 0) + 1);
  }
  t.equal(counts.size, 3);
  for (const count of counts.values()) t.ok(Math.abs(count - 1000) < 110, `${count} of 3000`);
});

const shuffled = (count: number, smallCount: number, truncateBit: boolean): PublishedAnswer => {
  const answer = answerWith("farm.consul", addresses(count), 7);
  const offset = 12 + answer.question.length;
  return { ...answer, shuffle: { offset, stride: 16, count, smallCount, truncateBit } };
};

t.test("a shuffled answer is cut to what the query allows", async (t) => {
  const rows: [count: number, smallCount: number, edns: number | undefined, sent: number][] = [
    [50, 3, undefined, 3],
    [50, 3, 512, 3],
    [50, 0, undefined, 0],
    [2, 3, undefined, 2],
    // 512 + 17 + ...: header 12, question 17, OPT 11 and 8 in reserve leave p - 48.
    [50, 3, 513, 29],
    [50, 3, 700, 40],
    [50, 3, 4096, 50],
    [4000, 3, 65535, 4000],
  ];
  for (const truncateBit of [false, true])
    for (const [count, smallCount, edns, sent] of rows) {
      const { table, ask } = createBench();
      table.publish(shuffled(count, smallCount, truncateBit));
      const reply = decode(ask(query("Farm.consul", "A", edns === undefined ? {} : { edns })));
      const data = reply.answers!.map((answer) => (answer as { data: string }).data);
      const what = `${count} records, payload ${edns}`;
      t.equal(data.length, sent, what);
      t.equal(new Set(data).size, sent, `${what}: all different`);
      t.ok(
        data.every((address) => addresses(count).includes(address)),
        `${what}: all known`,
      );
      t.equal(reply.flag_tc, truncateBit && sent < count, `${what}: TC`);
      t.equal(reply.additionals!.length, edns === undefined ? 0 : 1, `${what}: OPT`);
    }
});

t.test("every choice and every order is as likely (chi-square)", async (t) => {
  const { table, memory } = createBench();
  table.publish(shuffled(5, 3, false));
  const responder = createBenchResponder(memory, 4711);
  const counts = new Map<string, number>();
  const draws = 60_000;
  for (let i = 0; i < draws; i++) {
    const key = dataOf(askWith(responder, query("farm.consul"))).join(" ");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  t.equal(counts.size, 60, "5 x 4 x 3 orders");
  const expected = draws / 60;
  let chiSquare = 0;
  for (const count of counts.values()) chiSquare += (count - expected) ** 2 / expected;
  t.ok(chiSquare < 98.32, `chi-square ${chiSquare} below the 0.1 % quantile for 59 degrees`);
});

t.test("TTLs of forwarded answers count down to the end of the answer", async (t) => {
  const { table, ask } = createBench();
  const answer = answerWith("www.example.org", ["192.0.2.1", "192.0.2.2"], 300);
  const first = 12 + answer.question.length + 6;
  table.publish({
    ...answer,
    countdown: { ttlOffsets: [first, first + 16], storedAtMs: 5000 },
    expiresAtMs: 305_000,
  });
  const ttls = (nowMs: number): unknown =>
    decode(ask(query("www.example.org"), nowMs)).answers!.map(
      (record) => (record as { ttl: number }).ttl,
    );
  t.same(ttls(5000), [300, 300]);
  t.same(ttls(5999), [300, 300]);
  t.same(ttls(6000), [299, 299]);
  t.same(ttls(304_999.9), [1, 1]);
  t.equal(ask(query("www.example.org"), 305_000), MISS, "expired");
  t.same(ttls(4000), [300, 300], "a clock read before the store");
  for (const options of [{ cd: true }, { ad: true }, { edns: 1232, dnssecOk: true }])
    t.equal(ask(query("www.example.org", "A", options), 6000), MISS, JSON.stringify(options));
  t.type(ask(query("www.example.org", "A", { edns: 1232 }), 6000), Uint8Array);
});

t.test("TTLs of 32 bits count down without sign", async (t) => {
  const { table, ask } = createBench();
  const answer = answerWith("a.org", ["192.0.2.1"]);
  const offset = 12 + answer.question.length + 6;
  answer.variants[0]!.set([0xff, 0, 0, 1], offset);
  table.publish({ ...answer, countdown: { ttlOffsets: [offset], storedAtMs: 0 } });
  t.match(decode(ask(query("a.org"), 2000)).answers, [{ ttl: 0xff000001 - 2 }]);
});

t.test("counters", async (t) => {
  const { table, responder, ask } = createBench();
  table.publish(answerWith("a.consul", ["10.0.0.1"]));
  ask(query("a.consul"));
  ask(query("a.consul", "A", { edns: 1232 }));
  ask(query("b.consul", "SRV"));
  ask(query("a.consul", "UNKNOWN_4711"));
  ask(new Uint8Array(3));
  const counters = sumCounters([responder.counters], 0);
  t.match(counters, { tableHits: 2, tableMisses: 2, ignored: 1 });
  const { rcodes, questionOctets, replyOctets } = tallyOf(responder);
  t.equal(rcodes[0], 2, "what is handed over is counted by who answers it");
  t.equal(questionOctets.sum, 2 * query("a.consul").length + 11);
  t.equal(replyOctets.sum, 2 * (query("a.consul").length + 16) + 11);
});

t.test("no query, however broken, touches what is not its own", async (t) => {
  const { table, responder } = createBench();
  table.publish(answerWith("web.service.consul", addresses(20)));
  table.publish(shuffled(50, 3, true));
  const random = seeded(99);
  const valid = [
    query("web.service.consul"),
    query("Web.Service.consul", "A", { edns: 1232, dnssecOk: true }),
    query("farm.consul", "A", { edns: 700 }),
  ];
  const OUT = 256;
  let hits = 0;
  const damage = new Set<string>();
  const attempt = (wire: Uint8Array): void => {
    const { input, output } = responder;
    input.fill(0xee, 0, 600);
    input.set(wire, 64);
    output.fill(0xdd, 0, 4096);
    const octets = respond(responder, 64, wire.length, OUT, 0);
    if (octets > 0) hits++;
    if (octets > 2048) damage.add("length");
    const end = octets > 0 ? OUT + octets : OUT + 2048;
    for (let i = 0; i < 4096; i++)
      if ((i < OUT || i >= end + 3) && output[i] !== 0xdd) damage.add(`output ${i}`);
    for (let i = 0; i < 600; i++) {
      const own = i >= 64 && i < 64 + wire.length;
      if (input[i] !== (own ? wire[i - 64] : 0xee)) damage.add(`input ${i}`);
    }
    if (octets > 0) decode(output.slice(OUT, end));
  };
  for (const wire of valid) {
    for (let length = 0; length <= wire.length; length++) attempt(wire.slice(0, length));
    for (let at = 0; at < wire.length; at++)
      for (const value of [0, 1, wire[at]! ^ 0x20, wire[at]! ^ 0x80, 63, 64, 0xc0, 255]) {
        const copy = wire.slice();
        copy[at] = value;
        attempt(copy);
      }
  }
  for (let i = 0; i < 20_000; i++) {
    const copy = valid[random() % valid.length]!.slice();
    for (let changes = random() % 3; changes >= 0; changes--)
      copy[random() % copy.length] = random() & 255;
    attempt(copy);
  }
  t.same([...damage].slice(0, 5), []);
  t.ok(hits > 1000, `${hits} of the changed queries were still answered`);
});
