// The families read figures that exist, each of them once per scrape.
import t from "tap";
import { createRequestCounts } from "../../src/agent/request-counts.ts";
import { createMemoryStore } from "../../src/cluster/single/memory.ts";
import { createExposition } from "../../src/metrics.ts";
import { families } from "../../src/metrics/families.ts";
import { logFamilies, onDiskFamilies } from "../../src/metrics/log-families.ts";
import { createWorld, openEngine } from "../cluster/engine-world.ts";
import { createRecorder } from "../cluster/recorder.ts";
import { settle, World } from "../http/harness.ts";
import { sourcesWith } from "./sources.ts";
import { questionsOf, rcodesOf, tally } from "./tally.ts";

t.test("every figure of the log is one that a real engine gives", async (t) => {
  const engine = await openEngine(createWorld(), createMemoryStore(), createRecorder());
  const sources = sourcesWith({ log: () => engine.stats() });
  const empty = logFamilies.filter((family) => family.read(sources).length === 0);
  t.same(
    empty.map(({ name }) => name),
    onDiskFamilies,
    "what needs a disk is the rest; test/program/metrics.test.ts looks for these",
  );
  await engine.close();
});

t.test("names, labels and help are what a linter of Prometheus asks for", async (t) => {
  const names = families.map(({ name }) => name);
  t.equal(new Set(names).size, names.length, "no name twice");
  for (const { name, type, help } of families) {
    t.match(name, /^(waypost|process)_[a-z][a-z0-9_]*$/);
    t.equal(name.endsWith("_total"), type === "counter", `${name} is a ${type}`);
    t.match(help, /\.$/, `${name} is explained by a sentence`);
  }
});

t.test("each source is read once per scrape, and anew for the next one", async (t) => {
  let tables = 0;
  let entries = 5;
  const table = { octets: 0, capacityOctets: 0, evictions: 0, rejected: 0, oldestAgeSeconds: 0 };
  const read = createExposition(
    sourcesWith({ table: () => ({ ...table, entries: (tables++, entries) }) }),
    new World(),
  );
  t.match(await read(), /^waypost_answer_table_entries 5$/m);
  t.equal(tables, 1);
  entries = 6;
  t.match(await read(), /^waypost_answer_table_entries 6$/m);
  t.equal(tables, 2);
});

t.test("ask 51: replies by zone, type, RCODE; TCP apart", async (t) => {
  const here = 'server="dns://127.0.0.1:53"';
  const reply = { zone: "domain", transport: "udp", qtype: 1, rcode: 0, count: 1 } as const;
  const { resolver } = sourcesWith({});
  const text = await createExposition(
    sourcesWith({
      tallies: () => [
        tally({ proto: "tcp" }, { questions: questionsOf({ 1: 4 }), rcodes: rcodesOf({ 0: 4 }) }),
        tally(
          { zone: "dropped", plugin: "", family: 2 },
          { questions: questionsOf({}, 5), rcodes: rcodesOf({ 1: 2, 12: 2, 13: 1 }) },
        ),
      ],
      resolver: () => ({
        ...resolver(),
        replies: [
          { ...reply, count: 3 },
          { ...reply, transport: "tcp", count: 4 },
          { ...reply, transport: "tcp", qtype: 257, rcode: 3, count: 5 },
          { ...reply, zone: "forward", qtype: 65_535, rcode: 16, count: 6 },
        ],
        malformed: new Map([["opt", 2]]),
      }),
      tcp: () => ({
        connections: 1,
        accepted: 9,
        questions: 9,
        closed: {
          firstByte: 1,
          message: 2,
          idle: 3,
          write: 4,
          evicted: 5,
          refused: 6,
          prohibited: 7,
          flood: 8,
        },
      }),
    }),
    new World(),
  )();
  for (const line of [
    `waypost_dns_requests_total{${here},zone="consul.",view="",proto="tcp",family="1",type="A"} 4`,
    `waypost_dns_requests_total{${here},zone="dropped",view="",proto="udp",family="2",type="other"} 5`,
    `waypost_dns_responses_total{${here},zone="consul.",view="",rcode="NOERROR",plugin="catalog"} 4`,
    `waypost_dns_responses_total{${here},zone="dropped",view="",rcode="NOERROR",plugin=""} 2`,
    `waypost_dns_responses_total{${here},zone="dropped",view="",rcode="BADCOOKIE",plugin=""} 1`,
    'waypost_dns_computed_total{zone="domain",type="A",rcode="NOERROR"} 7',
    'waypost_dns_computed_total{zone="forward",type="other",rcode="BADVERS"} 6',
    'waypost_dns_malformed_total{problem="opt"} 2',
    'waypost_dns_tcp_closed_total{reason="first_byte"} 1',
    'waypost_dns_tcp_closed_total{reason="refused"} 6',
    "waypost_dns_tcp_accepted_total 9",
  ])
    t.ok(text.split("\n").includes(line), line);
});

t.test("a scrape that takes long lets others pass in between", async (t) => {
  const world = new World();
  const slow = { ...world.clock, monotonicMs: () => (world.nowMs += 0.4) };
  const read = createExposition(sourcesWith({}), { clock: slow, timers: world.timers });
  let text = "";
  void read().then((whole) => (text = whole));
  let pauses = 0;
  for (; text === "" && pauses < families.length; pauses++) {
    await settle();
    if (world.timerCount > 0) world.advance(0);
  }
  t.ok(pauses > families.length / 4, `${pauses} pauses`);
  t.equal(text.split("# TYPE ").length - 1, families.length, "and is whole");
  t.ok(text.endsWith("\n"));
});

t.test("requests by route, method and status: methods of clients' invention are one", async (t) => {
  const requests = createRequestCounts();
  requests.count("/v1/kv/", "GET", 200, 2);
  requests.count("/v1/kv/", "GET", 200, 4);
  requests.count("/v1/kv/", "GET", 404, 1);
  for (const method of ["BREW", "WHEN"]) requests.count("/v1/kv/", method, 405, 1);
  t.same(requests.read(), [
    { route: "/v1/kv/", method: "GET", status: 200, count: 2 },
    { route: "/v1/kv/", method: "GET", status: 404, count: 1 },
    { route: "/v1/kv/", method: "other", status: 405, count: 2 },
  ]);
  t.match(requests.takeTimes()[0], {
    route: "/v1/kv/",
    method: "GET",
    milliseconds: { count: 3, sum: 7, min: 1, max: 4, squares: 21 },
  });
  t.same(requests.takeTimes(), [], "times are taken once");
  t.equal(requests.read().length, 3, "counts stay");
});
