// Zones of views below our own domain: for their clients they go before the catalog.
import t from "tap";
import { foldName, formatName, nameUnder } from "../../src/dns/name.ts";
import type { Elsewhere } from "../../src/dns/settings.ts";
import type { Client } from "../../src/ports.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, udp } from "./resolver-world.ts";
import { record } from "../../src/dns/rrset.ts";
import { TYPE } from "../../src/dns/rr.ts";

const wire = (text: string): Uint8Array => foldName(nameUnder(text, new Uint8Array(1))!);
const away = (text: string, belowOnly = false): Elsewhere => ({ name: wire(text), belowOnly });
const lab: Client = { ...udp, address: "10.0.0.9" };
const guest: Client = { ...udp, address: "192.0.2.9" };

/** Two services of the same catalog, one of them at a host name below our domain. */
function scene() {
  let isDown = false;
  const world = createWorld({
    settings: {
      recursorsConfigured: true,
      elsewhere: [away("dc2.consul")],
      viewElsewhere: new Map([["lab", [away("db.service.consul"), away("node.consul", true)]]]),
    },
    viewOf: ({ address }) => (address.startsWith("10.") ? "lab" : "others"),
    upstream: ({ qname, client }) => {
      if (isDown) return { ok: false, reason: "failed" };
      return good({
        answers: [
          record(
            qname,
            TYPE.A,
            60,
            Uint8Array.of(client.address === lab.address ? 77 : 78, 0, 0, 1),
          ),
        ],
        cacheableSeconds: 60,
        fromCache: true,
      });
    },
  });
  world.apply(register(node("n1", { address: "192.0.2.1" }), service("db")));
  world.apply(register(node("n2", { address: "db.service.consul" }), service("web")));
  world.apply(register(node("n3", { address: "host.example" }), service("host")));
  const told = (name: string, client: Client): string[] =>
    lines(decode(world.compute(query(name), client)).answers);
  return { world, told, down: () => void (isDown = true) };
}

t.test("the view's clients are sent elsewhere, all others to the catalog", async (t) => {
  const { world, told } = scene();
  t.same(told("db.service.consul", guest), ["db.service.consul. 0 A 192.0.2.1"]);
  t.same(told("DB.service.consul", lab), ["DB.service.consul. 60 A 77.0.0.1"]);
  t.same(told("x.db.service.consul", lab), ["x.db.service.consul. 60 A 77.0.0.1"]);
  t.same(told("n1.node.consul", lab), ["n1.node.consul. 60 A 77.0.0.1"]);
  t.same(told("n1.node.consul", guest), ["n1.node.consul. 0 A 192.0.2.1"]);
  t.same(told("node.consul", lab), [], "a zone of what is below says nothing of the name itself");
  t.same(told("x.dc2.consul", lab), ["x.dc2.consul. 60 A 77.0.0.1"], "and what holds for all");
  t.same(told("x.dc2.consul", guest), ["x.dc2.consul. 60 A 78.0.0.1"]);
  t.same(
    world.forwarded.map(({ qname, client }) => `${formatName(qname)} ${client.address}`),
    [
      "DB.service.consul. 10.0.0.9",
      "x.db.service.consul. 10.0.0.9",
      "n1.node.consul. 10.0.0.9",
      "x.dc2.consul. 10.0.0.9",
      "x.dc2.consul. 192.0.2.9",
    ],
  );
  t.equal(world.resolver.counters.published, 3, "what the others are told, and nothing else");
});

t.test("a host name that leads into the view's zone is asked there, for its clients", async (t) => {
  const { told } = scene();
  t.same(told("web.service.consul", guest), [
    "web.service.consul. 0 CNAME db.service.consul",
    "db.service.consul. 0 A 192.0.2.1",
  ]);
  t.same(told("web.service.consul", lab), [
    "web.service.consul. 0 CNAME db.service.consul",
    "db.service.consul. 0 A 77.0.0.1",
  ]);
});

t.test("last known addresses are those of the view", async (t) => {
  const { world, told, down } = scene();
  told("host.service.consul", lab);
  told("host.service.consul", guest);
  down();
  const shown = (last: number) => [
    "host.service.consul. 0 CNAME host.example",
    `host.example. 0 A ${last}.0.0.1`,
  ];
  t.same(told("host.service.consul", lab), shown(77));
  t.same(told("host.service.consul", guest), shown(78));
  t.equal(world.resolver.counters.staleTargets, 2);
  world.resolver.flush({ name: wire("host.example"), subtree: false });
  for (const client of [lab, guest])
    t.same(told("host.service.consul", client), shown(0).slice(0, 1), "flushed for both");
});

t.test("nothing that is made for them is prepared for workers", async (t) => {
  const { world, told } = scene();
  for (const name of ["db.service.consul", "n1.node.consul", "web.service.consul"]) {
    told(name, lab);
    told(name, lab);
    t.equal(world.fromTable(query(name)), null, name);
  }
  t.equal(world.resolver.counters.published, 0);
  told("n1.node.consul", guest);
  t.equal(world.resolver.counters.published, 1, "others get what workers have");
});

t.test("from a reload on", async (t) => {
  const { world, told } = scene();
  world.reload({ viewElsewhere: new Map() });
  t.same(told("db.service.consul", lab), ["db.service.consul. 0 A 192.0.2.1"]);
});
