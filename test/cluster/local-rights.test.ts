/** Each local entry is written with the rights of its own token. */
import t from "tap";
import { createAuthorizer, type Authorizer } from "../../src/cluster/acl.ts";
import { mergeRules, parseRules } from "../../src/cluster/acl-rules.ts";
import { inCatalog, servicesInCatalog, startedWorld, type LocalWorld } from "./local-world.ts";

const node = "node-a";

function allowing(rules: string): Authorizer {
  const parsed = parseRules(rules);
  if (!parsed.ok) throw new Error(parsed.error);
  return createAuthorizer(mergeRules([parsed.value]), "deny");
}

const blockedLines = (world: LocalWorld) =>
  world.logged.filter((line) => line.includes("blocked by ACLs"));

t.test("an entry without rights is told once, and written when the rights are there", async (t) => {
  const world = await startedWorld();
  world.rights.set("weak", allowing('service "other" { policy = "write" }'));
  t.ok((await world.register({ Name: "web", Token: "weak", Check: { TTL: "1h" } })).ok);
  t.same(servicesInCatalog(world), ["consul"]);
  t.equal(inCatalog(world, "service:web"), undefined, "nor a check without its service");
  t.match(world.agent.counts().sync, { blocked: 2, pending: 0 });
  await world.agent.updateTtl("service:web", "passing", "up");
  await world.pass(300_000);
  t.same(blockedLines(world), [
    'warn Service registration blocked by ACLs {"service":"web","accessorID":"accessor of weak"}',
    'warn Check registration blocked by ACLs {"check":"service:web","accessorID":"accessor of weak"}',
  ]);
  t.notMatch(world.logged.join("\n"), '"weak"', "no secret");

  world.rights.set("weak", allowing('service "web" { policy = "write" }'));
  const before = world.proposed.length;
  await world.pass(1_000);
  t.same(servicesInCatalog(world), ["consul", "web"]);
  t.equal(inCatalog(world, "service:web"), "passing up");
  t.equal(world.proposed.length, before + 1, "in one command");
  t.match(world.agent.counts().sync, { blocked: 0 });
});

t.test("a token that is gone blocks changes, not the removal", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Token: "s", Check: { TTL: "1h" } });
  world.rights.set("s", null);
  await world.register({ Name: "web", Port: 81, Token: "s", Check: { TTL: "1h" } });
  await world.agent.updateTtl("service:web", "passing", "");
  t.match(world.reader.service(node, "web"), { port: 0 });
  t.equal(inCatalog(world, "service:web"), "critical");
  await world.agent.deregisterService("web");
  t.same(servicesInCatalog(world), ["consul"]);
  await world.pass(2_000);
  t.match(world.agent.counts().sync, { blocked: 0 });
});

t.test("a check has its own token, a node's check needs the node", async (t) => {
  const world = await startedWorld();
  world.rights.set("service", allowing('service "web" { policy = "write" }'));
  world.rights.set("node", allowing('node "node-a" { policy = "write" }'));
  await world.register({ Name: "web", Token: "service" });
  await world.check({ Name: "c1", TTL: "1h", ServiceID: "web", Token: "service" });
  await world.check({ Name: "c2", TTL: "1h", ServiceID: "web", Token: "node" });
  await world.check({ Name: "c3", TTL: "1h", Token: "service" });
  await world.check({ Name: "c4", TTL: "1h", Token: "node" });
  t.same(
    ["c1", "c2", "c3", "c4"].filter((id) => inCatalog(world, id) !== undefined),
    ["c1", "c4"],
  );
  await world.agent.setMaintenance({ enable: true, reason: "", token: "service" });
  t.equal(inCatalog(world, "_node_maintenance"), undefined);
  await world.agent.setMaintenance({ enable: false, reason: "" });
  await world.agent.setMaintenance({ enable: true, reason: "", token: "node" });
  t.equal(inCatalog(world, "_node_maintenance"), "critical");

  await world.restart();
  await world.agent.updateTtl("c3", "passing", "");
  t.equal(inCatalog(world, "c3"), undefined, "the tokens are kept on disk");
  t.equal(inCatalog(world, "c4"), "critical");
});
