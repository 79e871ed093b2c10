import { Worker } from "node:worker_threads";
import t from "tap";
import type { AnswerHandle } from "../../src/dns/answer.ts";
import { MISS } from "../../src/dns/respond.ts";
import { PROBE_LIMIT } from "../../src/dns/table.ts";
import { createAnswerTable } from "../../src/dns/table-writer.ts";
import { addresses, answerWith, createBench, decode, query, seeded } from "./prepared.ts";
import { churnAnswer, NAMES, type Start, type Verdict } from "./table-reader.ts";

t.test("published, withdrawn, published again", async (t) => {
  const { table, ask } = createBench();
  const first = table.publish(answerWith("a.consul", ["10.0.0.1"]));
  t.ok(first > 0);
  t.match(table.stats(), { entries: 1, evictions: 0, rejected: 0 });
  table.withdraw(first);
  t.equal(ask(query("a.consul")), MISS);
  t.match(table.stats(), { entries: 0, octets: 0 });
  table.withdraw(first);
  table.withdraw(0);
  table.withdraw(4711);
  const second = table.publish(answerWith("a.consul", ["10.0.0.2"]));
  table.withdraw(first);
  t.match(decode(ask(query("a.consul"))).answers, [{ data: "10.0.0.2" }], "old handle, no effect");
  t.not(second, first);
});

t.test("an answer replaces those for the same queries, and only those", async (t) => {
  const { table, ask } = createBench();
  const left: AnswerHandle[] = [];
  table.onEvict((handle) => left.push(handle));
  const base = answerWith("a.consul", ["10.0.0.1"]);
  const small = table.publish({ ...base, maxPayload: 1231 });
  const large = table.publish({ ...base, minPayload: 1232, withoutEdns: false });
  t.same(left, []);
  table.publish({ ...answerWith("a.consul", ["10.0.0.2"]), maxPayload: 600 });
  t.same(left, [small]);
  t.match(table.stats(), { entries: 2, evictions: 0 });
  table.publish({ ...answerWith("a.consul", ["10.0.0.3"]), minPayload: 601, withEdns: false });
  t.same(left, [small], "without EDNS: no rival of the large one");
  table.publish(answerWith("a.consul", ["10.0.0.4"]));
  t.equal(left.length, 4);
  t.ok(left.includes(large));
  t.match(decode(ask(query("a.consul"))).answers, [{ data: "10.0.0.4" }]);
  t.equal(table.stats().entries, 1);
});

t.test("what workers sent is counted as far as three, also of what has expired", async (t) => {
  const { table, ask } = createBench();
  const answer = { ...answerWith("hot.consul", ["10.0.0.1"]), expiresAtMs: 1000 };
  table.publish(answer);
  const seen = [table.hitsOf(answer.question)];
  for (let i = 0; i < 5; i++) {
    t.not(ask(query("HOT.consul")), MISS);
    seen.push(table.hitsOf(answer.question));
  }
  t.same(seen, [0, 1, 2, 3, 3, 3]);
  t.equal(ask(query("hot.consul"), 2000), MISS);
  t.equal(table.hitsOf(answer.question), 3);
  t.equal(table.hitsOf(answerWith("cold.consul", []).question), 0);
  table.publish({ ...answer, expiresAtMs: Infinity });
  t.equal(table.hitsOf(answer.question), 0, "a new answer begins anew");
});

t.test("withdrawAll empties the table and gives all room back", async (t) => {
  const { table, ask } = createBench();
  for (let round = 0; round < 5; round++) {
    const handles = Array.from({ length: 1000 }, (_, i) =>
      table.publish(answerWith(`n${i}.consul`, addresses(10))),
    );
    t.equal(table.stats().entries, 1000);
    table.withdrawAll();
    t.match(table.stats(), { entries: 0, octets: 0, evictions: 0 });
    t.equal(ask(query("n7.consul")), MISS);
    for (const handle of handles) table.withdraw(handle);
  }
});

t.test("small and large answers share the room", async (t) => {
  const { table, ask } = createBench({ octets: 4 << 20 });
  t.ok(table.publish(answerWith("large.consul", addresses(4000))) > 0, "64 KB");
  t.ok(table.publish(answerWith("empty.consul", [])) > 0);
  const before = table.stats().octets;
  table.publish(answerWith("small.consul", ["10.0.0.1"]));
  t.ok(table.stats().octets - before <= 128, "an answer of 46 octets takes no more than 128");
  t.equal(decode(ask(query("large.consul", "A", { edns: 65535 }))).answers!.length, 4000);
  t.equal(decode(ask(query("empty.consul"))).answers!.length, 0);
});

t.test("when the room ends, what nobody asks for leaves first", async (t) => {
  const { table, ask } = createBench();
  const left = new Set<AnswerHandle>();
  table.onEvict((handle) => left.add(handle));
  const hot = Array.from({ length: 100 }, (_, i) =>
    table.publish(answerWith(`hot${i}.consul`, addresses(5))),
  );
  const cold: AnswerHandle[] = [];
  let served = 0;
  for (let i = 0; i < 30_000; i++) {
    cold.push(table.publish(answerWith(`cold${i}.consul`, addresses(5))));
    if (i % 10 === 0) if (ask(query(`hot${(i / 10) % 100}.consul`)) !== MISS) served++;
  }
  t.equal(hot.filter((handle) => left.has(handle)).length, 0, "no hot name left");
  t.equal(served, 3000);
  const { entries, evictions, octets, capacityOctets, rejected } = table.stats();
  t.equal(entries, 30_100 - left.size);
  t.equal(evictions, left.size);
  t.equal(rejected, 0);
  t.ok(octets <= capacityOctets && octets > capacityOctets * 0.8, `${octets} of ${capacityOctets}`);
  t.notOk(cold.includes(0), "every newcomer was taken in");
  for (const handle of [...hot, ...cold]) table.withdraw(handle);
  t.match(table.stats(), { entries: 0, octets: 0 });
});

t.test("a table full of names in demand refuses the newcomer, for a while", async (t) => {
  const { table, ask } = createBench();
  const names: string[] = [];
  for (let i = 0; table.stats().evictions === 0; i++) {
    table.publish(answerWith(`n${i}.consul`, addresses(20)));
    names.push(`n${i}.consul`);
  }
  const askAll = (): void => {
    for (const name of names) ask(query(name));
  };
  askAll();
  t.equal(table.publish(answerWith("new.consul", addresses(20))), 0);
  t.ok(table.stats().rejected > 0);
  let attempts = 1;
  while (table.publish(answerWith("new.consul", addresses(20))) === 0) attempts++;
  t.ok(attempts < names.length, `taken in after ${attempts} refusals without further demand`);
  t.type(ask(query("new.consul")), Uint8Array);
});

t.test("expired answers make room even if they were in demand", async (t) => {
  let nowMs = 0;
  const { table, ask } = createBench({ clock: () => nowMs });
  const base = answerWith("a.consul", addresses(20));
  for (let i = 0; table.stats().evictions === 0; i++) {
    table.publish({ ...answerWith(`n${i}.consul`, addresses(20)), expiresAtMs: 1000 });
    ask(query(`n${i}.consul`));
  }
  nowMs = 2000;
  t.ok(table.publish(base) > 0);
});

t.test("more answers of one question than there are places for it", async (t) => {
  const { table, ask } = createBench();
  let left = 0;
  table.onEvict(() => left++);
  for (let i = 0; i < PROBE_LIMIT + 8; i++)
    table.publish({
      ...answerWith("a.consul", [`10.0.0.${i}`]),
      minPayload: 600 + i,
      maxPayload: 600 + i,
    });
  t.equal(left, 8);
  t.equal(table.stats().entries, PROBE_LIMIT);
  const last = 600 + PROBE_LIMIT + 7;
  t.match(decode(ask(query("a.consul", "A", { edns: last }))).answers, [
    { data: `10.0.0.${PROBE_LIMIT + 7}` },
  ]);
});

t.test("the age of the oldest answer", async (t) => {
  let nowMs = 5000;
  const { table } = createBench({ clock: () => nowMs });
  t.equal(table.stats().oldestAgeSeconds, 0);
  const first = table.publish(answerWith("a.consul", []));
  const sameSecond = table.publish(answerWith("c.consul", []));
  nowMs = 65_000;
  table.publish(answerWith("b.consul", []));
  t.equal(table.stats().oldestAgeSeconds, 60);
  table.withdraw(first);
  t.equal(table.stats().oldestAgeSeconds, 60);
  table.withdraw(sameSecond);
  t.equal(table.stats().oldestAgeSeconds, 0);
  nowMs = 75_000;
  t.equal(table.stats().oldestAgeSeconds, 10);
  table.publish(answerWith("b.consul", ["10.0.0.1"]));
  t.equal(table.stats().oldestAgeSeconds, 0, "an answer that is replaced is young again");
  nowMs = 80_000;
  table.withdrawAll();
  t.equal(table.stats().oldestAgeSeconds, 0);
});

t.test("an answer that would mislead workers is a programmer's mistake", async (t) => {
  const { table } = createBench();
  const good = answerWith("a.consul", addresses(3));
  const shuffle = { offset: 26, stride: 16, count: 3, smallCount: 3, truncateBit: false };
  const bad: [string, object][] = [
    ["no variant", { variants: [] }],
    ["another question in the message", { question: answerWith("b.consul", []).question }],
    ["shuffled records before the end", { shuffle: { ...shuffle, count: 2 } }],
    ["shuffled records behind the end", { shuffle: { ...shuffle, offset: 42 } }],
    ["two variants shuffled", { variants: [good.variants[0]!, good.variants[0]!], shuffle }],
    ["a TTL behind the end", { countdown: { ttlOffsets: [72], storedAtMs: 0 } }],
  ];
  t.ok(table.publish({ ...good, shuffle }) > 0);
  for (const [what, over] of bad) t.throws(() => table.publish({ ...good, ...over }), what);
});

t.test("random use never confuses names (model)", async (t) => {
  const { table, ask } = createBench();
  const random = seeded(2026);
  const published = new Map<string, { handle: AnswerHandle; mark: string }>();
  const nameOf = new Map<AnswerHandle, string>();
  table.onEvict((handle) => {
    const name = nameOf.get(handle)!;
    if (published.get(name)?.handle === handle) published.delete(name);
  });
  let wrong = 0;
  for (let step = 0; step < 25_000; step++) {
    const name = `n${random() % 3000}.example.consul`;
    const known = published.get(name);
    switch (random() % 4) {
      case 0:
      case 1: {
        const mark = `10.${step >> 16}.${(step >> 8) & 255}.${step & 255}`;
        const count = random() % 50 === 0 ? 1 + (random() % 900) : 1 + (random() % 16);
        const marks = Array.from({ length: count }, () => mark);
        const handle = table.publish(answerWith(name, marks));
        published.delete(name);
        if (handle === 0) break;
        nameOf.set(handle, name);
        published.set(name, { handle, mark });
        break;
      }
      case 2:
        if (known === undefined) break;
        table.withdraw(known.handle);
        published.delete(name);
        break;
      default: {
        const reply = ask(query(name, "A", { edns: 65535 }));
        const found = reply === MISS ? undefined : decode(reply).answers!;
        if ((found === undefined) !== (known === undefined)) wrong++;
        else if (found?.some((record) => (record as { data: string }).data !== known!.mark))
          wrong++;
      }
    }
  }
  t.equal(wrong, 0);
  t.equal(table.stats().entries, published.size);
  t.ok(table.stats().evictions > 0, "under pressure");
});

t.test("readers beside a churning writer see whole and current answers only", async (t) => {
  const { table, memory } = createAnswerTable({
    octets: 1 << 20,
    clock: () => 0,
    random: seeded(11),
  });
  // Per name the oldest generation that may still be served; then the cell that ends the readers.
  const floors = new SharedArrayBuffer(4 * (NAMES + 1));
  const cells = new Int32Array(floors);
  const start: Start = { memory, floors };
  // A worker thread does not inherit the loader of TypeScript.
  const entry = JSON.stringify(new URL("./table-reader.ts", import.meta.url).href);
  const load = `import("tsx/esm/api").then(({ register }) => (register(), import(${entry})))`;
  const readers = [1, 2].map(
    (seed) => new Worker(load, { eval: true, workerData: { ...start, seed } }),
  );
  await Promise.all(readers.map((reader) => new Promise((ready) => reader.once("message", ready))));

  const random = seeded(12);
  const handles = new Map<number, AnswerHandle>();
  for (let step = 1; step <= 20_000; step++) {
    const name = random() % NAMES;
    if (random() % 3 === 0) {
      table.withdraw(handles.get(name) ?? 0);
      Atomics.store(cells, name, step);
    } else handles.set(name, table.publish(churnAnswer(name, step, random() % 40)));
  }
  const verdicts = readers.map(
    (reader) => new Promise<Verdict>((told) => reader.once("message", told)),
  );
  Atomics.store(cells, NAMES, 1);
  for (const verdict of await Promise.all(verdicts)) {
    t.same(verdict.problems, []);
    t.ok(verdict.hits > 1000, `${verdict.hits} answers read`);
    t.ok(verdict.misses > 100, `${verdict.misses} misses`);
  }
  t.ok(table.stats().evictions > 500, `${table.stats().evictions} evictions meanwhile`);
});
