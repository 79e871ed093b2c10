/** What users of other resolvers ask for of names in the catalog, by number. */
import t from "tap";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { everywhere } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, good, lines, type World } from "./resolver-world.ts";

const web = (world: World): void => world.apply(register(node("n1"), service("web")));

t.test(
  "ask 18, 40: denials of the catalog are for nobody's cache, unless told otherwise",
  async (t) => {
    const world = createWorld({ settings: { recursorsConfigured: true } });
    for (const name of ["web.service.consul", "n9.node.consul"])
      for (const { road, reply } of everywhere(world, query(name))) {
        t.match(reply, { rcode: "NXDOMAIN", flag_aa: true }, road);
        t.match(
          lines(reply.authorities),
          [/^consul\. 0 SOA .* 0$/],
          `${name} ${road}: TTL and MINIMUM`,
        );
      }
    t.equal(world.asked.length, 0, "no server is asked");
    web(world);
    for (const { road, reply } of everywhere(world, query("web.service.consul")))
      t.match(reply, { rcode: "NOERROR", answers: [{ type: "A" }] }, `${road}: at once`);
  },
);

t.test("ask 19: soa.min_ttl is TTL and MINIMUM of every denial (RFC 2308 section 5)", async (t) => {
  const world = createWorld({
    settings: { soa: { refreshSeconds: 1, retrySeconds: 2, expireSeconds: 3, minTtlSeconds: 45 } },
  });
  web(world);
  for (const [name, type] of [
    ["nope.service.consul", "A"],
    ["web.service.consul", "AAAA"],
    ["nope.node.consul", "A"],
    ["9.9.9.10.in-addr.arpa", "PTR"],
  ] as const)
    for (const { road, reply } of everywhere(world, query(name, type)))
      t.match(lines(reply.authorities), [/ 45 SOA .* 1 2 3 45$/], `${name} ${type} ${road}`);
});

t.test(
  "ask 31: AAAA of a service with IPv4 only is NODATA with the SOA of the domain",
  async (t) => {
    const world = createWorld({ settings: { altDomain: "dc1.corp.example." } });
    web(world);
    for (const domain of ["consul", "dc1.corp.example"])
      for (const { road, reply } of everywhere(world, query(`web.service.${domain}`, "AAAA"))) {
        t.match(reply, { rcode: "NOERROR", flag_aa: true, answers: [] }, `${domain} ${road}`);
        t.match(
          lines(reply.authorities),
          [new RegExp(`^${domain}\\. 0 SOA `)],
          `${domain} ${road}`,
        );
      }
  },
);

t.test("ask 20: RA is set where others are forwarded, on every kind of answer", async (t) => {
  for (const recursorsConfigured of [true, false]) {
    const world = createWorld({ settings: { recursorsConfigured }, upstream: () => good() });
    web(world);
    for (const name of ["web.service.consul", "nope.service.consul", "consul"])
      for (const { road, reply } of everywhere(world, query(name)))
        t.equal(reply.flag_ra, recursorsConfigured, `${name} ${road}`);
  }
});
