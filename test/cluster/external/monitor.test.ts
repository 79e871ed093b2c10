import t from "tap";
import { noteOfDead, deadForMs } from "../../../src/cluster/external/dead.ts";
import { MAX_TARGETS } from "../../../src/cluster/external/watch.ts";
import { WRITES_PER_FLUSH } from "../../../src/cluster/external/writes.ts";
import { createWorld, httpCheck, node, register, service } from "./world.ts";

const UP = { status: "passing", output: "200 OK" } as const;
const WEB = "http://web.example/";

t.test("nodes that ask for it are probed, by the leader alone", async (t) => {
  const world = createWorld();
  world.apply(register(node("ext"), service("web"), [httpCheck("web")]));
  world.apply(register(node("plain", null), service("other"), [httpCheck("other")]));
  world.apply(register(node("half", { "external-node": "true" }), null, [httpCheck("", {})]));
  await world.pass(60_000);
  t.equal(world.probed.length, 0, "no leader, no probe");
  world.alive.add("db.example");
  world.lead(true);
  await world.pass(11_000);
  t.same([...new Set(world.probed.map(({ http }) => http))], [WEB]);
  t.equal(world.check("ext", "service:web"), "critical nobody there");
  t.equal(world.check("ext", "externalNodeHealth"), "passing Node alive or reachable");
  t.equal(world.check("plain", "service:other"), "passing ", "left as it was registered");
  t.match(world.monitor.figures(), { nodes: 1, checks: 1, statusChanges: 2, written: 2 });
  t.equal(world.measured[0], "ext 3");

  const writes = world.proposed.length;
  await world.pass(600_000);
  t.equal(world.proposed.length, writes, "nothing new, nothing written");
  world.answers.set(WEB, UP);
  world.alive.delete("db.example");
  await world.pass(11_000);
  t.equal(world.check("ext", "service:web"), "passing 200 OK");
  t.equal(world.check("ext", "externalNodeHealth"), "critical Node not live or unreachable");
  t.match(world.reader.check("ext", "externalNodeHealth")?.notes, /^unreachable since 2023-/);

  world.lead(false);
  world.answers.clear();
  const probes = world.probed.length;
  await world.pass(60_000);
  t.equal(world.probed.length, probes, "the next leader's business");
  t.equal(world.check("ext", "service:web"), "passing 200 OK");
});

t.test("a new leader goes by the catalog: thresholds hold, nothing flaps", async (t) => {
  const world = createWorld({ criticalThreshold: 2, passingThreshold: 1 });
  world.alive.add("db.example");
  world.answers.set(WEB, UP);
  world.apply(register(node("ext"), service("web"), [httpCheck("web")]));
  world.lead(true);
  await world.pass(31_000);
  const index = world.reader.check("ext", "service:web")?.modifyIndex;
  world.lead(false);
  world.lead(true);
  await world.pass(31_000);
  t.equal(world.reader.check("ext", "service:web")?.modifyIndex, index, "not touched");
  world.answers.clear();
  await world.pass(21_000);
  t.equal(world.check("ext", "service:web"), "passing 200 OK", "two failures of three");
  await world.pass(11_000);
  t.equal(world.check("ext", "service:web"), "critical nobody there");
});

t.test("a check's own thresholds and definition count; programs are never run", async (t) => {
  const world = createWorld();
  const definition = {
    HTTP: "https://web.example/",
    Method: "POST",
    Header: { "X-A": ["1"] },
    Body: "b",
    TLSSkipVerify: true,
    TLSServerName: "sni",
    Interval: "2s",
    Timeout: "1s",
    ScriptArgs: ["rm", "-rf"],
    GRPC: "x:1",
    FailuresBeforeCritical: 3,
  };
  world.apply(register(node("ext"), service("web"), [httpCheck("web", definition)]));
  const script = { HTTP: "", ScriptArgs: ["true"], Interval: "1s" };
  world.apply(register(node("ext"), service("cmd"), [httpCheck("cmd", script)]));
  world.lead(true);
  await world.pass(4500);
  t.equal(world.reader.check("ext", "service:web")?.status, "passing");
  await world.pass(3000);
  t.equal(world.reader.check("ext", "service:web")?.status, "critical");
  t.equal(world.check("ext", "service:cmd"), "passing ");
  t.match(world.probed[0], {
    http: "https://web.example/",
    method: "POST",
    header: { "X-A": ["1"] },
    body: "b",
    tlsSkipVerify: true,
    tlsServerName: "sni",
    intervalMs: 2000,
    timeoutMs: 1000,
    args: [],
    grpc: "",
  });
});

t.test("what was deregistered meanwhile stays so", async (t) => {
  const world = createWorld();
  world.apply(register(node("ext"), service("web"), [httpCheck("web")]));
  world.apply(register(node("two"), service("api"), [httpCheck("api")]));
  world.lead(true);
  world.onProposalOf("ext", () => {
    world.apply({ type: "deregister", node: "ext", serviceId: "", checkId: "" });
  });
  await world.pass(12_000);
  t.equal(world.reader.node("ext"), undefined);
  t.equal(world.check("two", "service:api"), "critical nobody there", "the others are written");
  t.equal(world.check("two", "externalNodeHealth"), "critical Node not live or unreachable");
  t.ok(world.monitor.figures().conflicts >= 1);
  t.match(world.monitor.figures(), { nodes: 1, checks: 1 });

  world.answers.set("http://api.example/", UP);
  world.onProposalOf("two", () => {
    world.apply({ type: "deregister", node: "two", serviceId: "api", checkId: "" });
    world.apply(
      register(node("two"), service("api"), [httpCheck("api", {}, { status: "warning" })]),
    );
  });
  await world.pass(10_000);
  t.match(world.check("two", "service:api"), /^(warning|passing)/);
  await world.pass(10_000);
  t.equal(world.check("two", "service:api"), "passing 200 OK", "the next result is written");
});

t.test("checks come, change and go while it runs", async (t) => {
  const world = createWorld();
  world.lead(true);
  await world.pass(1000);
  world.apply(register(node("ext"), service("web"), [httpCheck("web", { Interval: "1s" })]));
  await world.pass(2100);
  t.ok(world.probed.length >= 1);
  world.answers.set("tcp.example:1", { status: "passing", output: "TCP connect" });
  const tcp = httpCheck("web", { HTTP: "", TCP: "tcp.example:1", Interval: "1s" }, { type: "tcp" });
  world.apply(register(node("ext"), service("web"), [tcp]));
  await world.pass(3000);
  t.equal(world.check("ext", "service:web"), "passing TCP connect");
  world.apply(register(node("ext", { "external-node": "true" }), service("web")));
  await world.pass(200);
  const probes = world.probed.length;
  await world.pass(30_000);
  t.equal(world.probed.length, probes, "without external-probe nothing is probed");
  t.match(world.monitor.figures(), { nodes: 0, checks: 0 });
  world.configure({ nodeMeta: { site: "aws" } });
  world.apply(register(node("ext", { site: "aws", "external-probe": "true" }), service("web")));
  await world.pass(3000);
  t.ok(world.probed.length > probes, "other metadata may mark a node");
});

t.test("a new output alone waits; a refused write is asked for again", async (t) => {
  const world = createWorld({ checkUpdateIntervalMs: 60_000 });
  world.answers.set(WEB, UP);
  world.apply(register(node("ext"), service("web"), [httpCheck("web")]));
  world.lead(true);
  await world.pass(11_000);
  t.equal(world.check("ext", "service:web"), "passing 200 OK", "the first output is told at once");
  world.answers.set(WEB, { status: "passing", output: "200 Fine" });
  await world.pass(40_000);
  t.equal(world.check("ext", "service:web"), "passing 200 OK");
  await world.pass(40_000);
  t.equal(world.check("ext", "service:web"), "passing 200 Fine");
  world.refuse(true);
  world.answers.clear();
  await world.pass(30_000);
  t.equal(world.check("ext", "service:web"), "passing 200 Fine");
  world.refuse(false);
  await world.pass(11_000);
  t.equal(world.check("ext", "service:web"), "critical nobody there");
});

t.test(
  "long dead: services by their definition, nodes only if the configuration says so",
  async (t) => {
    const world = createWorld();
    const after = { DeregisterCriticalServiceAfter: "30s" };
    world.apply(register(node("ext"), service("web"), [httpCheck("web", after)]));
    world.lead(true);
    await world.pass(31_000);
    t.ok(world.reader.service("ext", "web"), "not before its time");
    await world.pass(21_000);
    t.equal(world.reader.service("ext", "web"), undefined);
    await world.pass((1000 * 3600_000) / 100);
    t.ok(world.reader.node("ext"), "off by default");
    world.configure({ nodeReconnectTimeoutMs: 72 * 3600_000 });
    await world.pass(60_000);
    t.ok(world.reader.node("ext"));
    world.lead(false);
    await world.pass(73 * 3600_000);
    world.lead(true);
    await world.pass(11_000);
    t.equal(world.reader.node("ext"), undefined, "the time runs on without a leader");
    t.match(world.monitor.figures().removed, { node: 1, service: 1 });
  },
);

t.test("since when a node is dead stands in its notes", async (t) => {
  const note = noteOfDead("critical", "", 0);
  t.equal(note, "unreachable since 1970-01-01T00:00:00.000Z");
  t.equal(noteOfDead("critical", note, 5000), note);
  t.equal(deadForMs(note, 5000), 5000);
  t.equal(deadForMs("something else", 5000), 0);
  t.equal(noteOfDead("passing", note, 5000), "");
});

t.test("bounds: probes in all, writes per flush however much flaps", async (t) => {
  const world = createWorld();
  const checks = Array.from({ length: MAX_TARGETS - 2 }, (_, i) =>
    httpCheck("web", {}, { checkId: `c${i}` }),
  );
  world.apply(register(node("big"), service("web"), checks));
  world.apply(register(node("small"), service("api"), [httpCheck("api")]));
  world.apply(register(node("tiny")));
  world.lead(true);
  await world.pass(200);
  t.match(world.monitor.figures(), { nodes: 2, checks: MAX_TARGETS - 2, leftOut: 1 });
  t.equal(world.logged.filter((line) => line.startsWith("warn too many")).length, 1);
  await world.pass(2500);
  for (const command of world.proposed)
    if (command.type === "txn") t.ok(command.operations.length <= 64);
  const perSecond = (2 * WRITES_PER_FLUSH) / 64;
  t.ok(world.proposed.length <= 3 * perSecond, `${world.proposed.length} transactions`);
  const named = world.logged.filter((line) => line.includes("external check changed"));
  t.ok(named.length <= 4 * 20, `${named.length} lines`);
  t.ok(world.logged.some((line) => line.startsWith("warn more external checks changed")));
  world.apply({ type: "deregister", node: "big", serviceId: "", checkId: "" });
  await world.pass(500);
  t.match(world.monitor.figures(), { nodes: 2, checks: 1, leftOut: 0 });
});
