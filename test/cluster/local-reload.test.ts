/** What a reload, or registering the same again, leaves as it runs. */
import t from "tap";
import { parseConfigService } from "../../src/cluster/definition.ts";
import type { LocalConfig } from "../../src/cluster/local-admission.ts";
import { inCatalog, servicesInCatalog, startedWorld } from "./local-world.ts";

function services(...values: unknown[]): LocalConfig {
  return {
    services: values.map((value) => {
      const parsed = parseConfigService(value, "service");
      if (!parsed.ok) throw new Error(parsed.error);
      return parsed.value;
    }),
    checks: [],
  };
}

const web = { name: "web", checks: [{ id: "ttl", ttl: "30s" }] };

t.test("a reload does not prolong a TTL, registering by API does", async (t) => {
  const world = await startedWorld();
  await world.restart(services(web));
  await world.register({ Name: "api", Check: { CheckID: "by-api", TTL: "30s" } });
  await world.agent.updateTtl("ttl", "passing", "up");
  await world.agent.updateTtl("by-api", "passing", "up");
  await world.pass(20_000);
  await world.agent.reload(services(web));
  await world.register({ Name: "api", Check: { CheckID: "by-api", TTL: "30s" } });
  t.equal(inCatalog(world, "ttl"), "passing up", "a reload keeps the state");
  await world.pass(11_000);
  t.match(inCatalog(world, "ttl"), /^critical TTL expired/);
  t.equal(inCatalog(world, "by-api"), "passing up");
});

t.test("another definition begins anew and keeps the status; what left goes", async (t) => {
  const world = await startedWorld();
  await world.restart(services(web, { name: "old", check: { ttl: "1h" } }));
  await world.agent.updateTtl("ttl", "passing", "up");
  const longer = { ...web, port: 8, checks: [{ id: "ttl", ttl: "60s", notes: "n" }] };
  await world.pass(20_000);
  const before = world.proposed.length;
  await world.agent.reload(services(longer, { name: "new" }));
  t.same(servicesInCatalog(world), ["consul", "new", "web"]);
  t.match(world.reader.check("node-a", "ttl"), { status: "passing", output: "up", notes: "n" });
  t.equal(world.reader.check("node-a", "service:old"), undefined);
  t.equal(world.proposed.length - before, 3, "web with its check, new, the end of old");
  await world.pass(59_000);
  t.equal(inCatalog(world, "ttl"), "passing up");
  await world.pass(2_000);
  t.match(inCatalog(world, "ttl"), /^critical/);
});

t.test("probes of an unchanged definition keep their schedule and thresholds", async (t) => {
  const world = await startedWorld();
  const check = { id: "p", name: "p", tcp: "h:1", interval: "10s", success_before_passing: 3 };
  const config = services({ name: "web", check });
  await world.restart(config);
  await world.pass(10_000);
  world.probeResults.set("p", { status: "passing", output: "up" });
  for (let i = 0; i < 6; i++) {
    await world.pass(6_000);
    await world.agent.reload(config);
  }
  t.equal(inCatalog(world, "p"), "passing up", "three runs, whatever is reloaded in between");
});

t.test("a reload does not write the deferred output of a check that goes on", async (t) => {
  const world = await startedWorld({ checkUpdateIntervalMs: 300_000 });
  await world.restart(services(web));
  await world.agent.updateTtl("ttl", "passing", "fine");
  await world.agent.updateTtl("ttl", "passing", "finer");
  await world.agent.reload(services(web));
  t.equal(inCatalog(world, "ttl"), "passing fine");
});

t.test("an output that is deferred waits also when the status comes and goes", async (t) => {
  const world = await startedWorld({ checkUpdateIntervalMs: 300_000 });
  await world.check({ Name: "a", TTL: "24h", Status: "passing" });
  for (let i = 0; i < 4; i++) {
    await world.agent.updateTtl("a", "passing", `fine ${i}`);
    await world.agent.updateTtl("a", "critical", `no ${i}`);
  }
  await world.agent.updateTtl("a", "passing", "fine");
  await world.agent.updateTtl("a", "passing", "finer");
  const before = world.proposed.length;
  await world.pass(140_000);
  await world.agent.reload({ services: [], checks: [] });
  t.equal(inCatalog(world, "a"), "passing fine", "nor does a full comparison write it");
  t.equal(world.proposed.length, before);
  await world.pass(310_000);
  t.equal(inCatalog(world, "a"), "passing finer");
  t.equal(world.proposed.length, before + 1, "one write, one timer");
});
