// Lines of the query log; test/peers/query-log.test.ts compares them with dnsmasq's own.
import t from "tap";
import packet, { type Answer } from "dns-packet";
import { createQueryLog, withQueryLog, type QueryLogSettings } from "../../src/dns/query-log.ts";
import type { Note } from "../../src/dns/trace.ts";
import type { Question } from "../../src/dns/answer.ts";
import { query } from "../dns-client.ts";
import { a, cname } from "../upstream.ts";
import { seeded } from "./prepared.ts";

const usual: QueryLogSettings = {
  form: "dnsmasq",
  onlyFailed: false,
  sample: 1,
  linesPerSecond: 0,
  domains: [],
};

function startLog(over: Partial<QueryLogSettings> = {}) {
  const lines: string[] = [];
  let nowMs = 0;
  const random = seeded(5);
  const log = createQueryLog({
    settings: { ...usual, ...over },
    clock: { monotonicMs: () => nowMs },
    time: () => "2026-11-21T08:49:12.000Z",
    random,
    write: (line) => lines.push(line),
  });
  return { log, lines, pass: (ms: number) => (nowMs += ms) };
}

const client = { address: "192.0.2.9", port: 5353, transport: "udp" } as const;
const asking = (name: string, type: Parameters<typeof query>[2] = "A"): Question => ({
  query: query(1, name, type),
  client,
});
const sent = (server: string): Note => ({
  step: "sent",
  server,
  transport: "udp",
  edns: true,
  probe: false,
});
const foreign: Note = { step: "scope", scope: "foreign", zone: "" };
const cache = (found: "fresh" | "stale" | "none" | "failing"): Note => ({
  step: "cache",
  name: "",
  type: 1,
  found,
  ageMs: 0,
  leftMs: 0,
  server: "",
});
const ended = (rcode: number, errors: { code: number; text: string }[] = []): Note => ({
  step: "forwarded",
  rcode,
  problem: "",
  truncated: false,
  errors,
});

function replying(rcode: number, answers: Answer[] = []): Uint8Array {
  const wire = packet.encode({ type: "response", id: 1, answers });
  wire[3] = (wire[3]! & 0xf0) | rcode;
  return wire;
}

t.test("dnsmasq: the story of a question", async (t) => {
  const txt: Answer = { type: "TXT", name: "www.test", data: ['he"l\nlo', "you"] };
  const ptr: Answer = { type: "PTR", name: "8.8.8.8.in-addr.arpa", data: "dns.google" };
  const rows: [question: Question, notes: Note[], reply: Uint8Array | null, lines: string[]][] = [
    [
      asking("www.test"),
      [foreign, cache("none"), sent("192.0.2.1:53"), sent("[2001:db8::1]:5353"), ended(0)],
      replying(0, [cname("www.test", "end.test"), a("end.test", "192.0.2.7")]),
      [
        "query[A] www.test from 192.0.2.9",
        "forwarded www.test to 192.0.2.1#53",
        "forwarded www.test to 2001:db8::1#5353",
        "reply www.test is <CNAME>",
        "reply end.test is 192.0.2.7",
      ],
    ],
    [
      asking("www.test", "AAAA"),
      [foreign, cache("fresh"), ended(0)],
      replying(0, [cname("www.test", "end.test")]),
      [
        "query[AAAA] www.test from 192.0.2.9",
        "cached www.test is <CNAME>",
        "cached end.test is NODATA-IPv6",
      ],
    ],
    [
      asking("www.test", "TXT"),
      [foreign, cache("none"), ended(0)],
      replying(0, [txt]),
      [
        "query[TXT] www.test from 192.0.2.9",
        'reply www.test is he\\"l\\010lo',
        "reply www.test is you",
      ],
    ],
    [
      asking("8.8.8.8.in-addr.arpa", "PTR"),
      [foreign, cache("none"), ended(0)],
      replying(0, [ptr]),
      ["query[PTR] 8.8.8.8.in-addr.arpa from 192.0.2.9", "reply 8.8.8.8 is dns.google"],
    ],
    [
      asking("gone.test"),
      [foreign, cache("none"), ended(3)],
      replying(3),
      ["query[A] gone.test from 192.0.2.9", "reply gone.test is NXDOMAIN"],
    ],
    [
      asking("none.test", "MX"),
      [foreign, { step: "local", source: "records" }, ended(0)],
      replying(0),
      ["query[MX] none.test from 192.0.2.9", "config none.test is NODATA"],
    ],
    [
      asking("web.service.consul"),
      [{ step: "scope", scope: "domain", zone: "consul." }],
      replying(0, [a("web.service.consul", "10.0.0.1")]),
      ["query[A] web.service.consul from 192.0.2.9", "catalog web.service.consul is 10.0.0.1"],
    ],
    [
      asking("old.test"),
      [foreign, cache("stale"), sent("192.0.2.1:53"), ended(0, [{ code: 3, text: "" }])],
      replying(0, [a("old.test", "192.0.2.7")]),
      [
        "query[A] old.test from 192.0.2.9",
        "forwarded old.test to 192.0.2.1#53",
        "cached-stale old.test is 192.0.2.7",
      ],
    ],
    [
      asking("old.test"),
      [foreign, cache("stale"), sent("192.0.2.1:53"), ended(0)],
      replying(0, [a("old.test", "192.0.2.8")]),
      [
        "query[A] old.test from 192.0.2.9",
        "forwarded old.test to 192.0.2.1#53",
        "reply old.test is 192.0.2.8",
      ],
    ],
    [
      asking("dead.test"),
      [
        foreign,
        cache("none"),
        ended(2, [
          { code: 22, text: "" },
          { code: 23, text: "192.0.2.1:53 timeout" },
        ]),
      ],
      replying(2),
      [
        "query[A] dead.test from 192.0.2.9",
        "reply error is SERVFAIL (EDE: no reachable authority, 192.0.2.1:53 timeout)",
      ],
    ],
    [
      asking("bad.test"),
      [foreign, cache("none"), { step: "filtered", filter: "bogus_nxdomain" }, ended(3)],
      replying(3),
      ["query[A] bad.test from 192.0.2.9", "config bad.test is NXDOMAIN"],
    ],
    [asking("quiet.test"), [foreign], null, ["query[A] quiet.test from 192.0.2.9"]],
  ];
  for (const [question, notes, reply, expected] of rows) {
    const { log, lines } = startLog();
    const resolve = withQueryLog(({ trace }, answer) => {
      for (const note of notes) trace?.add(note);
      answer(reply);
    }, log);
    const given: (Uint8Array | null)[] = [];
    resolve(question, (wire) => given.push(wire));
    t.same(lines, expected, expected.at(-1) ?? "");
    t.same(given, [reply], "the client gets it");
    t.equal(log.counts.lines, expected.length);
  }
});

t.test("parser: names cannot break a line", async (t) => {
  // The octets of the first label, as a client may send them.
  const hostile = Buffer.from('a"\n\x00\x1b\xff.b', "latin1");
  const wire = query(1, `${"x".repeat(hostile.length)}.test`);
  hostile.copy(wire, 13);
  for (const [form, expected] of [
    ["dnsmasq", 'query[A] a"\\010\\000\\027\\255\\.b.test from 192.0.2.9'],
    ["json", '"name":"a\\"\\\\010\\\\000\\\\027\\\\255\\\\.b.test"'],
  ] as const) {
    const { log, lines } = startLog({ form });
    log.begin({ query: wire, client })?.end(replying(3));
    t.match(lines[0], expected);
    t.notMatch(lines.join(""), /[^\x20-\x7e]/, "printable ASCII only");
  }
});

t.test("JSON: one object for each question", async (t) => {
  const { log, lines, pass } = startLog({ form: "json" });
  const logged = log.begin(asking("www.test"))!;
  for (const note of [foreign, cache("none"), sent("192.0.2.1:53")]) logged.trace.add(note);
  t.same(lines, [], "nothing before the end");
  pass(12.5);
  logged.trace.add(ended(0, [{ code: 3, text: "old" }]));
  logged.end(replying(0, [a("www.test", "192.0.2.7")]));
  t.same(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      {
        time: "2026-11-21T08:49:12.000Z",
        client: "192.0.2.9",
        port: 5353,
        transport: "udp",
        name: "www.test",
        type: "A",
        rcode: "NOERROR",
        source: "reply",
        servers: ["192.0.2.1:53"],
        shared: false,
        answer_count: 1,
        answers: ["A 192.0.2.7"],
        errors: ["3 old"],
        elapsed_ms: 12.5,
      },
    ],
  );
  const many = Array.from({ length: 40 }, (_, i) => a("www.test", `192.0.2.${i}`));
  const second = log.begin(asking("www.test"))!;
  second.trace.add({ step: "local", source: "blocklist" });
  second.end(replying(0, many));
  const { answers, answer_count, source } = JSON.parse(lines[1]!) as Record<string, unknown>;
  t.same([(answers as unknown[]).length, answer_count, source], [16, 40, "blocklist"]);
});

t.test("who is logged", async (t) => {
  const off = startLog({ form: "" });
  t.equal(off.log.begin(asking("www.test")), null);
  t.equal(off.log.share(), 0, "workers keep everything");
  const none = startLog({ sample: 0 });
  t.equal(none.log.begin(asking("www.test")), null);
  t.ok(none.log.begin({ ...asking("www.test"), isSampled: true }), "a worker has drawn it");
  const all = startLog();
  t.equal(all.log.begin({ ...asking("www.test"), isSampled: false }), null, "a worker has not");
  t.equal(all.log.begin({ query: Buffer.from("nonsense"), client }), null);
  t.same(all.lines, []);
  const logged = all.log.begin(asking("www.test"))!;
  t.equal(all.log.begin({ ...asking("www.test"), trace: logged.trace }), null, "no client asks so");

  const tenth = startLog({ sample: 0.1 });
  let taken = 0;
  for (let i = 0; i < 10_000; i++) if (tenth.log.begin(asking("www.test")) !== null) taken++;
  // Binomial: 1000 ± 5 standard deviations of 30.
  t.ok(taken > 850 && taken < 1150, `${taken} of 10,000`);
  tenth.log.reload({ ...usual, form: "" });
  t.equal(tenth.log.begin(asking("www.test")), null, "after a reload");
});

t.test("too many lines are counted, and told", async (t) => {
  for (const form of ["dnsmasq", "json"] as const) {
    const { log, lines, pass } = startLog({ form, linesPerSecond: 3 });
    const ask = (): void => log.begin(asking("www.test"))?.end(null);
    for (let i = 0; i < 10; i++) ask();
    t.equal(lines.length, 3);
    t.same(log.counts, { lines: 3, overRate: 7 });
    pass(999);
    ask();
    t.equal(lines.length, 3);
    pass(1);
    ask();
    t.equal(lines[3], form === "json" ? '{"left_out":8}' : "8 lines left out");
    t.match(lines[4], "www.test");
    t.same(log.counts, { lines: 4, overRate: 8 });
  }
});

t.test("what workers have answered", async (t) => {
  const { log, lines } = startLog({ domains: [Buffer.from("\x06consul\0", "latin1")] });
  const AA = 0x0400;
  const rows: [name: string, flags: number, answers: Answer[], line: string][] = [
    ["www.test", 0, [a("www.test", "192.0.2.1")], "cached www.test is 192.0.2.1"],
    ["gone.test", 3, [], "cached gone.test is NXDOMAIN"],
    ["web.consul", AA, [a("web.consul", "10.0.0.1")], "catalog web.consul is 10.0.0.1"],
    ["own.test", AA, [a("own.test", "10.0.0.2")], "config own.test is 10.0.0.2"],
    ["1.0.0.10.in-addr.arpa", AA | 3, [], "catalog 1.0.0.10.in-addr.arpa is NXDOMAIN"],
    ["www.test", 5, [], "config error is REFUSED"],
  ];
  for (const [name, flags, answers, line] of rows) {
    const wire = packet.encode({ type: "response", questions: [{ name, type: "A" }], answers });
    wire.writeUInt16BE(0x8180 | flags, 2);
    log.served(wire, client);
    t.same(lines.splice(0), [`query[A] ${name} from 192.0.2.9`, line]);
  }
  log.served(Buffer.from("no message"), client);
  log.reload({ ...usual, form: "" });
  log.served(
    packet.encode({ type: "response", questions: [{ name: "x.test", type: "A" }] }),
    client,
  );
  t.same(lines, []);
});

t.test("files are named as dnsmasq names them; log-queries=extra", async (t) => {
  for (const form of ["dnsmasq", "dnsmasq-extra"] as const) {
    const { log, lines } = startLog({ form });
    const resolve = withQueryLog(({ query: wire, trace }, reply) => {
      const { id, questions = [] } = packet.decode(Buffer.from(wire));
      const [{ name } = { name: "" }] = questions;
      trace?.add(foreign);
      const isBlocked = name === "ads.test";
      const detail = { "ads.test": "/etc/ads.list", printer: "/etc/hosts" }[name];
      trace?.add({
        step: "local",
        source: isBlocked ? "blocklist" : "records",
        detail: detail ?? "forwarder.records",
      });
      const answers = isBlocked ? [] : [a(name, "10.1.1.1")];
      const sent = packet.encode({ type: "response", id: id!, questions, answers });
      if (isBlocked) sent[3] = 3;
      reply(sent);
    }, log);
    for (const name of ["printer", "own.test", "ads.test"]) resolve(asking(name), () => {});
    const texts = [
      "query[A] printer from 192.0.2.9",
      "/etc/hosts printer is 10.1.1.1",
      "query[A] own.test from 192.0.2.9",
      "config own.test is 10.1.1.1",
      "query[A] ads.test from 192.0.2.9",
      "/etc/ads.list ads.test is NXDOMAIN",
    ];
    if (form === "dnsmasq") t.same(lines, texts);
    else {
      const numbers = lines.map((line) => Number(/^(\d+) 192\.0\.2\.9\/5353 /.exec(line)?.[1]));
      t.same(
        lines.map((line) => line.replace(/^\d+ \S+ /, "")),
        texts,
      );
      t.same(
        numbers.map((number) => number - numbers[0]!),
        [0, 0, 1, 1, 2, 2],
      );
    }
  }
});

t.test("log-queries=proto: the transport first; secure ones are streams", async (t) => {
  for (const [transport, word] of [
    ["udp", "UDP"],
    ["tcp", "TCP"],
  ] as const) {
    const { log, lines } = startLog({ form: "dnsmasq-proto" });
    const logged = log.begin({ ...asking("www.test"), client: { ...client, transport } })!;
    logged.trace.add(sent("tls://[2001:db8::1]:853#one.example"));
    logged.end(replying(0, [a("www.test", "192.0.2.1")]));
    const numbers = new Set(lines.map((line) => /^[A-Z]{3} (\d+) /.exec(line)?.[1]));
    t.equal(numbers.size, 1, "of one question");
    t.same(
      lines.map((line) => line.replace(/ \d+ /, " N ")),
      [
        `${word} N 192.0.2.9/5353 query[A] www.test from 192.0.2.9`,
        `${word} N 192.0.2.9/5353 forwarded www.test to tls://2001:db8::1#853#one.example`,
        `${word} N 192.0.2.9/5353 reply www.test is 192.0.2.1`,
      ],
    );
  }
});

t.test("only what failed: errors, denials, no reply", async (t) => {
  const rows: [failed: boolean, type: "A" | "CNAME", reply: Uint8Array | null][] = [
    [false, "A", replying(0, [cname("www.test", "end.test"), a("end.test", "192.0.2.7")])],
    [false, "CNAME", replying(0, [cname("www.test", "end.test")])],
    [true, "A", replying(0, [cname("www.test", "end.test")])],
    [true, "A", replying(0)],
    [true, "A", replying(3)],
    [true, "A", replying(2)],
    [true, "A", replying(5)],
    [true, "A", null],
  ];
  for (const form of ["dnsmasq", "json"] as const) {
    const { log, lines } = startLog({ form, onlyFailed: true });
    for (const [failed, type, reply] of rows) {
      const logged = log.begin(asking("www.test", type))!;
      logged.trace.add(sent("192.0.2.1:53"));
      t.equal(lines.length, 0, "nothing before the end is known");
      logged.end(reply);
      t.equal(lines.splice(0).length > 0, failed, `${form} ${type} ${reply?.[3]}`);
    }
    t.equal(log.counts.overRate, 0);
  }
  const { log, lines } = startLog({ onlyFailed: true });
  const served = (rcode: number, answers: Answer[]): void => {
    const questions = [{ name: "www.test", type: "A" as const }];
    const wire = packet.encode({ type: "response", questions, answers });
    wire.writeUInt16BE(0x8180 | rcode, 2);
    log.served(wire, client);
  };
  served(0, [a("www.test", "192.0.2.1")]);
  t.same(lines, [], "nor of workers");
  served(3, []);
  t.same(lines, ["query[A] www.test from 192.0.2.9", "cached www.test is NXDOMAIN"]);
});
