/** What a reply repeats of its question and what it sets itself, on every road (spec of the DNS interface, 1). */
import t from "tap";
import { TYPE } from "../../src/dns/rr.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { everywhere, patched, rcodeOf, sections } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, type World } from "./resolver-world.ts";

function populated(recursorsConfigured = false): World {
  const world = createWorld({
    settings: { altDomain: "Lab.Example.", recursorsConfigured },
    upstream: ({ qname }) =>
      good({
        answers: [
          { owner: qname, type: TYPE.A, class: 1, ttl: 60, data: Uint8Array.of(9, 9, 9, 9) },
        ],
        cacheableSeconds: 60,
        fromCache: true,
      }),
  });
  world.apply(register(node("App-1", { address: "10.1.0.1" }), service("Web")));
  world.apply(register(node("Edge-1", { address: "10.1.0.9" }), service("consul")));
  return world;
}

/** The question section as it stands in a message. */
const questionIn = (wire: Uint8Array): string => {
  let at = 12;
  while (wire[at] !== 0) at += wire[at]! + 1;
  return Buffer.from(wire.subarray(12, at + 5)).toString("latin1");
};

t.test(
  "ask 33: the question comes back octet for octet, and its spelling owns the answers",
  async (t) => {
    const world = populated(true);
    const rows: [name: string, type: string, owner: string][] = [
      ["wEb.SERvice.CoNsul", "A", "wEb.SERvice.CoNsul."],
      ["wEb.SERvice.lAb.eXample", "A", "wEb.SERvice.lAb.eXample."],
      ["_wEb._TCP.CONSUL", "SRV", "_wEb._TCP.CONSUL."],
      ["aPP-1.nOde.consul", "ANY", "aPP-1.nOde.consul."],
      ["0A010001.aDdr.Consul", "A", "0a010001.addr.consul."],
      ["0A010001.aDdr.Lab.Example", "A", "0a010001.addr.lab.example."],
      ["1.0.1.10.IN-addr.ARPA", "PTR", "1.0.1.10.IN-addr.ARPA."],
      ["wWw.ExAmple.com", "A", "wWw.ExAmple.com."],
    ];
    for (const [name, type, owner] of rows) {
      const asked = query(name, type);
      const other = query(name.toLowerCase(), type);
      for (const wire of [asked, other]) {
        const roads = everywhere(world, wire);
        t.ok(
          roads.some(({ road }) => road === "table"),
          `${name} is served by workers`,
        );
        for (const { road, wire: reply } of roads)
          t.equal(questionIn(reply), questionIn(wire), `${name} ${road}: question`);
      }
      for (const { road, reply } of everywhere(world, asked))
        t.match(lines(reply.answers)[0], owner, `${name} ${road}: owner`);
    }
  },
);

t.test("made-up names: stored spelling, but NS in lower case", async (t) => {
  const world = populated();
  for (const [domain, made] of [
    ["CONSUL", "consul"],
    ["LAB.Example", "lab.example"],
  ] as const) {
    for (const { road, reply } of everywhere(world, query(`web.service.${domain}`, "SRV"))) {
      t.match(lines(reply.answers)[0], `1 1 80 App-1.node.dc1.${made}`, `SRV ${road}`);
      t.match(lines(reply.additionals)[0], `App-1.node.dc1.${made}. 0 A`, `glue ${road}`);
    }
    for (const { road, reply } of everywhere(world, query(`x.y.${domain}`, "NS"))) {
      t.same(lines(reply.answers), [`${made}. 0 NS edge-1.node.dc1.${made}`], `NS ${road}`);
      t.same(lines(reply.additionals), [`edge-1.node.dc1.${made}. 0 A 10.1.0.9`], `glue ${road}`);
    }
  }
  for (const { reply } of everywhere(world, query("1.0.1.10.in-addr.arpa", "PTR")))
    t.match(lines(reply.answers)[0], "App-1.node.dc1.consul", "PTR is always in the main domain");
});

t.test("the class is not looked at: the question keeps it, the records are IN", async (t) => {
  const world = populated();
  for (const [name, type] of [
    ["web.service.consul", "A"],
    ["nope.service.consul", "A"],
    ["1.0.1.10.in-addr.arpa", "PTR"],
  ] as const)
    for (const qclass of [0, 3, 4, 254, 255]) {
      const plain = query(name, type);
      const wire = patched(plain, { [plain.length - 1]: qclass });
      for (const { road, wire: reply, reply: read } of everywhere(world, wire)) {
        t.equal(questionIn(reply), questionIn(wire), `${name} class ${qclass} ${road}`);
        t.equal(read.rcode, rcodeOf(world.compute(plain)));
        for (const record of [...(read.answers ?? []), ...(read.authorities ?? [])])
          t.equal((record as { class?: string }).class, "IN", `${name} class ${qclass} ${road}`);
      }
    }
});

t.test("ask 20: RD and CD are copied, AD and Z never set, RA is the configuration's", async (t) => {
  for (const recursors of [false, true]) {
    const world = populated(recursors);
    for (const name of ["web.service.consul", "nope.service.consul", "app-1.node.consul"])
      for (const rd of [false, true])
        for (const cd of [false, true]) {
          // AD and Z are set in the request, and so is everything that only a reply may have.
          const plain = query(name, "A", { rd, cd, ad: true });
          const wire = patched(plain, { 2: plain[2]! | 0x06, 3: plain[3]! | 0xcf });
          for (const [what, asked] of [
            ["plain", plain],
            ["odd bits", wire],
          ] as const)
            for (const { road, wire: reply } of everywhere(world, asked)) {
              const label = `${name} rd ${rd} cd ${cd} recursors ${recursors}, ${what}, ${road}`;
              t.equal(reply[2], 0x84 | (rd ? 1 : 0), `${label}: QR AA RD`);
              t.equal(
                reply[3]! & 0xf0,
                (recursors ? 0x80 : 0) | (cd ? 0x10 : 0),
                `${label}: RA CD`,
              );
            }
        }
  }
});

t.test("NOTIFY is served like a query: its opcode, neither RD nor CD", async (t) => {
  const world = populated(true);
  const plain = query("web.service.consul", "A", { cd: true });
  const notify = patched(plain, { 2: plain[2]! | (4 << 3) });
  world.compute(plain);
  const roads = everywhere(world, notify);
  t.same(
    roads.map(({ road }) => road),
    ["main", "tcp"],
    "never from the table",
  );
  for (const { road, wire, reply } of roads) {
    t.equal(wire[2], 0x80 | (4 << 3) | 0x04, `${road}: QR, opcode, AA`);
    t.equal(wire[3]! & 0x10, 0, `${road}: CD`);
    t.same(lines(reply.answers), ["web.service.consul. 0 A 10.1.0.1"], road);
  }
  const foreign = patched(query("www.example.com"), { 2: 1 | (4 << 3) });
  t.match(decode(world.compute(foreign)), { rcode: "NOTIMP" }, "a zone that is not ours");
  t.equal(world.asked.length, 0, "and nobody is bothered with it");
});

t.test("the two domains: longer suffix first, by label, same names", async (t) => {
  for (const [domain, altDomain] of [
    ["consul.", "test.consul."],
    ["test.consul.", "consul."],
    ["consul.", "lab.example."],
  ] as const) {
    const world = createWorld({ settings: { domain, altDomain } });
    world.apply(register(node("app1", { address: "10.1.0.1" }), service("web", { tags: ["v1"] })));
    const suffixes = [domain, altDomain].map((name) => name.slice(0, -1));
    for (const form of [
      "web.service.",
      "v1.web.service.",
      "v1.web.service.dc1.",
      "_web._v1.service.",
      "app1.node.",
      "app1.node.dc1.",
      "0a010001.addr.",
      "web.service.dc9.",
      "service.",
      "",
    ])
      for (const type of ["A", "SRV", "MX", "SOA"]) {
        const [main, alt] = suffixes.map((suffix) => {
          const wire = world.compute(query(form + suffix, type));
          const text = JSON.stringify([rcodeOf(wire), sections(decode(wire))]);
          return text.replaceAll(new RegExp(`\\b${suffix.replace(".", "\\.")}\\b`, "g"), "D");
        });
        t.equal(alt, main, `${form}D ${type} in ${suffixes.join(" and ")}`);
      }
    for (const suffix of suffixes)
      for (const near of [`x${suffix}`, `a.not${suffix}`, `${suffix}.x`]) {
        // Beside the alternative domain, but still below the other.
        const rcode = near.endsWith("test.consul") ? "NXDOMAIN" : "REFUSED";
        t.match(decode(world.compute(query(near))), { rcode }, near);
      }
  }
});

t.test(
  "DS belongs to the parent: forwarded with recursors, served like any type without",
  async (t) => {
    const names = ["consul", "web.service.consul", "lab.example", "app-1.node.lab.example"];
    const alone = populated();
    for (const name of names) {
      const wire = alone.compute(query(name, "DS"));
      t.equal(decode(wire).flag_aa, true, name);
      t.equal(rcodeOf(wire), /service|node/.test(name) ? "NOERROR" : "NXDOMAIN", name);
    }
    const world = populated(true);
    for (const name of names)
      t.equal(decode(world.compute(query(name, "DS"))).flag_aa, false, `${name} with recursors`);
    t.same(
      world.asked,
      names.map((name) => `${name}. ${TYPE.DS}`),
    );
  },
);
