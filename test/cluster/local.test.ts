import t from "tap";
import { scaleFactor } from "../../src/cluster/sync.ts";
import {
  inCatalog,
  servicesInCatalog as services,
  startedWorld as started,
} from "./local-world.ts";

const node = "node-a";

t.test("a server's own node, service and check are written at start", async (t) => {
  const { reader } = await started();
  t.match(reader.node(node), {
    id: "11111111-2222-3333-4444-555555555555",
    address: "127.0.0.1",
    taggedAddresses: {
      lan: "127.0.0.1",
      lan_ipv4: "127.0.0.1",
      wan: "127.0.0.1",
      wan_ipv4: "127.0.0.1",
    },
    meta: { zone: "z1", "consul-network-segment": "" },
  });
  t.match(reader.service(node, "consul"), { service: "consul", port: 8300, tags: [] });
  t.match(reader.check(node, "serfHealth"), {
    name: "Serf Health Status",
    status: "passing",
    output: "Agent alive and reachable",
    serviceId: "",
  });
});

t.test("a registration is on disk and in the catalog when it is acknowledged", async (t) => {
  const world = await started();
  const proposals = world.proposed.length;
  t.same(await world.register({ Name: "web", Port: 80, Check: { TTL: "30s" } }), {
    ok: true,
    value: undefined,
  });
  t.match(world.reader.service(node, "web"), { service: "web", port: 80, meta: null });
  t.match(world.reader.check(node, "service:web"), {
    status: "critical",
    type: "ttl",
    serviceName: "web",
    interval: "",
  });
  t.ok(world.disk.has("services/web"));
  t.ok(world.disk.has("checks/service:web"));
  t.equal(world.proposed.length, proposals + 1, "service and check in one command");
  await world.register({ Name: "web", Port: 80, Check: { TTL: "30s" } });
  t.equal(world.proposed.length, proposals + 1, "the same again writes nothing to the log");
});

t.test("a failing disk is an error for the caller", async (t) => {
  const world = await started();
  world.breakDisk("/data/services/x: ENOSPC");
  t.same(await world.register({ Name: "web" }), { ok: false, error: "/data/services/x: ENOSPC" });
  t.match(world.logged.join("\n"), /error local state not kept on disk/);
});

t.test("registering again keeps what the checks know, and drops none unless asked", async (t) => {
  const world = await started();
  await world.register({
    Name: "web",
    Checks: [
      { TTL: "30s", CheckID: "a" },
      { TTL: "30s", CheckID: "b" },
    ],
  });
  await world.agent.updateTtl("a", "passing", "fine");
  await world.agent.setMaintenance({ serviceId: "web", enable: true, reason: "" });

  await world.register({
    Name: "web",
    Port: 2,
    Check: { TTL: "9s", CheckID: "a", Status: "warning" },
  });
  t.equal(inCatalog(world, "a"), "passing fine", "no flapping");
  t.equal(inCatalog(world, "b"), "critical", "not mentioned, stays");

  await world.register({ Name: "web", Check: { TTL: "9s", CheckID: "a" } }, true);
  t.equal(inCatalog(world, "b"), undefined, "replaced");
  t.ok(inCatalog(world, "_service_maintenance:web"), "maintenance stays");
  t.notOk(world.disk.has("checks/b"));
});

t.test("deregistration removes service, checks and files; unknown ids are fine", async (t) => {
  const world = await started();
  await world.register({ Name: "web", Check: { TTL: "30s" } });
  await world.agent.updateTtl("service:web", "passing", "x");
  t.ok(world.disk.has("checks/state/service:web"));
  t.match(await world.agent.deregisterService("web"), { ok: true });
  t.same(services(world), ["consul"]);
  t.equal(inCatalog(world, "service:web"), undefined);
  t.same([...world.disk.keys()], []);
  t.match(await world.agent.deregisterService("web"), { ok: true });
  t.match(await world.agent.deregisterCheck("serfHealth"), { ok: true });
  t.equal(
    inCatalog(world, "serfHealth"),
    "passing Agent alive and reachable",
    "not ours to remove",
  );
});

t.test(
  "what the cluster says of a server is not for local entries of the same names",
  async (t) => {
    const world = await started();
    await world.check({ Name: "serfHealth", TTL: "30s" });
    await world.register({ Name: "consul", Port: 1 });
    t.equal(inCatalog(world, "serfHealth"), "passing Agent alive and reachable");
    t.match(world.reader.service(node, "consul"), { port: 1 });
    await world.agent.deregisterCheck("serfHealth");
    await world.agent.deregisterService("consul");
    t.equal(inCatalog(world, "serfHealth"), "passing Agent alive and reachable");
    t.match(world.reader.service(node, "consul"), { port: 8300 }, "there again at once");
  },
);

t.test("names that DNS does not find are accepted, and told once", async (t) => {
  const world = await started();
  for (const Name of ["web", "a_b", "caf\u00e9", "x".repeat(63), "y".repeat(64), "a_b"])
    await world.register({ Name });
  t.equal(services(world).length, 6, "web, the other four, and consul");
  const warnings = world.logged.filter((line) => line.startsWith("warn"));
  t.same(
    warnings.map((line) => line.replace(/.*(invalid characters|too long).*"(\S+)"}$/, "$1 $2")),
    ["invalid characters a_b", "invalid characters caf\u00e9", `too long ${"y".repeat(64)}`],
  );
});

t.test("a check needs its service", async (t) => {
  const world = await started();
  t.same(await world.check({ Name: "x", ServiceID: "nosvc", TTL: "5s" }), {
    ok: false,
    error: 'ServiceID "nosvc" does not exist',
  });
  t.same(await world.agent.updateTtl("x", "passing", ""), {
    ok: false,
    error: 'CheckID "x" does not have associated TTL',
  });
});

t.test("TTL: expiry with the last output, once; an update starts the time again", async (t) => {
  const world = await started();
  await world.check({ Name: "mem", TTL: "10s" });
  await world.agent.updateTtl("mem", "passing", "ok");
  await world.pass(9_999);
  await world.agent.updateTtl("mem", "passing", "still ok");
  await world.pass(9_999);
  t.equal(inCatalog(world, "mem"), "passing still ok");
  await world.pass(2);
  t.equal(
    inCatalog(world, "mem"),
    "critical TTL expired (last output before timeout follows): still ok",
  );
  await world.agent.updateTtl("mem", "warning", "");
  t.equal(inCatalog(world, "mem"), "warning");
  await world.pass(10_001);
  t.equal(inCatalog(world, "mem"), "critical TTL expired");
});

t.test("output alone is deferred, a status is not; output is cut", async (t) => {
  const world = await started({ checkUpdateIntervalMs: 300_000 });
  await world.check({ Name: "mem", TTL: "1h", OutputMaxSize: 10 });
  await world.agent.updateTtl("mem", "passing", "one");
  t.equal(inCatalog(world, "mem"), "passing one", "new status");
  await world.agent.updateTtl("mem", "passing", "two");
  t.equal(inCatalog(world, "mem"), "passing one", "deferred");
  t.equal(world.agent.checks.get("mem")?.fields.output, "two", "but known here");
  await world.pass(149_000);
  await world.agent.updateTtl("mem", "passing", "0123456789abcdef");
  t.equal(inCatalog(world, "mem"), "passing one", "full comparisons leave it alone too");
  await world.pass(301_000);
  t.equal(inCatalog(world, "mem"), "passing 0123456789 ... (captured 10 of 16 bytes)");
  await world.agent.updateTtl("mem", "passing", "three");
  await world.agent.updateTtl("mem", "warning", "four");
  t.equal(inCatalog(world, "mem"), "warning four", "a status brings the newest output");
});

t.test("discard_check_output keeps nothing", async (t) => {
  const world = await started({ discardCheckOutput: true });
  await world.check({ Name: "mem", TTL: "1h" });
  await world.agent.updateTtl("mem", "passing", "one");
  t.equal(inCatalog(world, "mem"), "passing");
});

t.test("maintenance of node and service", async (t) => {
  const world = await started();
  await world.register({ Name: "web" });
  t.same(await world.agent.setMaintenance({ serviceId: "no", enable: true, reason: "" }), {
    ok: false,
    error: 'No service registered with ID "no"',
  });
  await world.agent.setMaintenance({ serviceId: "web", enable: true, reason: "broken" });
  await world.agent.setMaintenance({ serviceId: "web", enable: true, reason: "other" });
  t.match(world.reader.check(node, "_service_maintenance:web"), {
    name: "Service Maintenance Mode",
    status: "critical",
    notes: "broken",
    type: "maintenance",
    serviceId: "web",
  });
  await world.agent.setMaintenance({ enable: true, reason: "" });
  t.match(
    world.reader.check(node, "_node_maintenance")?.notes,
    /enabled for this node, but no reason/,
  );
  await world.restart();
  t.equal(inCatalog(world, "_node_maintenance"), "critical", "survives a restart");
  await world.agent.setMaintenance({ enable: false, reason: "" });
  await world.agent.setMaintenance({ serviceId: "web", enable: false, reason: "" });
  t.same(
    world.reader.checksOfNode(node).map(({ checkId }) => checkId),
    ["serfHealth"],
  );
});

t.test("local wins over edits of the catalog, except for tags that it may override", async (t) => {
  const world = await started();
  await world.register({ Name: "web", Tags: ["v1"], Port: 1 });
  await world.register({ Name: "db", Tags: ["v1"], Port: 1, EnableTagOverride: true });
  const [web, db] = ["web", "db"].map((id) => {
    const {
      node: _,
      createIndex: _c,
      modifyIndex: _m,
      ...fields
    } = world.reader.service(node, id)!;
    return { ...fields, tags: ["edited"], port: 9 };
  });
  const record = world.reader.node(node)!;
  for (const service of [web!, db!])
    world.edit({ type: "register", node: record, skipNodeUpdate: true, service, checks: [] });
  world.edit({ type: "deregister", node, serviceId: "", checkId: "serfHealth" });
  const stranger = { ...web!, id: "stranger" };
  world.edit({
    type: "register",
    node: record,
    skipNodeUpdate: true,
    service: stranger,
    checks: [],
  });
  await world.pass(121_000);
  t.match(world.reader.service(node, "web"), { tags: ["v1"], port: 1 });
  t.match(world.reader.service(node, "db"), { tags: ["edited"], port: 1 });
  t.same(world.agent.services.get("db")?.fields.tags, ["edited"], "taken over");
  t.same(services(world).sort(), ["consul", "db", "web"]);
  t.equal(inCatalog(world, "serfHealth"), "passing Agent alive and reachable");

  await world.register({ Name: "db", Tags: ["v2"], EnableTagOverride: true });
  t.match(world.reader.service(node, "db"), { tags: ["v2"] }, "registered anew");
});

t.test("a node that was removed from the catalog comes back whole", async (t) => {
  const world = await started();
  await world.register({ Name: "web", Check: { TTL: "1h", Status: "passing" } });
  world.edit({ type: "deregister", node, serviceId: "", checkId: "" });
  t.equal(world.reader.node(node), undefined);
  await world.agent.updateTtl("service:web", "warning", "x");
  t.equal(inCatalog(world, "service:web"), "warning x", "a check brings node and service back");
  await world.pass(121_000);
  t.ok(world.reader.service(node, "consul"));
  t.match(world.reader.node(node)?.meta, { zone: "z1" });
});

t.test("refused or unknown proposals: accepted here, written later", async (t) => {
  const world = await started();
  world.fates.push("refused");
  t.match(await world.register({ Name: "web" }), { ok: true });
  t.same(services(world), ["consul"]);
  t.equal(world.agent.counts().sync.pending, 1);
  await world.pass(31_000);
  t.same(services(world), ["consul", "web"]);

  world.fates.push("lost answer");
  await world.register({ Name: "db" });
  await world.pass(31_000);
  t.same(services(world), ["consul", "db", "web"]);
  t.equal(world.agent.counts().sync.pending, 0);

  world.fates.push("refused");
  await world.agent.deregisterService("web");
  world.agent.leadershipChanged(true);
  await world.pass(3_001);
  t.same(services(world), ["consul", "db"], "a new leader is met soon");
});

t.test("a change during a write under way is written after it", async (t) => {
  const world = await started();
  await world.check({ Name: "mem", TTL: "1h" });
  world.hold();
  const first = world.agent.updateTtl("mem", "passing", "1");
  const second = world.agent.updateTtl("mem", "critical", "2");
  const third = world.register({ Name: "web" });
  await world.release();
  await Promise.all([first, second, third]);
  t.equal(inCatalog(world, "mem"), "critical 2");
  t.same(services(world), ["consul", "web"]);
});

t.test("writes of different services go side by side, of the same one in turn", async (t) => {
  const world = await started();
  const before = world.proposed.length;
  const done: string[] = [];
  const note = (what: string, work: Promise<unknown>) => work.then(() => void done.push(what));
  world.hold();
  const work = [
    note("a", world.register({ Name: "a", Check: { TTL: "1h" } })),
    note("b", world.register({ Name: "b", Port: 1 })),
    note("b2", world.register({ Name: "b", Port: 2 })),
    note("check of a", world.agent.updateTtl("service:a", "passing", "up")),
    note("c", world.register({ Name: "c" })),
    note("b gone", world.agent.deregisterService("b")),
  ];
  await world.pass(0);
  t.equal(world.proposed.length - before, 3, "a, b and c are under way");
  await world.releaseOne();
  t.same(done, ["a"], "whoever is written does not wait for others");
  await world.releaseOne();
  t.same(done, ["a", "b"]);
  await world.release();
  await Promise.all(work);
  t.same(services(world), ["a", "c", "consul"]);
  t.equal(inCatalog(world, "service:a"), "passing up");
});

t.test("a full comparison waits for what is under way, and the rest for it", async (t) => {
  const world = await started();
  world.hold();
  const first = world.register({ Name: "a" });
  world.edit({ type: "deregister", node: "node-a", serviceId: "", checkId: "" });
  const all = world.agent.reload({ services: [], checks: [] });
  await world.pass(0);
  const second = world.register({ Name: "b" });
  await world.pass(0);
  t.match(world.proposed.at(-1), { service: { id: "a" } }, "b waits");
  await world.release();
  await Promise.all([first, all, second]);
  t.same(services(world), ["a", "b", "consul"]);
});

t.test("aliases follow service and node, not themselves; cycles end", async (t) => {
  const world = await started();
  await world.register({ Name: "web", Check: { TTL: "1h", Name: "web up" } });
  await world.check({ Name: "al", AliasService: "web" });
  t.equal(inCatalog(world, "al"), 'critical Aliased check "web up" failing:');
  await world.agent.updateTtl("service:web", "passing", "");
  t.equal(inCatalog(world, "al"), "passing All checks passing.");
  await world.agent.setMaintenance({ enable: true, reason: "x" });
  t.equal(inCatalog(world, "al"), 'critical Aliased check "Node Maintenance Mode" failing:');
  await world.agent.setMaintenance({ enable: false, reason: "" });
  await world.agent.deregisterService("web");
  t.equal(inCatalog(world, "al"), "critical Service web could not be found on node node-a");

  await world.register({ ID: "s", Name: "s", Check: { AliasService: "r", CheckID: "s-r" } });
  await world.register({ ID: "r", Name: "r", Check: { AliasService: "s", CheckID: "r-s" } });
  t.match(inCatalog(world, "s-r"), /^critical Aliased check/, "they hold each other");

  const other = { ...world.reader.node(node)!, node: "other", id: "", address: "10.0.0.2" };
  const check = { ...world.agent.checks.get("al")!.fields, checkId: "c", name: "c", type: "" };
  const set = (status: string) =>
    world.edit({
      type: "register",
      node: other,
      skipNodeUpdate: false,
      service: null,
      checks: [{ ...check, status, output: "" }],
    });
  set("warning");
  await world.check({ Name: "far", AliasNode: "other" });
  t.equal(inCatalog(world, "far"), 'warning Aliased check "c" failing:');
  set("passing");
  await world.pass(0);
  t.equal(inCatalog(world, "far"), "passing All checks passing.");
});

t.test("deregister_critical_service_after", async (t) => {
  const world = await started();
  const after = { DeregisterCriticalServiceAfter: "2m" };
  await world.register({ Name: "web", Check: { TTL: "10s", Status: "passing", ...after } });
  await world.register({ Name: "ok", Check: { TTL: "1h", Status: "passing", ...after } });
  await world.pass(10_000 + 119_000);
  t.same(services(world), ["consul", "ok", "web"]);
  await world.pass(32_000);
  t.same(services(world), ["consul", "ok"]);
  t.notOk(world.disk.has("services/web"));
});

t.test(
  "the time that a service may be critical begins anew when it is registered again",
  async (t) => {
    const world = await started();
    const after = { DeregisterCriticalServiceAfter: "2m" };
    const web = { Name: "web", Check: { CheckID: "c", TCP: "h:1", Interval: "10s", ...after } };
    for (let i = 0; i < 6; i++) {
      await world.register(web);
      await world.pass(100_000);
      t.same(services(world), ["consul", "web"], "Consul's SetCheckState");
      t.equal(inCatalog(world, "c"), "critical nobody there", "what is known of it stays");
    }
    await world.pass(60_000);
    t.same(services(world), ["consul"]);
  },
);

t.test("probes run, their thresholds count, and stop with their check", async (t) => {
  const world = await started();
  await world.check({ Name: "up", TCP: "h:1", Interval: "10s", SuccessBeforePassing: 3 });
  await world.pass(10_000);
  world.probeResults.set("up", { status: "passing", output: "200" });
  await world.pass(19_000);
  t.equal(inCatalog(world, "up"), "critical nobody there", "two runs at most");
  await world.pass(20_000);
  t.equal(inCatalog(world, "up"), "passing 200");
  t.equal(world.agent.counts().probes, 1);
  await world.agent.deregisterCheck("up");
  t.equal(world.agent.counts().probes, 0);
});

t.test("a registration wakes those who hold on the service's hash", async (t) => {
  const world = await started();
  await world.register({ Name: "web" });
  await world.agent.deregisterService("web");
  t.same(world.woken, ["agent-service:web", "agent-service:web"]);
});

t.test("scripts are refused, in Consul's words", async (t) => {
  const world = await started();
  t.match(await world.register({ Name: "web", Check: { Args: ["true"], Interval: "5s" } }), {
    ok: false,
    error: /^Scripts are disabled on this agent from remote calls/,
  });
  t.equal(world.agent.services.size, 0);
});

t.test("large pools compare less often", async (t) => {
  for (const [members, factor] of [
    [1, 1],
    [128, 1],
    [129, 2],
    [256, 2],
    [512, 3],
    [8192, 7],
  ] as const)
    t.equal(scaleFactor(members), factor, `${members} members`);
});
