/** Names that go and come back elsewhere: what is prepared for workers, and chains that lead to them. */
import t from "tap";
import { parseName } from "../../src/dns/name.ts";
import { TYPE, type Rr } from "../../src/dns/rr.ts";
import { deregister, node, register, service } from "../cluster/state-fixtures.ts";
import { everywhere } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, good, lines, type World } from "./resolver-world.ts";

const wire = (text: string): Uint8Array => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};

/** What is answered on every road. */
function seen(world: World, name: string): string[] {
  const roads = everywhere(world, query(name, "A", { edns: 1232 }));
  const answers = roads.map(({ reply }) => lines(reply.answers).join(", "));
  return [...new Set(answers)];
}

t.test(
  "ask 25: a name that was deleted and made again has its new address on every road",
  async (t) => {
    const link: Rr = {
      owner: wire("alias.example"),
      type: TYPE.CNAME,
      class: 1,
      ttl: 3600,
      data: wire("web.service.consul"),
    };
    const world = createWorld({
      settings: { recursorsConfigured: true, serviceTtlSeconds: new Map([["*", 600]]) },
      // The link is in the forwarder's cache for an hour.
      upstream: () => good({ answers: [link], cacheableSeconds: 3600, fromCache: true }),
    });
    const names = ["web.service.consul", "alias.example"];
    const chain = "alias.example. 3600 CNAME web.service.consul, ";
    for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) {
      world.apply(register(node("n1", { address }), service("web")));
      const own = `web.service.consul. 600 A ${address}`;
      t.same(
        names.map((name) => seen(world, name)),
        [[own], [chain + own]],
      );
      world.apply(deregister("n1"));
      t.same(
        names.map((name) => seen(world, name)),
        [[""], [chain.slice(0, -2)]],
      );
    }
  },
);
