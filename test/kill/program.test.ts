/**
 * SIGKILL at random moments while several connections register with the running program: after the
 * restart every acknowledged registration is there, and none is there by half (node, service and
 * check are one command). KILL_ROUNDS sets the number of kills; the figure to hold is 200.
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Program, startProgram } from "../program.ts";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 10);
const CONNECTIONS = 8;
const LONGEST_LIFE_MS = 400;

/** What the last answer for a node said; `asked` may or may not have happened after it. */
type Known = { acknowledged: number; asked: number };

const nodeName = (connection: number, node: number) => `kill-${connection}-${node}`;

/** Everything in it carries the version, so that a mixture of two would show. */
const registration = (node: string, version: number) => ({
  Node: node,
  Address: `10.${version >> 16}.${(version >> 8) & 255}.${version & 255}`,
  NodeMeta: { version: `${version}` },
  Service: { ID: "s", Service: "killed", Port: 1 + (version % 60_000), Tags: [`v${version}`] },
  Check: { CheckID: "c", Name: "c", ServiceID: "s", Status: "passing", Output: `v${version}` },
});

/** Status of one request over a kept connection; undefined when it was cut off. */
function put(
  agent: Agent,
  port: number,
  body: unknown,
  path = "/v1/catalog/register",
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ agent, host: "127.0.0.1", port, path, method: "PUT" }, (response) => {
      response.resume();
      response.on("error", () => resolve(undefined));
      response.on("close", () => resolve(response.complete ? response.statusCode : undefined));
    });
    asked.on("error", () => resolve(undefined));
    asked.end(JSON.stringify(body));
  });
}

/** Registers new nodes and rewrites old ones until a request is cut off. */
async function register(port: number, connection: number, known: Map<string, Known>) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let count = 0; ; count++) {
    const node = nodeName(connection, Math.floor(Math.random() * 200));
    const before = known.get(node) ?? { acknowledged: 0, asked: 0 };
    const version = before.asked + 1;
    known.set(node, { ...before, asked: version });
    const status = await put(agent, port, registration(node, version));
    if (status === undefined) return agent.destroy();
    if (status !== 200) throw new Error(`registration answered ${status}`);
    known.set(node, { acknowledged: version, asked: version });
  }
}

type NodeAnswer = {
  Node: { Meta: Record<string, string> | null; Address: string };
  Services: Record<string, { Port: number; Tags: string[] }>;
} | null;

/** Problems with one node after a restart; settles what is known about it. */
async function examine(program: Program, node: string, known: Known): Promise<string[]> {
  const reply = await program.http("GET", `/v1/catalog/node/${node}`);
  const answer = JSON.parse(reply.text) as NodeAnswer;
  const checks = await program.http("GET", `/v1/health/node/${node}`);
  const outputs = (JSON.parse(checks.text) as { CheckID: string; Output: string }[]).map(
    ({ CheckID, Output }) => `${CheckID} ${Output}`,
  );
  if (answer === null || answer.Node === undefined) {
    const problems = known.acknowledged > 0 ? [`${node}: acknowledged, but gone`] : [];
    if (outputs.length > 0) problems.push(`${node}: a check without its node`);
    known.asked = known.acknowledged = 0;
    return problems;
  }
  const version = Number(answer.Node.Meta?.["version"]);
  const wanted = registration(node, version);
  const found = {
    address: answer.Node.Address,
    ports: Object.values(answer.Services).map(({ Port }) => Port),
    tags: Object.values(answer.Services).map(({ Tags }) => Tags.join()),
    outputs,
  };
  const whole = {
    address: wanted.Address,
    ports: [wanted.Service.Port],
    tags: [`v${version}`],
    outputs: [`c v${version}`],
  };
  const problems: string[] = [];
  if (JSON.stringify(found) !== JSON.stringify(whole))
    problems.push(`${node}: half of version ${version}: ${JSON.stringify(found)}`);
  if (version < known.acknowledged)
    problems.push(`${node}: version ${known.acknowledged} was acknowledged, ${version} is there`);
  if (version > known.asked) problems.push(`${node}: version ${version} was never asked for`);
  known.acknowledged = known.asked = version;
  return problems;
}

t.test(`${ROUNDS} kills while registering`, { timeout: 60_000 + ROUNDS * 20_000 }, async (t) => {
  let program = await startProgram(t);
  const directory = dirname(program.configFile);
  const { dnsPort, httpPort } = program;
  const known = new Map<string, Known>();
  let cutCount = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const ended = once(program.child, "exit");
    const clients = Array.from({ length: CONNECTIONS }, (_, connection) =>
      register(httpPort, connection, known),
    );
    await sleep(20 + Math.random() * LONGEST_LIFE_MS);
    process.kill(program.pid, "SIGKILL");
    await Promise.all([ended, ...clients]);
    cutCount += [...known.values()].filter(
      ({ acknowledged, asked }) => asked > acknowledged,
    ).length;
    program = await startProgram(t, {}, { directory, dnsPort, httpPort });
    const names = [...known.keys()];
    const problems: string[] = [];
    // Whoever was cut off is always looked at; of the others a part, so that 200 rounds end.
    for (const name of names) {
      const state = known.get(name)!;
      const open = state.asked > state.acknowledged;
      if (open || round === ROUNDS || Math.random() < 0.2)
        problems.push(...(await examine(program, name, state)));
    }
    t.same(problems, [], `round ${round}`);
  }
  t.ok(known.size > 50, `${known.size} nodes, ${cutCount} requests cut off`);
});

/** A service of the agent and its TTL check, as the last request left them; null: deregistered. */
type Own = { version: number; status: string; output: string } | null;
type OwnKnown = { acknowledged: Own; asked: Own };

const ownService = (id: string, { version }: { version: number }) => ({
  ID: id,
  Name: "own",
  Port: 1 + (version % 60_000),
  Meta: { version: `${version}` },
  Check: { CheckID: `c-${id}`, TTL: "1h", Notes: `v${version}` },
});

/** Registers, updates and deregisters services of its own until a request is cut off. */
async function registerOwn(port: number, connection: number, known: Map<string, OwnKnown>) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let version = 1; ; version++) {
    const id = `own-${connection}-${Math.floor(Math.random() * 20)}`;
    const now = known.get(id)?.acknowledged ?? null;
    const kind = Math.random();
    const status: [string, string] =
      Math.random() < 0.5 ? ["pass", "passing"] : ["warn", "warning"];
    let next: Own = null;
    let path = `/v1/agent/service/deregister/${id}`;
    let body: unknown;
    if (now === null || kind < 0.5) {
      next = { status: "critical", output: "", ...now, version };
      path = "/v1/agent/service/register";
      body = ownService(id, next);
    } else if (kind < 0.9) {
      next = { ...now, status: status[1], output: `o${version}` };
      path = `/v1/agent/check/${status[0]}/c-${id}?note=o${version}`;
    }
    known.set(id, { acknowledged: now, asked: next });
    const answered = await put(agent, port, body, path);
    if (answered === undefined) return agent.destroy();
    if (answered !== 200) throw new Error(`${path} answered ${answered}`);
    known.set(id, { acknowledged: next, asked: next });
  }
}

type Shown = Record<
  string,
  { Meta?: { version: string }; Notes?: string; Status?: string; Output?: string }
>;

/** Problems of the agent's own services after a restart; settles what is known about them. */
async function examineOwn(program: Program, known: Map<string, OwnKnown>): Promise<string[]> {
  const get = async (path: string) => JSON.parse((await program.http("GET", path)).text) as Shown;
  const services = await get("/v1/agent/services");
  const checks = await get("/v1/agent/checks");
  const catalog = (await get("/v1/catalog/node/n1"))["Services"] as unknown as Shown;
  const health = (await get("/v1/health/node/n1")) as unknown as {
    CheckID: string;
    Status: string;
    Output: string;
  }[];
  const problems: string[] = [];
  for (const [id, state] of known) {
    const { acknowledged, asked } = state;
    const check = checks[`c-${id}`];
    const version = services[id]?.Meta?.version;
    const versions = [acknowledged, asked].map((own) => own?.version.toString());
    if (!versions.includes(version))
      problems.push(`${id}: version ${version} instead of ${versions.join(" or ")}`);
    // The check of a registration that was cut off may be missing, or be of the version before.
    const notes = versions.map((each) => each && `v${each}`);
    if (!notes.includes(check?.Notes))
      problems.push(`${id}: check of ${check?.Notes} instead of ${notes.join(" or ")}`);
    const shownState = check && `${check.Status} ${check.Output}`;
    const states = [acknowledged, asked].map((own) => own && `${own.status} ${own.output}`);
    if (shownState !== undefined && !states.includes(shownState))
      problems.push(`${id}: ${shownState} instead of ${states.join(" or ")}`);
    if (catalog[id]?.Meta?.version !== version)
      problems.push(`${id}: the catalog has version ${catalog[id]?.Meta?.version}, not ${version}`);
    const inCatalog = health.find(({ CheckID }) => CheckID === `c-${id}`);
    if ((inCatalog && `${inCatalog.Status} ${inCatalog.Output}`) !== shownState)
      problems.push(`${id}: the catalog says ${JSON.stringify(inCatalog)}, not ${shownState}`);
    const now: Own =
      version === undefined
        ? null
        : { version: Number(version), status: check?.Status ?? "", output: check?.Output ?? "" };
    known.set(id, { acknowledged: now, asked: now });
  }
  return problems;
}

t.test(
  `${ROUNDS} kills while registering with the agent`,
  { timeout: 60_000 + ROUNDS * 20_000 },
  async (t) => {
    let program = await startProgram(t);
    const directory = dirname(program.configFile);
    const { dnsPort, httpPort } = program;
    const known = new Map<string, OwnKnown>();
    for (let round = 1; round <= ROUNDS; round++) {
      const ended = once(program.child, "exit");
      const clients = Array.from({ length: CONNECTIONS }, (_, connection) =>
        registerOwn(httpPort, connection, known),
      );
      await sleep(20 + Math.random() * LONGEST_LIFE_MS);
      process.kill(program.pid, "SIGKILL");
      await Promise.all([ended, ...clients]);
      program = await startProgram(t, {}, { directory, dnsPort, httpPort });
      t.same(await examineOwn(program, known), [], `round ${round}`);
    }
    t.ok(known.size > 50, `${known.size} services`);
  },
);

t.test("a damaged log ends the start with the reason", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const { configFile, dnsPort, httpPort } = program;
  await program.end("SIGKILL");
  const directory = dirname(configFile);
  rmSync(join(directory, "data/log/marker"));
  await t.rejects(
    startProgram(t, {}, { directory, dnsPort, httpPort }),
    /ended at start \(1\)[^]*data\/log\/marker: is missing[^]*restore [^]* or move it aside/,
  );
});
