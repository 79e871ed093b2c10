/**
 * SIGKILL while clients register checks, replace and remove them, and turn maintenance on and off: after
 * the restart each service has the checks that the last answer acknowledged, or those of the request
 * that was cut off, never a mixture; and the catalog says the same. KILL_ROUNDS sets the number of kills.
 */
import { once } from "node:events";
import { Agent, request } from "node:http";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Program, startProgram } from "../program.ts";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 6);
const CONNECTIONS = 8;
const LONGEST_LIFE_MS = 400;

/** Check ids → their notes. */
type Checks = Readonly<Record<string, string>>;
type Known = { acknowledged: Checks; asked: Checks };

const maintenanceOf = (id: string) => `_service_maintenance:${id}`;
const text = (checks: Checks) =>
  JSON.stringify(
    checks,
    Object.keys(checks).sort((a, b) => (a < b ? -1 : 1)),
  );

/** One request: path, body, and what the service has after it. */
type Change = { path: string; body?: unknown; after: Checks };

function randomChange(id: string, now: Checks, version: number): Change {
  const kind = Math.floor(Math.random() * 6);
  const checkId = `${id}-${Math.floor(Math.random() * 4)}`;
  const note = `v${version}`;
  const check = { Notes: note, TTL: "1h" };
  if (kind === 0 || now[id] === undefined) {
    const replaces = Math.random() < 0.5;
    const path = `service/register${replaces ? "?replace-existing-checks" : ""}`;
    const Checks = [id, checkId].map((CheckID) => ({ ...check, CheckID }));
    const body = { ID: id, Name: `name-${id}`, Port: 1 + (version % 60_000), Checks };
    const maintenance = now[maintenanceOf(id)];
    const kept = !replaces
      ? now
      : maintenance === undefined
        ? {}
        : { [maintenanceOf(id)]: maintenance };
    return { path, body, after: { ...kept, [id]: note, [checkId]: note } };
  }
  if (kind <= 2) {
    const body = { ...check, ID: checkId, Name: checkId, ServiceID: id };
    return { path: "check/register", body, after: { ...now, [checkId]: note } };
  }
  if (kind === 3) {
    const { [checkId]: _, ...after } = now;
    return { path: `check/deregister/${checkId}`, after };
  }
  if (kind === 4) {
    const path = `service/maintenance/${id}?enable=true&reason=${note}`;
    return { path, after: { [maintenanceOf(id)]: note, ...now } };
  }
  const { [maintenanceOf(id)]: _, ...after } = now;
  return { path: `service/maintenance/${id}?enable=false`, after };
}

/** Status of one request over a kept connection; undefined when it was cut off. */
function put(agent: Agent, port: number, { path, body }: Change): Promise<number | undefined> {
  const to = { agent, host: "127.0.0.1", port, path: `/v1/agent/${path}`, method: "PUT" };
  return new Promise((resolve) => {
    const asked = request(to, (response) => {
      response.resume();
      response.on("error", () => resolve(undefined));
      response.on("close", () => resolve(response.complete ? response.statusCode : undefined));
    });
    asked.on("error", () => resolve(undefined));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Changes its own services until a request is cut off. */
async function change(port: number, connection: number, known: Map<string, Known>) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let version = 1; ; version++) {
    const id = `kept-${connection}-${version % 3}`;
    const now = known.get(id)?.acknowledged ?? {};
    const next = randomChange(id, now, version);
    known.set(id, { acknowledged: now, asked: next.after });
    const status = await put(agent, port, next);
    if (status === undefined) return agent.destroy();
    if (status !== 200) throw new Error(`${next.path} answered ${status}`);
    known.set(id, { acknowledged: next.after, asked: next.after });
  }
}

type Shown = { CheckID: string; Notes: string; ServiceID: string };

function byService(checks: readonly Shown[]): Map<string, Checks> {
  const found = new Map<string, Checks>();
  for (const { CheckID, Notes, ServiceID } of checks)
    found.set(ServiceID, { ...found.get(ServiceID), [CheckID]: Notes });
  return found;
}

async function problemsOf(program: Program, known: Map<string, Known>): Promise<string[]> {
  const get = async (path: string) =>
    Object.values(JSON.parse((await program.http("GET", path)).text) as object) as Shown[];
  const local = byService(await get("/v1/agent/checks"));
  const catalog = byService(await get("/v1/health/node/n1"));
  const problems: string[] = [];
  for (const [id, { acknowledged, asked }] of known) {
    const here = local.get(id) ?? {};
    if (![text(acknowledged), text(asked)].includes(text(here)))
      problems.push(`${id}: ${text(here)}, not ${text(acknowledged)} or ${text(asked)}`);
    if (text(catalog.get(id) ?? {}) !== text(here))
      problems.push(`${id}: the catalog has ${text(catalog.get(id) ?? {})}, not ${text(here)}`);
    known.set(id, { acknowledged: here, asked: here });
  }
  return problems;
}

t.test(`${ROUNDS} kills while checks change`, { timeout: 60_000 + ROUNDS * 20_000 }, async (t) => {
  let program = await startProgram(t);
  const directory = dirname(program.configFile);
  const { dnsPort, httpPort } = program;
  const known = new Map<string, Known>();
  for (let round = 1; round <= ROUNDS; round++) {
    const ended = once(program.child, "exit");
    const clients = Array.from({ length: CONNECTIONS }, (_, connection) =>
      change(httpPort, connection, known),
    );
    await sleep(20 + Math.random() * LONGEST_LIFE_MS);
    process.kill(program.pid, "SIGKILL");
    await Promise.all([ended, ...clients]);
    program = await startProgram(t, {}, { directory, dnsPort, httpPort });
    t.same(await problemsOf(program, known), [], `round ${round}`);
  }
  t.equal(known.size, CONNECTIONS * 3);
});
