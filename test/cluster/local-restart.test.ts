import t from "tap";
import { parseConfigCheck, parseConfigService } from "../../src/cluster/definition.ts";
import type { LocalConfig } from "../../src/cluster/local-admission.ts";
import {
  createLocalWorld,
  inCatalog,
  servicesInCatalog as services,
  startedWorld as started,
} from "./local-world.ts";

const node = "node-a";

function config(services: unknown[], checks: unknown[] = []): LocalConfig {
  const take = <T>(parsed: { ok: true; value: T } | { ok: false; error: string }) => {
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.value;
  };
  return {
    services: services.map((value) => take(parseConfigService(value, "service"))),
    checks: checks.map((value) => take(parseConfigCheck(value, "check"))),
  };
}

t.test(
  "a service whose registration was cut off does not come back without its checks",
  async (t) => {
    const registered = await started();
    const checks = ["a", "b", "c"].map((id) => ({ CheckID: id, TCP: "h:1", Interval: "10s" }));
    await registered.register({ Name: "web", Checks: checks });
    const written = [...registered.disk];
    for (let count = 0; count <= written.length; count++) {
      const world = createLocalWorld();
      for (const [name, text] of written.slice(0, count)) world.disk.set(name, text);
      await world.restart();
      const whole = count === written.length;
      t.same(services(world), whole ? ["consul", "web"] : ["consul"], `${count} lines`);
      t.equal(world.agent.checks.size, whole ? 3 : 0);
    }
  },
);

t.test("what survives a restart", async (t) => {
  const world = await started();
  const registration = {
    Name: "web",
    ID: "w/1",
    Port: 80,
    Tags: ["t"],
    Address: "10.0.0.1",
    Meta: { a: "1" },
    Weights: { Passing: 3, Warning: 2 },
    EnableTagOverride: true,
    Proxy: { DestinationServiceName: "x" },
    Kind: "connect-proxy",
    Check: { TTL: "300s", CheckID: "wck", Name: "wck" },
  };
  await world.register(registration);
  await world.check({ Name: "nodeck", TTL: "5s" });
  await world.check({
    Name: "http",
    HTTP: "http://127.0.0.1:1/",
    Interval: "90s",
    Header: { A: ["b"] },
    DeregisterCriticalServiceAfter: "10m",
  });
  await world.agent.updateTtl("wck", "passing", "up");
  await world.agent.updateTtl("nodeck", "warning", "hm");
  const before = [...world.agent.services, ...world.agent.checks];
  const definition = world.agent.checks.get("http")!.definition;
  const proposals = world.proposed.length;

  await world.restart();
  t.same([...world.agent.services, ...world.agent.checks], before);
  t.same(world.agent.checks.get("http")!.definition, definition);
  t.equal(world.proposed.length, proposals, "nothing changed, nothing is written");
  t.equal(inCatalog(world, "wck"), "passing up");

  await world.agent.stop();
  await world.pass(6_000);
  await world.restart();
  t.equal(inCatalog(world, "nodeck"), "critical", "its time ran out meanwhile");
  t.notOk(world.disk.has("checks/state/nodeck"));
});

t.test("entries that do not fit are named, left alone, and harm nobody else", async (t) => {
  const world = await started();
  await world.register({ Name: "good" });
  await world.register({ Name: "bad", Check: { TTL: "5s" } });
  world.disk.set("services/bad", world.disk.get("services/bad")!.slice(0, 20));
  world.disk.set("checks/state/odd", "[]");
  await world.restart();
  t.same(services(world), ["consul", "good"]);
  t.match(world.logged.join("\n"), /error cannot use services\/bad, it is left as it is: /);
  t.match(world.logged.join("\n"), /error cannot use checks\/state\/odd/);
  t.match(world.logged.join("\n"), /warn stored check goes: ServiceID "bad" does not exist/);
  t.ok(world.disk.has("services/bad"));
});

t.test("a registration that comes while the disk is being read stays", async (t) => {
  const world = createLocalWorld();
  await world.restart();
  await world.register({ Name: "web", Port: 1, Check: { TTL: "1h" } });
  await world.agent.stop();
  const started = world.startAnew();
  await world.register({ Name: "web", Port: 2, Check: { TTL: "2h" } });
  await started;
  t.match(world.reader.service(node, "web"), { port: 2 });
  t.equal(world.agent.checks.get("service:web")?.definition?.ttlMs, 7_200_000);
  await world.restart();
  t.match(world.reader.service(node, "web"), { port: 2 }, "its file stays, too");
});

t.test(
  "configuration: not kept on disk, wins over a stored entry, goes with a reload",
  async (t) => {
    const world = await started();
    await world.register({ Name: "web", Port: 1 });
    const both = config(
      [
        { name: "web", port: 2 },
        { name: "redis", checks: [{ id: "r", ttl: "1h" }] },
      ],
      [{ name: "root", ttl: "1h" }],
    );
    await world.restart(both);
    t.match(world.reader.service(node, "web"), { port: 2 });
    t.same([...world.disk.keys()], []);
    t.match(world.reader.check(node, "root"), { type: "", interval: "0s", timeout: "0s" });
    await world.agent.updateTtl("r", "passing", "up");
    await world.register({ Name: "api" });
    await world.check({ Name: "extra", ServiceID: "redis", TTL: "1h" });
    await world.agent.deregisterService("web");

    await world.agent.reload(both);
    t.same(services(world), ["api", "consul", "redis", "web"], "deregistered by API: comes back");
    t.equal(inCatalog(world, "r"), "passing up");

    await world.restart(both);
    t.equal(inCatalog(world, "r"), "passing up", "TTL state of a configured check survives");
    t.ok(inCatalog(world, "extra"), "a check by API on a configured service, too");

    await world.agent.reload(config([]));
    t.same(services(world), ["api", "consul"]);
    t.equal(inCatalog(world, "root"), undefined);
  },
);
