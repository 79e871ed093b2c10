/** members, join, leave, force-leave, monitor, keyring, rtt, operator. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, waypostPath } from "../program.ts";
import { runCli, type Ended } from "./run.ts";

const keys = ["a", "b"].map((letter) => Buffer.alloc(32, letter).toString("base64"));
const program = await startProgram(t, { encrypt: keys[0] });
const agent = program.httpPort;
const self = JSON.parse((await program.http("GET", "/v1/agent/self")).text) as {
  Config: { NodeID: string };
  Member: { Port: number };
};
// Updates are written in batches, every 5 s: `rtt` asks for these below.
// Sides of 3 and 4 ms make a distance of 5; each height adds one.
const origin = { Error: 1.5, Adjustment: 0, Height: 0.001 };
const place = async (node: string, vec: number[]) => {
  await program.http("PUT", "/v1/catalog/register", { Node: node, Address: "192.0.2.1" });
  const Coord = { ...origin, Vec: [...vec, 0, 0, 0, 0, 0, 0] };
  await program.http("PUT", "/v1/coordinate/update", { Node: node, Coord });
};
await place("a", [0, 0]);
await place("B", [0.003, 0.004]);

const lan = `127.0.0.1:${self.Member.Port}`;
const raft = `127.0.0.1:${1 + (agent % 65_000)}`;

const run = (line: string) => runCli(agent, line.split(" "));
const good = (out: string): Ended => ({ code: 0, out, err: "" });
const failed = (err: string): Ended => ({ code: 1, out: "", err: `${err}\n` });

/** Words of each line; the widths of columns depend on the ports. */
const cells = (text: string) => text.split("\n").map((line) => line.split(/ {2,}/));

t.test("members", async (t) => {
  const { code, out } = await run("members");
  t.equal(code, 0);
  t.same(cells(out), [
    ["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Segment"],
    ["n1", lan, "alive", "server", "1.10.12", "2", "dc1", "<all>"],
    [""],
  ]);
  t.equal(out.split("\n")[0]!.indexOf("Status"), out.split("\n")[1]!.indexOf("alive"), "aligned");
  t.same(cells((await run("members -detailed")).out)[0], ["Node", "Address", "Status", "Tags"]);
  t.match((await run("members -detailed")).out, /,role=consul,segment=<all>,vsn=2,vsn_max=3,/);
  t.equal((await run("members -status ^al")).code, 0);
  const nobody = { code: 2, out: "", err: "" };
  t.same(await run("members -status failed"), nobody, "nothing to show");
  t.same(await run("members -wan"), nobody, "this one has no WAN pool");
  t.match(await run("members -status ("), { code: 1, err: /^Failed to compile status regexp: / });
  t.match(await run("members -segment blue"), {
    code: 1,
    err: "Error retrieving members: Unexpected response code: 500 (Network segments are not",
  });
  const filtered = (expression: string) => runCli(agent, ["members", "-filter", expression]);
  t.match(await filtered("Tags.role == consul and Status == 1"), { code: 0, out: /\nn1 / });
  t.same(await filtered("Name == n2"), nobody);
  t.match(await filtered("Nmae == n1"), {
    code: 1,
    err: /^Error retrieving members: Unexpected response code: 500 \(.*Nmae/,
  });
  t.same(await run("members all"), failed("Too many arguments (expected 0, got 1)"));
});

t.test("join and force-leave", async (t) => {
  t.same(
    await run(`join 127.0.0.1 ${lan}`),
    good("Successfully joined cluster by contacting 2 nodes.\n"),
  );
  t.match(await run(`join 192.0.2.1 ${lan}`), {
    code: 0,
    out: "Successfully joined cluster by contacting 1 nodes.\n",
    err: /^Error joining address '192\.0\.2\.1': Unexpected response code: 500 \(.*\)\n$/,
  });
  t.match(await run("join -wan 192.0.2.1"), {
    code: 1,
    out: "",
    err: /^Error joining address '192\.0\.2\.1': .*\nFailed to join any nodes\.\n$/,
  });
  t.match(await run("join"), {
    code: 1,
    err: /^At least one address to join must be specified\.\n\nUsage: waypost join /,
  });
  t.same(await run("force-leave n1"), good(""));
  t.same(await run("force-leave -prune n1"), good(""));
  t.same(
    await run("force-leave ghost"),
    failed(
      "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'ghost')",
    ),
  );
  for (const line of ["force-leave", "force-leave a b"])
    t.match(await run(line), {
      code: 1,
      err: /^A single node name must be specified to force leave\.\n\nUsage: /,
    });
});

t.test("keyring: a rotation", async (t) => {
  const [old, next] = keys;
  const list = (...shown: string[]) =>
    `\ndc1 (LAN):\n${shown.map((key) => `  ${key} [1/1]\n`).join("")}`;
  const gathering = "==> Gathering installed encryption keys...\n";
  t.same(await run("keyring -list"), good(gathering + list(old!)));
  t.same(
    await run(`keyring -install ${next}`),
    good("==> Installing new gossip encryption key...\n"),
  );
  t.same(await run("keyring -list -local-only"), good(gathering + list(old!, next!)));
  t.same(
    await run(`keyring -use ${next}`),
    good("==> Changing primary gossip encryption key...\n"),
  );
  t.same(
    await run("keyring -list-primary -relay-factor 2"),
    good(`==> Gathering installed primary encryption keys...\n${list(next!)}`),
  );
  t.match(await run(`keyring -remove ${next}`), {
    code: 1,
    out: "==> Removing gossip encryption key...\n",
    err: /^error: Unexpected response code: 500 \(.*Removing the primary key is not allowed/s,
  });
  t.same(await run(`keyring -remove ${old}`), good("==> Removing gossip encryption key...\n"));
  t.match(await run("keyring -install short"), { code: 1, err: /^error: .*500/ });
  t.same(await run(`keyring -list -use ${old}`), failed("Only a single action is allowed"));
  t.same(
    await run("keyring -list -relay-factor 6"),
    failed("Error parsing relay factor: Relay factor must be in range: [0, 5]"),
  );
  t.same(
    await run(`keyring -use ${old} -local-only`),
    failed("Error validating local-only: local-only can only be set for list requests"),
  );
  t.match(await run("keyring"), { code: 1, err: /\n\nUsage: waypost keyring / });
});

t.test("keygen", async (t) => {
  const [one, two] = [await run("keygen"), await run("keygen")];
  t.same({ code: one.code, err: one.err }, { code: 0, err: "" });
  t.equal(Buffer.from(one.out, "base64").length, 32);
  t.match(one.out, /^[A-Za-z0-9+/]{43}=\n$/);
  t.not(one.out, two.out);
});

t.test("rtt", async (t) => {
  const estimated = "Estimated a <-> b rtt: 7.000 ms (using LAN coordinates)\n";
  let seen = await run("rtt a b");
  for (let tries = 0; seen.code !== 0 && tries < 100; tries++) {
    await sleep(100);
    seen = await run("rtt a b");
  }
  t.same(seen, good(estimated));
  t.match(await run("rtt a"), { code: 0, out: /^Estimated a <-> n1 rtt: \d+\.\d{3} ms / });
  t.match(await run("rtt -wan n1.dc1"), {
    code: 0,
    out: /^Estimated n1\.dc1 <-> n1\.dc1 rtt: \d+\.\d{3} ms \(using WAN coordinates\)\n$/,
  });
  t.same(await run("rtt a ghost"), failed('Could not find a coordinate for node "ghost"'));
  t.same(await run("rtt ghost a"), failed('Could not find a coordinate for node "ghost"'));
  t.same(
    await run("rtt -wan a b"),
    failed("Node names must be specified as <node name>.<datacenter> with -wan"),
  );
  for (const line of ["rtt", "rtt a b c"])
    t.match(await run(line), { code: 1, err: /^One or two node names must be specified\n\nUsage/ });
});

t.test("operator raft", async (t) => {
  for (const line of ["operator raft list-peers", "operator raft -list-peers"])
    t.same(cells((await run(line)).out), [
      ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"],
      ["n1", self.Config.NodeID, raft, "leader", "true", "3"],
      [""],
    ]);
  t.match(
    (await run("operator raft list-peers -detailed")).out,
    new RegExp(
      `RaftProtocol {2}Commit Index {2}Trails Leader By\nn1 .* leader +true +3 +\\d+ +-\n$`,
    ),
  );
  t.match(await run("operator raft transfer-leader"), {
    code: 1,
    out: "",
    err: /^waypost operator raft transfer-leader is not available: /,
  });
  const what = "Error removing peer:";
  const remove = "operator raft remove-peer";
  t.same(await run(remove), failed(`${what} an address or id is required for the peer to remove`));
  t.same(
    await run(`${remove} -id a -address b`),
    failed(`${what} cannot give both an address and id`),
  );
  t.match(await run(`${remove} -address 192.0.2.1:8300`), {
    code: 1,
    err: /^Error removing peer: Unexpected response code: 500 \(address "192\.0\.2\.1:8300" was not found/,
  });
  t.match(await run("operator raft -remove-peer -id ghost"), {
    code: 1,
    err: /^Error removing peer: .*id "ghost" was not found/,
  });
  t.match(await run("operator raft -list-peers -remove-peer"), {
    code: 1,
    err: /^Exactly one of /,
  });
  t.match(await run("operator raft"), { code: 1, out: "", err: /^Usage: waypost operator raft / });
  t.match(await run("operator raft elect"), {
    code: 1,
    err: /^unknown command "waypost operator raft elect"\n\nUsage/,
  });
});

t.test("operator usage instances", async (t) => {
  for (const [Service, Kind] of Object.entries({ web: "", api: "", gate: "ingress-gateway" }))
    await program.http("PUT", "/v1/catalog/register", {
      Node: "usage",
      Address: "192.0.2.9",
      Service: { Service, Kind, Port: 1 },
    });
  // Consul's layout: command/operator/usage/instances.
  const billable =
    "Billable Service Instances Total: 2\ndc1 Billable Service Instances: 2\n\nBillable Services\n" +
    "Services      Service instances\n4             2\n\n\n";
  const { code, out } = await run("operator usage instances");
  t.equal(code, 0);
  t.ok(out.startsWith(`${billable}Connect Services\n`), out);
  t.match(out, /\nType {21}Service instances\n(.*\n)*ingress-gateway {10}1\n/);
  t.equal((await run("operator usage instances -billable")).out, billable);
  const wide = (await run("operator usage instances -connect -all-datacenters")).out;
  t.match(wide, /^Connect Services\nDatacenter {6}Type {21}Service instances\ndc1 {13}/);
  t.match(wide, /\n\nTotal {36}1\n$/);
  t.same(
    await run("operator usage instances -billable -connect"),
    failed("Cannot specify both -billable and -connect flags"),
  );
  await program.http("PUT", "/v1/catalog/deregister", { Node: "usage" });
});

t.test("operator autopilot", async (t) => {
  const config = (changed: Record<string, string> = {}) =>
    Object.entries({
      CleanupDeadServers: "true",
      LastContactThreshold: "200ms",
      MaxTrailingLogs: "250",
      MinQuorum: "0",
      ServerStabilizationTime: "10s",
      RedundancyZoneTag: '""',
      DisableUpgradeMigration: "false",
      UpgradeVersionTag: '""',
      ...changed,
    })
      .map(([name, value]) => `${name} = ${value}\n`)
      .join("");
  const get = () => run("operator autopilot get-config");
  const set = (flags: string) => run(`operator autopilot set-config ${flags}`);
  t.same(await get(), good(config()));
  t.same(
    await set(
      "-cleanup-dead-servers=false -max-trailing-logs 9 -min-quorum 3 -last-contact-threshold 1m30s",
    ),
    good("Configuration updated!\n"),
  );
  const changed = {
    CleanupDeadServers: "false",
    LastContactThreshold: "1m30s",
    MaxTrailingLogs: "9",
    MinQuorum: "3",
  };
  t.same(await get(), good(config(changed)), "the rest stays");
  t.equal(
    (
      await set(
        "-server-stabilization-time 5s -redundancy-zone-tag zone -disable-upgrade-migration -upgrade-version-tag v",
      )
    ).code,
    0,
  );
  t.same(
    await get(),
    good(
      config({
        ...changed,
        ServerStabilizationTime: "5s",
        RedundancyZoneTag: '"zone"',
        DisableUpgradeMigration: "true",
        UpgradeVersionTag: '"v"',
      }),
    ),
  );
  t.match(await set("-min-quorum -1"), { code: 1, err: /-min-quorum: it is negative\n$/ });
  t.match(await set("-last-contact-threshold soon"), {
    code: 1,
    err: /^invalid value "soon" for flag -last-contact-threshold: time: invalid duration "soon"/,
  });

  const state = await run("operator autopilot state");
  t.equal(state.code, 0);
  const id = self.Config.NodeID;
  t.match(
    state.out,
    new RegExp(
      "^Healthy: {22}true\\nFailure Tolerance: {12}0\\nOptimistic Failure Tolerance: 0\\n" +
        `Leader: {23}${id}\\nVoters:\\n   ${id}\\nServers:\\n   ${id}\\n      Name: {12}n1\\n` +
        `      Address: {9}${raft}\\n      Version: {9}1\\.10\\.12\\n      Status: {10}leader\\n` +
        "      Node Type: {7}voter\\n      Node Status: {5}alive\\n      Healthy: {9}true\\n" +
        "      Last Contact: {4}0s\\n      Last Term: {7}\\d+\\n      Last Index: {6}\\d+\\n",
    ),
  );
  const json = await run("operator autopilot state -format=json");
  t.match(JSON.parse(json.out), { Healthy: true, Leader: id, Servers: { [id]: { Name: "n1" } } });
  t.match(json.out, /^\{\n {4}"Healthy": true,\n/);
  t.same(await run("operator autopilot state -format=x"), failed("Unknown format: x"));
});

/** A monitor that has shown its first line. */
async function startMonitor(...flags: string[]) {
  const child = spawn(waypostPath, ["monitor", `-http-addr=127.0.0.1:${agent}`, ...flags]);
  t.teardown(() => child.kill("SIGKILL"));
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const shown = async (part: string | RegExp) => {
    while (!(typeof part === "string" ? out.includes(part) : part.test(out)))
      await once(child.stdout, "data");
  };
  await shown("the log follows");
  const ended = async () => {
    await once(child, "close");
    return { code: child.exitCode, out };
  };
  return { child, shown, ended };
}

t.test("monitor, and its end by signals", async (t) => {
  const plain = await startMonitor();
  const json = await startMonitor("-log-json", "-log-level=debug");
  await program.http("PUT", "/v1/agent/service/register", { Name: "web", Port: 80 });
  await json.shown("web");
  const ends = [plain.ended(), json.ended()];
  plain.child.kill("SIGINT");
  json.child.kill("SIGTERM");
  const [first, second] = await Promise.all(ends);
  t.equal(first!.code, 0);
  t.match(first!.out, / \[INFO\] {2}the log follows: level=info\n/);
  t.notMatch(first!.out, "[DEBUG]");
  t.equal(second!.code, 0);
  for (const line of second!.out.trim().split("\n")) t.type(JSON.parse(line), "object");
  t.same(
    await run("monitor -log-level loud"),
    failed(
      "Error starting monitor: Unexpected response code: 400 (Bad request: Unknown log level: loud)",
    ),
  );
});

t.test("leave ends the agent with 0 and its monitors with 1", async (t) => {
  const monitor = await startMonitor();
  const ended = monitor.ended();
  const stopped = once(program.child, "exit");
  t.same(await run("leave"), good("Graceful leave complete\n"));
  const [code] = (await stopped) as [number | null];
  t.equal(code, 0);
  t.match(await ended, {
    code: 1,
    out: /\n\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed\.\n$/,
  });
  t.notMatch(program.output(), "cut off");
  const refused = `Get "http://127.0.0.1:${agent}/v1/agent/members?segment=_all": dial tcp 127.0.0.1:${agent}: connect: connection refused`;
  t.same(await run("members"), failed(`Error retrieving members: ${refused}`));
  t.match(await run("leave"), { code: 1, err: /^Error leaving: Put "http.*connection refused\n$/ });
});
