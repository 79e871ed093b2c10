/**
 * Which test is for which threat to a resolver and which ask of its users: every number stands here, with
 * the files that have a test of that name or the reason why there is none. The lists are numbered for good:
 * a number that goes out of use stays, with its reason.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

type Row = [about: string, ...files: string[]];
/** Not the forwarder's, or left out: why. */
type Reason = { about: string; none: string };

const threats: Record<number, Row | Reason> = {
  1: [
    "ids and ports that can be guessed",
    "program/dns-entropy",
    "platform/source",
    "forwarder/driver",
  ],
  2: ["random case, and servers that change it", "forwarder/mixed-case", "program/dns-asks"],
  3: [
    "another id, port, address or family first",
    "program/dns-asks",
    "program/dns-hostile-upstream",
  ],
  4: ["ids tried out while we wait", "forwarder/mismatch", "program/dns-asks"],
  5: ["replies to another question", "forwarder/mismatch", "program/dns-hostile-upstream"],
  6: [
    "birthdays: many outstanding questions",
    "forwarder/forward",
    "forwarder/pairs",
    "forwarder/upstreams",
  ],
  7: [
    "records beside the chain",
    "forwarder/scrub",
    "forwarder/zones-apart",
    "program/dns-hostile-upstream",
  ],
  8: ["a parent's denial over a zone below", "forwarder/zones-apart"],
  9: ["TTLs out of bounds, ghost domains", "forwarder/cache"],
  10: ["fragments: 1,232 octets", "forwarder/asks", "dns/gate", "dns/guests", "peers/dns-access"],
  11: ["forged refreshes of stale answers", "forwarder/stale"],
  12: ["names that rebind to local addresses", "forwarder/filter/filter"],
  13: ["AD, CD and DO", "forwarder/cache", "program/dns-forward"],
  14: ["an open resolver", "dns/gate", "peers/dns-access"],
  15: [
    "amplification",
    "dns/gate",
    "dns/rate",
    "dns/guests",
    "forwarder/filter/filter",
    "peers/dns-access",
  ],
  16: ["cookies", "dns/gate", "dns/guests", "peers/dns-access"],
  17: ["floods of random names below a zone", "forwarder/budget", "program/dns-overload"],
  18: [
    "a silent zone that piles up",
    "forwarder/limits",
    "forwarder/forward",
    "program/dns-overload",
  ],
  19: [
    "bad replies that make us ask again",
    "forwarder/packets",
    "forwarder/mismatch",
    "forwarder/upstreams",
  ],
  20: ["chains, loops, DNAMEs", "forwarder/asks", "forwarder/scrub", "forwarder/local/pipeline"],
  21: ["many keys and signatures", "forwarder/asks"],
  22: [
    "slow and idle TCP clients, floods over TLS and HTTP/2",
    "dns/driver",
    "dns/turns",
    "program/dns-tcp",
    "program/dns-tls",
    "program/dns-tls-abuse",
    "program/dns-https-abuse",
    "forwarder/http1",
  ],
  23: ["no more sockets", "forwarder/limits", "forwarder/forward", "program/dns-overload"],
  24: ["floods of the log", "program/dns-malformed-flood", "agent/upstream-log"],
  25: ["checks that run commands", "program/http-guard", "cluster/checks/probe"],
  26: ["requests of foreign web pages", "http/guard", "program/http-guard"],
  27: ["rebinding to the HTTP API", "http/guard", "program/http-guard"],
  28: ["slow and many HTTP clients", "program/http-limits"],
  29: { about: "strangers that join", none: "there is one server: nobody can join it" },
  30: { about: "gossip that is injected", none: "there is one server: no gossip" },
  31: { about: "Raft from strangers", none: "there is one server: no Raft between hosts" },
  32: ["names that the token may not read", "dns/resolve", "program/dns-changes"],
  33: ["metrics and debugging for all", "program/http-guard"],
  34: ["imported files", "config/dnsmasq-files", "forwarder/local/follow", "fuzz/dnsmasq"],
  35: ["privileges", "config/shipped", "peers/privileges"],
};

const asks: Record<number, Row | Reason> = {
  1: ["every server is tried", "forwarder/upstreams", "forwarder/asks"],
  2: ["SERVFAIL and REFUSED of one are no end", "forwarder/upstreams", "forwarder/asks"],
  3: ["a dead server costs one question", "forwarder/upstreams", "program/dns-upstreams"],
  4: ["one line for each change of a server", "agent/upstream-log", "program/dns-upstreams"],
  5: ["all dead: at once", "forwarder/upstreams"],
  6: ["health that neither trusts errors nor floods", "forwarder/upstreams"],
  7: ["back within a second", "forwarder/upstreams", "forwarder/stale", "program/dns-upstreams"],
  8: ["silence ends after three seconds", "forwarder/upstreams"],
  9: [
    "one zone does not stop the others",
    "forwarder/limits",
    "forwarder/zones-apart",
    "agent/upstream-log",
  ],
  10: ["servers that differ: on to the next", "forwarder/upstreams", "forwarder/disagreements"],
  11: ["the last answer when servers fail", "forwarder/stale", "program/dns-stale"],
  12: ["... also when they suddenly deny", "forwarder/stale"],
  13: ["denials do not outlive themselves", "forwarder/stale"],
  14: [
    "a failure does not hide an answer",
    "forwarder/stale",
    "forwarder/cache",
    "program/dns-ttl",
  ],
  15: ["when stale answers are looked at again", "forwarder/stale"],
  16: ["the catalog without a leader", "dns/resolve"],
  17: ["no answers out of an empty catalog", "program/dns-asks"],
  18: ["denials of the catalog are not kept", "dns/asks", "dns/publish", "forwarder/cache"],
  19: ["the TTL of denials can be set", "dns/asks"],
  20: ["RA where others are forwarded", "dns/asks", "dns/header"],
  21: ["NODATA is kept for its type", "forwarder/cache"],
  22: { about: "TTL of PTR", none: "0 as Consul's; workers answer them, so that they cost little" },
  23: ["service_ttl in every form", "dns/forms"],
  24: ["short TTLs and failover", "forwarder/asks", "forwarder/cache", "program/dns-external"],
  25: ["deleted and made again", "dns/recreated", "dns/resolve", "forwarder/cache"],
  26: { about: "push instead of polling", none: "RFC 8765 is not there" },
  27: ["truncated upstream", "forwarder/asks", "program/dns-forward", "program/dns-asks"],
  28: ["thousands of instances over TCP", "dns/too-large"],
  29: ["SRV and A are cut alike, never to nothing", "dns/size"],
  30: ["never more than the client takes", "dns/size", "dns/too-large"],
  31: ["NODATA with the right SOA", "dns/asks", "forwarder/asks"],
  32: ["CNAMEs across zones", "dns/constant", "forwarder/local/pipeline", "forwarder/asks"],
  33: ["case is the client's", "dns/header", "forwarder/mixed-case", "forwarder/spelling"],
  34: ["systemd-resolved and resolv.conf", "cli/setup"],
  35: ["resolv.conf changes are seen", "forwarder/resolvconf-watch"],
  36: ["... those that are none are not", "forwarder/resolvconf-watch"],
  37: [
    "own addresses, loops",
    "agent/follow-upstreams",
    "forwarder/loops",
    "program/dns-upstreams",
    "program/dns-loop",
  ],
  38: ["interfaces that appear later", "peers/listen-interfaces"],
  39: ["ports in use, missing rights, sockets left open", "listening", "program/activation"],
  40: ["clients that keep failures for minutes", "dns/asks"],
  41: ["short names of services", "dns/short-names"],
  42: ["names below our domain that others know", "dns/constant"],
  43: ["names of addresses", "forwarder/local/pipeline", "dns/constant", "dns/resolve"],
  44: ["A and AAAA at once", "program/dns-asks"],
  45: ["packets per second", "forwarder/limits", "forwarder/upstreams", "forwarder/cache"],
  46: ["UDP first, TCP connections that last", "forwarder/asks", "forwarder/connections"],
  47: ["search lists", "forwarder/local/pipeline"],
  48: ["equal questions go once", "forwarder/forward", "program/dns-forward"],
  49: ["overload is shed", "forwarder/forward"],
  50: ["restarts without loss", "program/takeover", "program/lifecycle"],
  51: ["figures by name, RCODE, type", "metrics/families"],
  52: ["figures of the cache", "program/dns-asks"],
  53: ["who answered, and why it failed", "forwarder/failure-text"],
  54: ["source ports can be chosen", "platform/source"],
  55: ["scripts over an open API", "program/http-guard"],
};

/** First argument of a test, or first field of a row of a table of tests. */
const TITLES = /(?:\.test\(\s*|scenario\(\s*|\bwhen:\s*|^\s*\[?\s*)(["`])((?:(?!\1).)+)\1\s*,/gm;

function titles(file: string): string[] {
  const text = readFileSync(new URL(`${file}.test.ts`, import.meta.url), "utf8");
  return Array.from(text.matchAll(TITLES), ([, , title]) => title!);
}

const threatsIn = (title: string): number[] =>
  Array.from(title.matchAll(/\bS(\d{1,2})\b/g), ([, number]) => Number(number));
const asksIn = (title: string): number[] =>
  Array.from(title.matchAll(/\basks? (\d+(?:(?:, (?:ask )?| and )\d+)*)/g), ([, numbers]) =>
    numbers!.match(/\d+/g)!.map(Number),
  ).flat();

const lists = [
  { what: "S", rows: threats, last: 35, numbersIn: threatsIn },
  { what: "ask ", rows: asks, last: 55, numbersIn: asksIn },
];
for (const { what, rows, last, numbersIn } of lists)
  t.test(`${what.trim()} 1 to ${last}: each has its test, or a reason`, async (t) => {
    t.same(
      Object.keys(rows).map(Number),
      Array.from({ length: last }, (_, i) => i + 1),
    );
    for (const [number, row] of Object.entries(rows)) {
      if (!Array.isArray(row)) {
        t.ok(row.none.length > 0 && row.about.length > 0, `${what}${number}: ${row.none}`);
        continue;
      }
      const [about, ...files] = row;
      t.ok(files.length > 0);
      for (const file of files)
        t.ok(
          titles(file).some((title) => numbersIn(title).includes(Number(number))),
          `${what}${number} (${about}) in ${file}`,
        );
    }
  });

t.test(
  "the parser's attacks: questions and replies, UDP and TCP, in the program and alone",
  async (t) => {
    for (const file of [
      "program/malformed",
      "program/dns-hostile-upstream",
      "dns/request",
      "dns/message",
      "dns/edns",
      "dns/query-log",
      "forwarder/robust",
    ])
      t.ok(
        titles(file).some((title) => title.startsWith("parser: ")),
        file,
      );
  },
);

t.test("pairs: each of what interacts with each other", async (t) => {
  const words = {
    stale: /\bstale\b/i,
    coalescing: /\bcoalescing\b|\bjoined\b/i,
    prefetch: /\bprefetch\b/i,
    "0x20": /\b0x20\b/,
    subnets: /\bsubnets?\b/,
    "CD, DO": /\bCD\b/,
    TCP: /\bTCP\b/,
  };
  const named = ["forwarder/pairs", "forwarder/stale", "forwarder/prefetch", "forwarder/mixed-case"]
    .flatMap(titles)
    .concat(titles("forwarder/upstreams"));
  const all = Object.entries(words);
  const missing = all.flatMap(([one, first], i) =>
    all
      .slice(i + 1)
      .filter(([, second]) => !named.some((title) => first.test(title) && second.test(title)))
      .map(([other]) => `${one} and ${other}`),
  );
  t.same(missing, [], "named together in the title of a test");
});

t.test("S1: random numbers are those of the system's generator, everywhere", async (t) => {
  const source = fileURLToPath(new URL("../src", import.meta.url));
  const files = readdirSync(source, { recursive: true, encoding: "utf8" });
  const code = files
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file, text: readFileSync(join(source, file), "utf8") }));
  t.ok(code.length > 100);
  t.same(
    code.filter(({ text }) => text.includes("Math.random")).map(({ file }) => file),
    [],
  );
  const run = code.find(({ file }) => file === join("platform", "run.ts"));
  t.match(run?.text, /uint32[^}]*crypto\.getRandomValues/, "ids are drawn from it");
});

t.test("no number of a test is unknown", async (t) => {
  const files = [threats, asks].flatMap((rows) =>
    Object.values(rows).flatMap((row) => (Array.isArray(row) ? row.slice(1) : [])),
  );
  for (const file of new Set(files))
    for (const title of titles(file)) {
      for (const number of threatsIn(title)) t.ok(number in threats, `${file}: ${title}`);
      for (const number of asksIn(title)) t.ok(number in asks, `${file}: ${title}`);
    }
});
