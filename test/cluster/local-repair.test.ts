/** What somebody else changes of this node in the catalog. */
import t from "tap";
import { describeOwnNode } from "../../src/cluster/own-node.ts";
import { REPAIRS } from "../../src/cluster/repair.ts";
import { newCheckFields } from "../../src/cluster/definition.ts";
import { inCatalog, ownNode, servicesInCatalog, startedWorld } from "./local-world.ts";

const node = "node-a";
const register = { type: "register", node: ownNode.node, skipNodeUpdate: true } as const;

t.test("what is ours is put right within a second, what is not stays until later", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Port: 80, Check: { TTL: "1h" } });
  await world.agent.updateTtl("service:web", "passing", "up");
  const fields = world.agent.services.get("web")!.fields;
  const check = { ...newCheckFields, checkId: "service:web", serviceId: "web" };

  world.edit({ ...register, service: { ...fields, port: 81 }, checks: [] });
  world.edit({ ...register, service: { ...fields, id: "stranger" }, checks: [] });
  await world.pass(1_000);
  t.match(world.reader.service(node, "web"), { port: 80 });
  t.same(servicesInCatalog(world), ["consul", "stranger", "web"]);

  world.edit({ ...register, service: null, checks: [{ ...check, status: "critical" }] });
  await world.pass(1_000);
  t.equal(inCatalog(world, "service:web"), "passing up");
  world.edit({ type: "deregister", node, serviceId: "web", checkId: "" });
  await world.pass(1_000);
  t.equal(inCatalog(world, "service:web"), "passing up");
  world.edit({ type: "deregister", node, serviceId: "", checkId: "" });
  await world.pass(1_000);
  t.same(servicesInCatalog(world), ["consul", "web"]);
  t.equal(inCatalog(world, "serfHealth"), "passing Agent alive and reachable");
  t.equal(world.logged.filter((line) => line.includes("is put right")).length, 4);
  world.edit({ ...register, service: { ...fields, id: "stranger" }, checks: [] });
  await world.pass(121_000);
  t.same(servicesInCatalog(world), ["consul", "web"], "it goes with the full comparison");
});

t.test("a service that somebody removed never comes back without its checks", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Check: { TTL: "1h" } });
  await world.check({ Name: "extra", TTL: "1h", ServiceID: "web" });
  world.edit({ type: "deregister", node, serviceId: "web", checkId: "" });
  await world.register({ Name: "web" });
  t.equal(inCatalog(world, "extra"), "critical");
  t.equal(inCatalog(world, "service:web"), "critical");
  t.match(world.proposed.at(-1), { service: { id: "web" }, checks: { length: 2 } });
});

t.test("tags that the catalog may override are taken over as soon", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Tags: ["own"], EnableTagOverride: true });
  const { fields } = world.agent.services.get("web")!;
  world.edit({ ...register, service: { ...fields, tags: ["theirs"] }, checks: [] });
  await world.pass(1_000);
  t.same(world.agent.services.get("web")!.fields.tags, ["theirs"]);
  t.same(world.reader.service(node, "web")!.tags, ["theirs"]);
  world.edit({ ...register, service: { ...fields, tags: ["own"], port: 9 }, checks: [] });
  await world.pass(1_000);
  t.match(world.reader.service(node, "web"), { tags: ["own"], port: 0 });
  await world.register({ Name: "web", Tags: ["mine"] });
  world.edit({ ...register, service: { ...fields, tags: ["theirs"] }, checks: [] });
  await world.pass(1_000);
  t.same(world.reader.service(node, "web")!.tags, ["mine"], "without override ours win");
});

t.test("a fight is lost slowly: repairs are bounded", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web" });
  const before = world.proposed.length;
  const seconds = 600;
  for (let i = 0; i < seconds * 2; i++) {
    world.edit({ type: "deregister", node, serviceId: "web", checkId: "" });
    await world.pass(500);
  }
  const fullComparisons = seconds / 60;
  const bound = REPAIRS.burst + (seconds * 1000) / REPAIRS.intervalMs + fullComparisons;
  const count = world.proposed.length - before;
  t.ok(count <= bound, `${count} commands, at most ${bound}`);
  t.ok(count > REPAIRS.burst, `${count} commands`);
  await world.pass(121_000);
  t.same(servicesInCatalog(world), ["consul", "web"]);
});

t.test("our own commands start no repair", async (t) => {
  const world = await startedWorld();
  for (let i = 0; i < 20; i++) await world.register({ Name: `s${i}`, Check: { TTL: "1h" } });
  const before = world.proposed.length;
  await world.pass(10_000);
  t.equal(world.proposed.length, before);
  t.notMatch(world.logged.join("\n"), "is put right");
});

t.test("with another node id the node goes on under its name", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Check: { TTL: "1h", Status: "passing" } });
  const renewed = describeOwnNode({
    name: node,
    id: "99999999-2222-3333-4444-555555555555",
    advertiseAddress: "127.0.0.1",
    advertiseWanAddress: "127.0.0.1",
    nodeMeta: {},
    server: { port: 8300, version: "0.1.0" },
  });
  world.become(renewed);
  await world.restart();
  t.match(world.reader.node(node), { id: renewed.node.id });
  t.same(servicesInCatalog(world), ["consul", "web"]);
  t.equal(inCatalog(world, "serfHealth"), "passing Agent alive and reachable");
  t.notMatch(world.logged.join("\n"), "refuses");
});

t.test("with another name its entries leave the old one", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Check: { TTL: "1h" } });
  world.become({ ...ownNode, node: { ...ownNode.node, node: "node-b" } });
  await world.restart();
  t.equal(world.reader.node(node), undefined);
  t.same(
    world.reader.servicesOfNode("node-b").map(({ id }) => id),
    ["consul", "web"],
  );
  t.equal(world.reader.checksOfNode("node-b").length, 2);
});
