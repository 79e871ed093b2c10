import t from "tap";
import { OWNER_META, type ExternalEntry } from "../../../src/cluster/external/declared.ts";
import { newCheckFields } from "../../../src/cluster/definition.ts";
import { createWorld, httpCheck, node, register, service, type World } from "./world.ts";

const entry = (id: string, over: Partial<ExternalEntry> = {}): ExternalEntry => ({
  node: id,
  ownsNode: over.node === undefined,
  service: service(id),
  checks: [],
  ttlSeconds: undefined,
  ...over,
});

const names = ({ reader }: World): string[] =>
  [...reader.nodes()].flatMap(({ node: name }) => [
    name,
    ...reader.servicesOfNode(name).map(({ id }) => `${name}/${id}`),
    ...reader.checksOfNode(name).map(({ checkId }) => `${name}#${checkId}`),
  ]);

t.test("what is declared is there, changes and goes with its entry", async (t) => {
  const world = createWorld();
  const orders = entry("orders", { checks: [httpCheck("orders", {}, { status: "critical" })] });
  world.declare([orders, entry("mail")]);
  await world.pass(100);
  t.same(names(world), [], "by the leader alone");
  world.lead(true);
  await world.pass(50);
  t.same(names(world), ["mail", "mail/mail", "orders", "orders/orders", "orders#service:orders"]);
  t.same(world.reader.node("orders")?.meta, {
    "external-node": "true",
    "external-probe": "true",
    [OWNER_META]: "config",
  });
  t.same(world.reader.node("mail")?.meta, { "external-node": "true", [OWNER_META]: "config" });
  world.answers.set("http://orders.example/", { status: "passing", output: "200" });
  world.alive.add("db.example");
  await world.pass(11_000);
  t.equal(world.check("orders", "service:orders"), "passing 200", "and probed");

  const writes = world.keeper.restored;
  world.declare([orders, entry("mail")]);
  await world.pass(5000);
  t.equal(world.keeper.restored, writes, "the same again: nothing is written");

  const moved = { ...orders, service: service("orders", { address: "new.example", tags: ["a"] }) };
  world.declare([moved]);
  await world.pass(50);
  t.match(world.reader.service("orders", "orders"), { address: "new.example", tags: ["a"] });
  t.equal(world.reader.node("orders")?.address, "new.example");
  t.equal(world.check("orders", "service:orders"), "passing 200", "its status is kept");
  t.equal(world.reader.node("mail"), undefined, "the node goes with its last service");

  world.declare([{ ...moved, checks: [] }]);
  await world.pass(5000);
  t.equal(world.check("orders", "service:orders"), "", "so does a check that is gone from it");
  t.ok(world.reader.service("orders", "orders"));
  world.declare([]);
  await world.pass(2000);
  t.same(names(world), []);
});

t.test("an entry removed while the process was down is known by its mark", async (t) => {
  const world = createWorld();
  world.apply(
    register(node("old", { "external-node": "true", [OWNER_META]: "config" }), {
      ...service("old"),
      meta: { [OWNER_META]: "config" },
    }),
  );
  world.apply(register(node("by-hand"), service("api")));
  world.apply(
    register(node("by-hand"), { ...service("was-ours"), meta: { [OWNER_META]: "config" } }),
  );
  world.lead(true);
  await world.pass(50);
  t.same(names(world), ["by-hand", "by-hand/api"]);
});

t.test("what somebody removes or changes is restored, at most once a second", async (t) => {
  const world = createWorld();
  world.declare([entry("orders", { checks: [httpCheck("orders")] })]);
  world.lead(true);
  await world.pass(5000);
  for (const what of [{}, { serviceId: "orders" }, { checkId: "service:orders" }]) {
    world.apply({ type: "deregister", node: "orders", serviceId: "", checkId: "", ...what });
    await world.pass(1100);
    t.match(names(world).join(), /orders\/orders,orders#service:orders|orders#.*orders\/orders/);
    t.ok(world.reader.check("orders", "service:orders"), JSON.stringify(what));
  }
  world.apply(register(node("orders", null), service("orders", { port: 1 })));
  await world.pass(1100);
  t.equal(world.reader.service("orders", "orders")?.port, 5432);
  t.equal(world.reader.node("orders")?.meta?.[OWNER_META], "config");
  const before = world.keeper.restored;
  for (let i = 0; i < 100; i++) {
    world.apply({ type: "deregister", node: "orders", serviceId: "orders", checkId: "" });
    await world.pass(100);
  }
  t.ok(world.keeper.restored - before <= 11, `${world.keeper.restored - before} in ten seconds`);
});

t.test("nodes of others: a service beside theirs, none where an agent stands", async (t) => {
  const world = createWorld();
  world.apply(register(node("shared", { rack: "7" }), service("api")));
  const serf = { ...newCheckFields, checkId: "serfHealth", name: "Serf", status: "passing" };
  world.apply(register(node("host", null), null, [serf]));
  world.declare([entry("orders", { node: "Shared" }), entry("x", { node: "host" })]);
  world.lead(true);
  await world.pass(3000);
  t.same(names(world), ["host", "host#serfHealth", "shared", "shared/api", "shared/orders"]);
  t.same(world.reader.node("shared")?.meta, { rack: "7" });
  t.equal(world.logged.filter((line) => line.startsWith("error")).length, 1);
  world.declare([]);
  await world.pass(50);
  t.same(names(world), ["host", "host#serfHealth", "shared", "shared/api"]);
});

t.test("a refused write is tried again", async (t) => {
  const world = createWorld();
  world.refuse(true);
  world.declare([entry("orders")]);
  world.lead(true);
  await world.pass(3000);
  t.same(names(world), []);
  world.refuse(false);
  await world.pass(1000);
  t.same(names(world), ["orders", "orders/orders"]);
});
