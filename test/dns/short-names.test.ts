/** Services by a name of one label: the resolver, the pipeline in front of the servers, the answer table. */
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { RCODE } from "../../src/dns/rr.ts";
import { localDefaults, type LocalSettings } from "../../src/forwarder/local/settings.ts";
import { createPipeline } from "../../src/forwarder/pipeline.ts";
import type { ForwardAnswer } from "../../src/dns/answer.ts";
import { deregister, node, register, service } from "../cluster/state-fixtures.ts";
import { seededRandom, wireName } from "../forwarder/world.ts";
import { question } from "../program/scene.ts";
import { createWorld, decode, good, lines, type WorldOptions } from "./resolver-world.ts";

/** A server that denies every name, whose answers stay for five minutes. */
function worldOf(local: Partial<LocalSettings> = {}, over: WorldOptions["settings"] = {}) {
  const servers: string[] = [];
  const pipeline = createPipeline({
    forwarder: {
      forwardTo(group, request, done) {
        servers.push(`${group}:${formatName(request.qname)}`);
        done(good({ rcode: RCODE.NXDOMAIN, cacheableSeconds: 300, fromCache: true }));
      },
    },
    settings: { ...localDefaults, domains: [wireName("consul")], ...local },
    filter: null,
    random: seededRandom(3),
  });
  const world = createWorld({
    settings: {
      recursorsConfigured: true,
      shortNames: true,
      serviceTtlSeconds: new Map([["web", 20]]),
      ...over,
    },
    upstream(request): ForwardAnswer {
      let given: ForwardAnswer | undefined;
      pipeline.forward(request, (answer) => (given = answer));
      return given ?? { ok: false, reason: "failed" };
    },
  });
  const ask = (name: string, type = "A"): string => {
    const reply = decode(world.compute(question(name, { type: type as "A" })));
    const rcode = reply.flags! & 15;
    const said = lines(reply.answers).join(", ");
    return `${reply.flag_aa ? "aa " : ""}${rcode === 0 ? "" : `${rcode} `}${said}`.trim();
  };
  return { ...world, pipeline, servers, ask };
}

const web = register(node("n1", { address: "10.0.0.1" }), service("web", { port: 80 }));
const link = "web. 20 CNAME web.service.consul";

t.test("ask 41: a name of one label is the service of that name", async (t) => {
  const world = worldOf();
  world.apply(web);
  t.equal(world.ask("web"), `aa ${link}, web.service.consul. 20 A 10.0.0.1`);
  t.equal(
    world.ask("WEB"),
    `aa ${link}, WEB.service.consul. 20 A 10.0.0.1`.replaceAll("web", "WEB"),
  );
  t.equal(world.ask("web", "AAAA"), `aa ${link}`);
  t.match(
    world.ask("web", "SRV"),
    /^aa web\. 20 CNAME web\.service\.consul, web\.service\.consul\. 20 SRV .*80/,
  );
  t.equal(world.ask("web", "CNAME"), `aa ${link}`);
  t.equal(world.ask("web", "ANY"), `aa ${link}`, "of ANY the CNAME is the answer (RFC 1034 4.3.2)");
  t.same(world.servers, [], "nobody was asked");
  t.equal(world.pipeline.stats().answers["short name"], 2);
  t.equal(world.ask("db"), "3", "no service: as ever");
  t.equal(world.ask("web.example"), "3", "two labels");
  t.equal(
    world.ask("web", "NS"),
    "",
    "what is asked of a zone goes to the servers, who deny no name",
  );
  t.same(world.servers, [":db.", ":web.example.", ":web."]);
});

t.test("ask 41: what is kept is withdrawn when the service comes and goes", async (t) => {
  const world = worldOf();
  const kept = (type: "A" | "CNAME") => world.fromTable(question("web", { type })) !== null;
  t.equal(world.ask("web"), "3");
  t.ok(kept("A"), "workers deny it");
  world.apply(web);
  t.notOk(kept("A"), "until there is such a service");
  t.equal(world.ask("web"), `aa ${link}, web.service.consul. 20 A 10.0.0.1`);
  t.notOk(kept("A"), "the chain into the catalog is made for each");
  for (let i = 0; i < 2; i++) world.ask("web", "CNAME");
  t.ok(kept("CNAME"));
  world.apply(deregister("n1"));
  t.notOk(kept("CNAME"));
  t.equal(world.ask("web"), "3");
  world.reload({ shortNames: false });
  world.apply(web);
  t.equal(world.ask("web"), "3", "off");
});

t.test(
  "ask 41: a service that comes while servers are asked is not hidden by their answer",
  async (t) => {
    const world = createWorld({
      settings: { recursorsConfigured: true, shortNames: true },
      upstream: () => "later",
    });
    world.compute(question("web"));
    world.apply(web);
    world.release(good({ rcode: RCODE.NXDOMAIN, cacheableSeconds: 300, fromCache: true }));
    t.equal(world.fromTable(question("web")), null);
    t.equal(world.table.stats().entries, 0);
  },
);

t.test("ask 41: whatever is known here of the name goes before", async (t) => {
  const rr = { owner: wireName("web"), type: 16, class: 1, ttl: 0, data: Uint8Array.of(1, 120) };
  const deny = { kind: "deny" } as const;
  const cases: [about: string, local: Partial<LocalSettings>, answer: string, asked: string[]][] = [
    ["a record of another type", { records: [{ ...rr, wildcard: false }] }, "", [":web."]],
    [
      "a zone",
      { rules: [{ match: { kind: "suffix", name: wireName("web") }, action: deny }] },
      "aa 3",
      [],
    ],
    [
      "names of one label stay here",
      { rules: [{ match: { kind: "single label" }, action: deny }] },
      "aa 3",
      [],
    ],
    [
      "names of one label have servers",
      { rules: [{ match: { kind: "single label" }, action: { kind: "forward", group: "lan" } }] },
      "3",
      ["lan:web."],
    ],
  ];
  for (const [about, local, answer, asked] of cases) {
    const world = worldOf(local);
    world.apply(web);
    t.equal(world.ask("web"), answer, about);
    t.same(world.servers, asked, about);
  }
  const needed = worldOf({ domainNeeded: true });
  needed.apply(web);
  t.match(needed.ask("web"), link, "a service is no name to be kept inside");
  t.equal(needed.ask("db"), "aa 3");
});

t.test("ask 41: a service that the DNS token may not read has no short name", async (t) => {
  const world = createWorld({
    settings: { recursorsConfigured: true, shortNames: true },
    acl: { enabled: true, defaultPolicy: "deny" },
    upstream: () => good({ rcode: RCODE.NXDOMAIN }),
  });
  world.apply(web);
  t.equal(decode(world.compute(question("web"))).flags! & 15, RCODE.NXDOMAIN);
  t.same(
    world.forwarded.map(({ short }) => short),
    [undefined],
  );
});
