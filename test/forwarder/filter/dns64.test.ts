// DNS64 by RFC 6147; each test names the section it is about.
import t from "tap";
import type { Answer } from "dns-packet";
import type { Config } from "../../../src/config/options.ts";
import { a, cname, soa } from "../world.ts";
import { loadFilter } from "./load.ts";
import { behindFilters, inWords, type Said } from "./upstream.ts";

const aaaa = (name: string, data: string, ttl = 60): Answer => ({ type: "AAAA", name, data, ttl });
const denied: Said = { authorities: [soa("test", 300, 100)], cacheableSeconds: 100 };

const servers: Record<string, Said> = {
  "v4.test A": { answers: [a("v4.test", "8.8.8.8", 900), a("v4.test", "9.9.9.9", 30)] },
  "v4.test AAAA": denied,
  "v6.test AAAA": { answers: [aaaa("v6.test", "2001:4860::1")] },
  "mapped.test AAAA": { answers: [aaaa("mapped.test", "::ffff:8.8.8.8")] },
  "mapped.test A": { answers: [a("mapped.test", "8.8.8.8")] },
  "both.test AAAA": {
    answers: [aaaa("both.test", "::ffff:8.8.8.8"), aaaa("both.test", "2001:4860::1")],
  },
  "fails.test AAAA": { failed: true },
  "fails.test A": { answers: [a("fails.test", "8.8.8.8", 9000)] },
  "refuses.test AAAA": { rcode: 5 },
  "refuses.test A": { answers: [a("refuses.test", "8.8.8.8")] },
  "dead.test AAAA": { failed: true },
  "dead.test A": { failed: true },
  "none.test AAAA": denied,
  "none.test A": denied,
  "chain.test AAAA": { answers: [cname("chain.test", "end.test", 20)], ...denied },
  "chain.test A": { answers: [cname("chain.test", "end.test", 20), a("end.test", "8.8.8.8")] },
  "private.test AAAA": denied,
  "private.test A": { answers: [a("private.test", "10.0.0.1"), a("private.test", "8.8.8.8")] },
  "33.2.0.192.in-addr.arpa PTR": {
    answers: [{ type: "PTR", name: "33.2.0.192.in-addr.arpa", data: "host.test", ttl: 60 }],
  },
};

const behind = (over: Partial<Config> = {}) =>
  behindFilters(
    servers,
    loadFilter({ "forwarder.dns64_prefix": ["64:ff9b::/96"], ...over }).filter,
  );

t.test("5.1: what is answered, and who is asked", async (t) => {
  const rows: [section: string, question: string, answer: string, asked: string][] = [
    [
      "5.1.7: TTL of the A record or of the denial, whichever is less",
      "v4.test AAAA",
      "v4.test 100 AAAA 64:ff9b::808:808, v4.test 30 AAAA 64:ff9b::909:909",
      "v4.test AAAA, v4.test A",
    ],
    ["5.1.1", "v6.test AAAA", "v6.test 60 AAAA 2001:4860::1", "v6.test AAAA"],
    ["5.1.2: NXDOMAIN", "gone.test AAAA", "NXDOMAIN", "gone.test AAAA"],
    [
      "5.1.2: another error, 5.1.3: silence; 5.1.7: at most 600 s without SOA",
      "fails.test AAAA",
      "fails.test 600 AAAA 64:ff9b::808:808",
      "fails.test AAAA, fails.test A",
    ],
    [
      "5.1.2: another error",
      "refuses.test AAAA",
      "refuses.test 60 AAAA 64:ff9b::808:808",
      "refuses.test AAAA, refuses.test A",
    ],
    ["both fail", "dead.test AAAA", "failed", "dead.test AAAA, dead.test A"],
    [
      "5.1.4: excluded addresses count as absent",
      "mapped.test AAAA",
      "mapped.test 60 AAAA 64:ff9b::808:808",
      "mapped.test AAAA, mapped.test A",
    ],
    ["5.1.4: others remain", "both.test AAAA", "both.test 60 AAAA 2001:4860::1", "both.test AAAA"],
    [
      "5.1.5: behind a chain",
      "chain.test AAAA",
      "chain.test 20 CNAME end.test, end.test 60 AAAA 64:ff9b::808:808",
      "chain.test AAAA, chain.test A",
    ],
    ["5.1.6: no A either", "none.test AAAA", "NODATA", "none.test AAAA, none.test A"],
    [
      "RFC 6052 3.1: not for private addresses",
      "private.test AAAA",
      "private.test 60 AAAA 64:ff9b::808:808",
      "private.test AAAA, private.test A",
    ],
    ["other types", "v4.test A", "v4.test 900 A 8.8.8.8, v4.test 30 A 9.9.9.9", "v4.test A"],
  ];
  for (const [section, question, answer, asked] of rows) {
    const upstream = behind();
    t.equal(inWords(upstream.ask(question)), answer, `${section}: ${question}`);
    t.equal(upstream.asked.join(", "), asked);
    t.same(upstream.counts(), answer.includes("64:ff9b") ? { dns64: 1 } : {});
  }
});

t.test("5.2: one record under each prefix, of any length", async (t) => {
  const upstream = behind({ "forwarder.dns64_prefix": ["2001:db8:122::/48", "64:ff9b::/96"] });
  t.equal(
    inWords(upstream.ask("chain.test AAAA")),
    "chain.test 20 CNAME end.test, end.test 60 AAAA 2001:db8:122:808:8:800::, end.test 60 AAAA 64:ff9b::808:808",
  );
});

t.test("5.3.1: names of translated addresses", async (t) => {
  const name = "1.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa";
  const other = name.replace("6.0.0.ip6", "7.0.0.ip6");
  const upstream = behind();
  t.equal(
    inWords(upstream.ask(`${name} PTR`)),
    `${name} 3600 CNAME 33.2.0.192.in-addr.arpa, 33.2.0.192.in-addr.arpa 60 PTR host.test`,
  );
  t.same(upstream.asked, ["33.2.0.192.in-addr.arpa PTR"]);
  t.equal(inWords(upstream.ask(`${other} PTR`)), "NXDOMAIN", "another prefix");
  t.same(upstream.asked.slice(1), [`${other} PTR`]);
});

t.test("5.5: clients that validate get what is signed", async (t) => {
  const rows: [flags: { do: boolean; cd: boolean }, synthesis: boolean][] = [
    [{ do: false, cd: false }, true],
    [{ do: true, cd: false }, true],
    [{ do: true, cd: true }, false],
    [{ do: false, cd: true }, true],
  ];
  for (const [flags, synthesis] of rows) {
    const upstream = behind();
    const answer = upstream.ask("chain.test AAAA", flags);
    t.equal(inWords(answer).includes("64:ff9b"), synthesis, JSON.stringify(flags));
    if (synthesis) t.match(answer, { ad: false }, "nobody vouches for it");
  }
  const signature: Answer = {
    type: "RRSIG",
    name: "test",
    ttl: 300,
    data: {
      typeCovered: "SOA",
      algorithm: 13,
      labels: 1,
      originalTTL: 300,
      expiration: 2,
      inception: 1,
      keyTag: 1,
      signersName: "test",
      signature: Buffer.alloc(8),
    },
  };
  const signed = { "v4.test AAAA": { authorities: [soa("test", 300, 100), signature] } };
  const { filter } = loadFilter({ "forwarder.dns64_prefix": ["64:ff9b::/96"] });
  const upstream = behindFilters({ ...servers, ...signed }, filter);
  t.equal(inWords(upstream.ask("v4.test AAAA", { do: true })), "NODATA", "a signed denial stays");
});

t.test("RFC 7050: the prefix can be found out", async (t) => {
  const upstream = behind();
  t.equal(
    inWords(upstream.ask("ipv4only.arpa AAAA")),
    "ipv4only.arpa 3600 AAAA 64:ff9b::c000:aa, ipv4only.arpa 3600 AAAA 64:ff9b::c000:ab",
  );
  t.same(upstream.asked, []);
});

t.test("only for dns64_clients, and then nothing is for workers", async (t) => {
  const upstream = behind({ "forwarder.dns64_clients": ["10.0.0.0/8", "fd00::/8"] });
  const client = (address: string) => ({
    client: { address, port: 5000, transport: "udp" as const },
  });
  for (const address of ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3"]) {
    const answer = upstream.ask("v4.test AAAA", client(address));
    t.match(inWords(answer), /64:ff9b/, address);
    t.match(answer, { cacheableSeconds: 0 });
  }
  for (const question of ["v4.test AAAA", "mapped.test AAAA", "ipv4only.arpa AAAA"]) {
    const answer = upstream.ask(question, client("11.0.0.1"));
    t.notMatch(inWords(answer), /64:ff9b/, question);
    if (answer.ok && answer.rcode === 0) t.equal(answer.cacheableSeconds, 0);
  }
  t.match(upstream.ask("v6.test AAAA", client("11.0.0.1")), { cacheableSeconds: 60 });
  t.match(behind().ask("v4.test AAAA"), { cacheableSeconds: 60, fromCache: true }, "for all");
});

t.test("with other filters", async (t) => {
  const noA = behind({ "forwarder.filter_types": ["A", "AAAA"] });
  t.equal(inWords(noA.ask("v4.test A")), "NODATA");
  t.match(
    inWords(noA.ask("v4.test AAAA")),
    /64:ff9b/,
    "records of IPv4 are there to be translated",
  );
  const aliased = behind({ "forwarder.alias": ["8.8.8.8,1.1.1.1"] });
  t.match(inWords(aliased.ask("mapped.test AAAA")), /64:ff9b::101:101/, "rewritten first");
  const bogus = behind({ "forwarder.bogus_nxdomain": ["8.8.8.8"] });
  t.equal(inWords(bogus.ask("v4.test AAAA")), "NODATA");
});
