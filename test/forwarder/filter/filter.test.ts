// Filters of answers. Where dnsmasq has the option, each row is what dnsmasq 2.90 answered.
import t from "tap";
import type { Answer } from "dns-packet";
import { loadFilter } from "./load.ts";
import { a, cname, soa } from "../world.ts";
import { behindFilters, decoded, inWords, type Said } from "./upstream.ts";

const aaaa = (name: string, data: string, ttl = 60): Answer => ({ type: "AAAA", name, data, ttl });
const text = (name: string, data: string): Answer => ({ type: "TXT", name, data, ttl: 60 });
const mx = (name: string): Answer => ({
  type: "MX",
  name,
  ttl: 60,
  data: { preference: 1, exchange: "mx.test" },
});

const servers: Record<string, Said> = {
  "www.test A": { answers: [a("www.test", "8.8.8.8")] },
  "www.test AAAA": { answers: [aaaa("www.test", "2001:4860::1")] },
  "www.test ANY": {
    answers: [
      a("www.test", "8.8.8.8"),
      aaaa("www.test", "2001:4860::1"),
      text("www.test", "long"),
      mx("www.test"),
    ],
  },
  "bogus.test A": { answers: [a("bogus.test", "192.0.2.66")] },
  "mixed.test A": { answers: [a("mixed.test", "8.8.8.8"), a("mixed.test", "192.0.2.66")] },
  "mixed.test TXT": { answers: [a("mixed.test", "192.0.2.66")] },
  "chain.test A": { answers: [cname("chain.test", "end.test", 30), a("end.test", "192.168.3.4")] },
  "none.test A": { authorities: [soa("test", 300, 100)] },
};

t.test("bogus_nxdomain", async (t) => {
  const { filter } = loadFilter({ "forwarder.bogus_nxdomain": ["192.0.2.66", "2001:4860::/32"] });
  const rows: [question: string, answer: string][] = [
    ["bogus.test A", "NXDOMAIN"],
    ["mixed.test A", "NXDOMAIN"],
    ["mixed.test TXT", "NXDOMAIN"],
    ["www.test AAAA", "NXDOMAIN"],
    ["www.test A", "www.test 60 A 8.8.8.8"],
    ["none.test A", "NODATA"],
    ["gone.test A", "NXDOMAIN"],
  ];
  const upstream = behindFilters(servers, filter);
  for (const [question, answer] of rows) t.equal(inWords(upstream.ask(question)), answer, question);
  t.same(upstream.counts(), { bogusNxdomain: 4 });
  const answer = upstream.ask("bogus.test A");
  t.match(
    answer,
    { ad: false, ede: [{ code: 15 }], cacheableSeconds: 60 },
    "blocked (RFC 8914 4.16)",
  );
});

t.test("alias", async (t) => {
  const { filter } = loadFilter({
    "forwarder.alias": [
      "1.2.3.0,6.7.8.0,255.255.255.0",
      "192.168.0.10-192.168.0.40,10.0.0.0,255.255.255.0",
      "8.8.8.8,9.9.9.9",
    ],
  });
  // From dnsmasq's manual page.
  const rows: [from: string, to: string][] = [
    ["1.2.3.56", "6.7.8.56"],
    ["1.2.3.67", "6.7.8.67"],
    ["1.2.4.67", "1.2.4.67"],
    ["192.168.0.9", "192.168.0.9"],
    ["192.168.0.10", "10.0.0.10"],
    ["192.168.0.40", "10.0.0.40"],
    ["192.168.0.41", "192.168.0.41"],
    ["8.8.8.8", "9.9.9.9"],
    ["255.255.255.255", "255.255.255.255"],
  ];
  for (const [from, to] of rows) {
    const said = { answers: [a("x.test", from)], additionals: [a("y.test", from)] };
    const upstream = behindFilters({ "x.test A": said }, filter);
    const answer = upstream.ask("x.test A");
    t.equal(inWords(answer), `x.test 60 A ${to}`, from);
    t.match(answer.ok && decoded(answer).additionals, [{ data: to }], "also beside the answer");
    t.match(answer, { ad: from === to });
    t.same(upstream.counts(), from === to ? {} : { alias: 1 });
  }
});

t.test("S12: rebinding protection", async (t) => {
  const { filter } = loadFilter({
    "forwarder.rebind_protection": true,
    "forwarder.rebind_domains_ok": ["OK.test", ""],
    domain: "consul.",
  });
  const inward = [
    ..."127.0.0.1 127.255.0.1 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1".split(" "),
    ..."169.254.169.254 192.0.2.1 198.51.100.1 203.0.113.1 255.255.255.255".split(" "),
    ..."::1 :: ::ffff:10.0.0.1 ::ffff:127.0.0.1 fe80::1 fec0::1 fd00::1 2001:db8::1".split(" "),
  ];
  const outward = "8.8.8.8 172.15.0.1 172.32.0.1 128.0.0.1 2001:4860::1 ::ffff:8.8.8.8 2001:db9::1";
  for (const address of [...inward, ...outward.split(" ")]) {
    const record = address.includes(":") ? aaaa("x.test", address) : a("x.test", address);
    const question = `x.test ${record.type}`;
    const said = { [question]: { answers: [a("x.test", "8.8.8.8"), record] } };
    const upstream = behindFilters(said, filter);
    const isInward = inward.includes(address);
    const answer = upstream.ask(question);
    t.equal(inWords(answer) === "NODATA", isInward, address);
    t.same(upstream.counts(), isInward ? { rebind: 1 } : {});
    if (isInward) t.match(answer, { rcode: 0, ad: false, ede: [{ code: 15 }] });
  }
  const said = (name: string) => ({ answers: [a(name, "10.1.2.3")] });
  const upstream = behindFilters(
    {
      ...servers,
      "a.ok.test A": said("a.ok.test"),
      "notok.test A": said("notok.test"),
      "single A": said("single"),
      "cat.test A": { answers: [cname("cat.test", "web.service.consul")] },
      "cat.test TXT": { answers: [text("cat.test", "10.0.0.1")] },
    },
    filter,
  );
  t.equal(inWords(upstream.ask("a.ok.test A")), "a.ok.test 60 A 10.1.2.3", "an exempt domain");
  t.equal(inWords(upstream.ask("single A")), "single 60 A 10.1.2.3", "names of one label");
  t.equal(inWords(upstream.ask("notok.test A")), "NODATA", "labels count, not letters");
  t.equal(inWords(upstream.ask("chain.test A")), "NODATA", "at the end of a chain");
  t.equal(inWords(upstream.ask("cat.test A")), "NODATA", "a chain that leads into the catalog");
  t.match(upstream.ask("cat.test TXT"), { answers: [{ type: 16 }] }, "a text leads nowhere");
  t.same(upstream.counts(), { rebind: 3 }, "counted");
  t.same(
    upstream.lines,
    ['warn possible DNS-rebind attack detected {"name":"notok.test."}'],
    "one line a second",
  );
  upstream.pass(1000);
  upstream.ask("notok.test A");
  t.equal(
    upstream.lines[1],
    'warn possible DNS-rebind attack detected {"name":"notok.test.","others":2}',
  );
});

t.test("S12: hints of HTTPS records are addresses as well (RFC 9460 7.3)", async (t) => {
  const { filter } = loadFilter({ "forwarder.rebind_protection": true });
  /** Priority 1, target ".", then parameters: key and value. */
  const data = (...params: [key: number, value: number[]][]): Uint8Array =>
    Uint8Array.from([0, 1, 0, ...params.flatMap(([key, v]) => [0, key, 0, v.length, ...v])]);
  const rows: [data: Uint8Array, isInward: boolean][] = [
    [data(), false],
    [data([1, [2, 0x68, 0x32]]), false],
    [data([4, [8, 8, 8, 8]]), false],
    [data([4, [8, 8, 8, 8, 10, 0, 0, 1]]), true],
    [data([1, [2, 0x68, 0x32]], [6, [0xfd, ...Array.from({ length: 15 }, () => 1)]]), true],
    [data([4, [10, 0, 0]]), false],
    [data([4, [10, 0, 0, 1]]).subarray(0, -1), false],
  ];
  for (const [value, isInward] of rows) {
    const upstream = behindFilters({}, filter);
    const answer = upstream.change("h.test HTTPS", [{ type: 65, data: value }]);
    t.equal(
      answer.ok && answer.answers.length,
      isInward ? 0 : 1,
      Buffer.from(value).toString("hex"),
    );
    t.same(upstream.counts(), isInward ? { rebind: 1 } : {});
  }
});

t.test("rebind_localhost_ok", async (t) => {
  const { filter } = loadFilter({
    "forwarder.rebind_protection": true,
    "forwarder.rebind_localhost_ok": true,
  });
  for (const address of ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "10.0.0.1"]) {
    const record = address.includes(":") ? aaaa("x.test", address) : a("x.test", address);
    const question = `x.test ${record.type}`;
    const upstream = behindFilters({ [question]: { answers: [record] } }, filter);
    t.equal(inWords(upstream.ask(question)) === "NODATA", address === "10.0.0.1", address);
  }
});

t.test("filter_types", async (t) => {
  const rows: [types: string[], question: string, answer: string, code?: number][] = [
    [["A"], "www.test A", "NODATA", 17],
    [["A"], "www.test AAAA", "www.test 60 AAAA 2001:4860::1"],
    [["a"], "chain.test A", "chain.test 30 CNAME end.test", 17],
    [["AAAA"], "www.test AAAA", "NODATA", 17],
    [["TYPE28"], "www.test AAAA", "NODATA", 17],
    [["AAAA"], "none.test A", "NODATA"],
    [["AAAA"], "gone.test A", "NXDOMAIN"],
  ];
  for (const [types, question, answer, code] of rows) {
    const { filter } = loadFilter({ "forwarder.filter_types": types });
    const upstream = behindFilters(servers, filter);
    const got = upstream.ask(question);
    t.equal(inWords(got), answer, `${types.join()}: ${question}`);
    t.same(upstream.counts(), code === undefined ? {} : { types: 1 });
    if (got.ok) t.equal(got.ede?.[0]?.code, code);
  }
  const typesOf = (types: string[]): unknown[] => {
    const { filter } = loadFilter({
      "forwarder.filter_types": types,
      "forwarder.minimal_any": false,
    });
    const answer = behindFilters(servers, filter).ask("www.test ANY");
    return answer.ok ? (decoded(answer).answers ?? []).map(({ type }) => type) : [];
  };
  t.same(typesOf([]), ["A", "AAAA", "TXT", "MX"]);
  t.same(typesOf(["ANY"]), ["A", "AAAA", "MX"]);
  t.same(typesOf(["A"]), ["AAAA", "TXT", "MX"]);
});

t.test("filter_types: a signature goes with what it signs", async (t) => {
  const { filter } = loadFilter({ "forwarder.filter_types": ["AAAA"] });
  const signature = (covered: number) => ({ type: 46, data: new Uint8Array(20).with(1, covered) });
  const answer = behindFilters({}, filter).change("x.test AAAA", [
    { type: 28, data: new Uint8Array(16).fill(1) },
    signature(28),
    signature(5),
  ]);
  t.match(answer, { answers: [{ type: 46, data: { 1: 5 } }], ad: false });
  t.equal(answer.ok && answer.answers.length, 1);
});

t.test("filter_win2k", async (t) => {
  const { filter } = loadFilter({ "forwarder.filter_win2k": true, "forwarder.minimal_any": false });
  const upstream = behindFilters(servers, filter);
  for (const question of ["www.test SOA", "_ldap._tcp.test SRV", "_x.test ANY"])
    t.match(upstream.ask(question), { rcode: 0, aa: true, answers: [] }, question);
  t.same(upstream.asked, []);
  upstream.ask("www.test ANY");
  upstream.ask("www.test A");
  t.same(upstream.asked, ["www.test ANY", "www.test A"]);
  t.same(upstream.counts(), { win2k: 3 });
});

t.test("S15: ANY over UDP is answered with one HINFO record (RFC 8482 4.2)", async (t) => {
  const upstream = behindFilters(servers, loadFilter({}).filter);
  const answer = upstream.ask("www.test ANY");
  const records = answer.ok ? decoded(answer).answers : [];
  t.match(records, [{ name: "www.test", type: "HINFO", data: { cpu: "RFC8482", os: "" } }]);
  t.same(upstream.asked, [], "nobody is asked");
  t.same(upstream.counts(), { minimalAny: 1 });
  const tcp = { address: "192.0.2.9", port: 5000, transport: "tcp" } as const;
  const overTcp = upstream.ask("www.test ANY", { client: tcp });
  t.equal(overTcp.ok && overTcp.answers.length, 4, "all of it over TCP");
  for (const over of [{ "forwarder.minimal_any": false }, { "forwarder.cache": false }]) {
    const plain = behindFilters(servers, loadFilter(over).filter).ask("www.test ANY");
    t.equal(plain.ok && plain.answers.length, 4, JSON.stringify(over));
  }
});

t.test("nothing configured: the asking itself", async (t) => {
  t.ok(behindFilters(servers, loadFilter({ "forwarder.minimal_any": false }).filter).isBare);
});

t.test("what options say wrong is told", async (t) => {
  const noAlias =
    'is not "from,to" or "from,to,mask" with IPv4 addresses; from may be a range "first-last"';
  const rows: [key: Parameters<typeof loadFilter>[0], error: string][] = [
    [
      { "forwarder.bogus_nxdomain": ["192.0.2.0/33"] },
      'forwarder.bogus_nxdomain: "192.0.2.0/33" is neither an address nor a network such as 192.0.2.0/24',
    ],
    [{ "forwarder.alias": ["1.2.3.4"] }, `forwarder.alias: "1.2.3.4" ${noAlias}`],
    [{ "forwarder.alias": ["::1,::2"] }, `forwarder.alias: "::1,::2" ${noAlias}`],
    [
      { "forwarder.alias": ["1.2.3.9-1.2.3.4,5.6.7.8"] },
      `forwarder.alias: "1.2.3.9-1.2.3.4,5.6.7.8" ${noAlias}`,
    ],
    [
      { "forwarder.filter_types": ["AAAAA"] },
      'forwarder.filter_types: "AAAAA" is not a type such as AAAA or TYPE65',
    ],
    [
      { "forwarder.rebind_domains_ok": ["a..b"] },
      'forwarder.rebind_domains_ok: "a..b" is no domain name: empty label',
    ],
    [
      { "forwarder.dns64_prefix": ["64:ff9b::/95"] },
      'forwarder.dns64_prefix: "64:ff9b::/95" must be one of the lengths /32, /40, /48, /56, /64, /96 (RFC 6052 section 2.2)',
    ],
    [
      { "forwarder.dns64_prefix": ["2001:db8:0:0:100::/96"] },
      'forwarder.dns64_prefix: "2001:db8:0:0:100::/96" must have bits 64 to 71 clear (RFC 6052 section 2.2)',
    ],
    [
      { "forwarder.dns64_prefix": ["10.0.0.0/8"] },
      'forwarder.dns64_prefix: "10.0.0.0/8" is not an IPv6 network such as 64:ff9b::/96',
    ],
  ];
  for (const [over, error] of rows) t.same(loadFilter(over).errors, [error]);
});
