/** A seeded random workload against the slow model: records, results, topics and indexes. */
import { isDeepStrictEqual } from "node:util";
import t from "tap";
import type { CheckFields, ServiceFields } from "../../src/cluster/command.ts";
import { createState, type State } from "../../src/cluster/state.ts";
import {
  check,
  createPick,
  deregister,
  node,
  query,
  register,
  service,
  session,
} from "./state-fixtures.ts";
import { Model, type ModelCommand } from "./state-model.ts";

const SEEDS = 40;
const COMMANDS = 80;
const NAMES = ["n1", "N2", "n3", "n4"];
const SERVICES = ["web", "Web", "db", "api"];
const IDS = [
  "",
  "",
  "aa000000-0000-0000-0000-000000000001",
  "bb000000-0000-0000-0000-000000000002",
];
const CHECKS = ["c1", "c2", "c3"];

type Pick = (bound: number) => number;
const one = <T>(pick: Pick, items: readonly T[]): T => items[pick(items.length)]!;

function randomService(pick: Pick): ServiceFields {
  return service(one(pick, SERVICES), {
    id: one(pick, ["s1", "s2", "s3"]),
    tags: one(pick, [[], ["a"], ["a", "b"]]),
    address: one(pick, ["", "", "10.0.0.1", "10.1.0.1"]),
    port: one(pick, [80, 81]),
  });
}

function randomCheck(pick: Pick, id: string): CheckFields {
  return check(id, {
    serviceId: one(pick, ["", "", "s1", "s2"]),
    status: one(pick, ["passing", "passing", "warning", "critical"]),
  });
}

function randomCommand(pick: Pick, index: number): ModelCommand {
  const name = one(pick, NAMES);
  const kind = pick(20);
  if (kind < 10) {
    const fields = node(name, {
      address: one(pick, ["10.0.0.1", "10.0.0.2"]),
      id: one(pick, IDS),
      meta: one(pick, [null, { rack: "1" }]),
    });
    // One check twice in a command may wake more than what is left of it at the end shows.
    const first = pick(3);
    const checks = CHECKS.slice(first, first + pick(3)).map((id) => randomCheck(pick, id));
    const own = pick(3) === 0 ? null : randomService(pick);
    return register(fields, own, checks, pick(3) === 0);
  }
  if (kind < 12) return deregister(name);
  if (kind < 14) return deregister(name, one(pick, ["s1", "s2", "s3"]));
  if (kind < 15) return deregister(name, "", one(pick, CHECKS));
  if (kind < 17) {
    const nodeChecks = pick(2) === 0 ? [] : [one(pick, CHECKS)];
    return session(`session-${index}`, name, { nodeChecks });
  }
  const id = `session-${Math.max(1, index - pick(8))}`;
  if (kind < 18) return { type: "session-destroy", id };
  return query(`q${pick(4)}`, "", { session: pick(2) === 0 ? "" : id }, pick(4) > 0);
}

/** Where reader and model differ; empty if they agree. */
function differences(state: State, model: Model): string[] {
  const found: string[] = [];
  const same = (what: string, actual: unknown, wanted: unknown) => {
    if (!isDeepStrictEqual(actual, wanted))
      found.push(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`);
  };
  const { reader } = state;
  const nodes = [...model.nodes.keys()].sort().map((key) => model.nodes.get(key)!);
  const instances = nodes.flatMap(({ record, services }) =>
    [...services.values()].sort(byId).map((own) => ({ ...own, node: record.node })),
  );
  const named = (service: { node: string; id: string }) => `${service.node} ${service.id}`;

  same(
    "nodes",
    [...reader.nodes()],
    nodes.map(({ record }) => record),
  );
  for (const { record, services, checks } of nodes) {
    const own = instances.filter(({ node: name }) => name === record.node);
    same(`services of ${record.node}`, reader.servicesOfNode(record.node), own);
    const wanted = [...checks.values()].sort(byServiceAndId).map((fields) => {
      const { service: serviceName = "", tags: serviceTags = [] } =
        services.get(fields.serviceId) ?? {};
      return { ...fields, node: record.node, serviceName, serviceTags };
    });
    same(`checks of ${record.node}`, reader.checksOfNode(record.node), wanted);
    for (const { id } of own) {
      const counted = wanted.filter(({ serviceId }) => serviceId === "" || serviceId === id);
      same(`checks of ${record.node} ${id}`, reader.checksOfInstance(record.node, id), counted);
    }
    for (const check of wanted) same("one check", reader.check(record.node, check.checkId), check);
  }
  for (const name of ["web", "db", "api"]) {
    const wanted = instances.filter((own) => own.service.toLowerCase() === name);
    same(`instances of ${name}`, reader.instancesOf(name), wanted);
    same(`checks of ${name}`, reader.checksOfService(name).length, checksOf(nodes, wanted).length);
  }
  for (const ip of ["10.0.0.1", "10.0.0.2", "10.1.0.1"]) {
    const holder = nodes.find(({ record }) => record.address === ip)?.record;
    same(`node at ${ip}`, reader.nodeByAddress(ip), holder);
    const first = instances.find(({ address }) => address === ip);
    const found = reader.serviceByAddress(ip);
    same(`service at ${ip}`, found && named(found), first && named(first));
  }
  for (const status of ["passing", "warning", "critical"]) {
    const wanted = nodes.flatMap(({ record, checks }) =>
      [...checks.values()]
        .filter((own) => own.status === status)
        .sort(byServiceAndId)
        .map((own) => `${record.node} ${own.checkId}`),
    );
    const held = reader.checksInState(status).map((own) => `${own.node} ${own.checkId}`);
    same(`checks in state ${status}`, held, wanted);
  }
  for (const id of IDS.slice(2))
    same(`node ${id}`, reader.nodeById(id), nodes.find(({ record }) => record.id === id)?.record);
  const tags = new Map<string, Set<string>>();
  for (const own of instances)
    tags.set(own.service, new Set([...(tags.get(own.service) ?? []), ...own.tags]));
  const sorted = (names: Iterable<[string, Iterable<string>]>) =>
    [...names].map(([name, own]) => `${name}: ${[...own].sort().join(" ")}`).sort();
  same("service names", sorted(reader.serviceNames()), sorted(tags));
  same(
    "sessions",
    [...reader.sessions()].map(({ id }) => id).sort(),
    [...model.sessions.keys()].sort(),
  );
  same(
    "queries",
    [...reader.queries()].map(({ id }) => id).sort(),
    [...model.queries.keys()].sort(),
  );
  return found;
}

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
const byServiceAndId = (a: CheckFields, b: CheckFields) =>
  `${a.serviceId} ${a.checkId}` < `${b.serviceId} ${b.checkId}` ? -1 : 1;

function checksOf(
  nodes: { record: { node: string }; checks: Map<string, CheckFields> }[],
  instances: { node: string; id: string }[],
): CheckFields[] {
  return nodes.flatMap(({ record, checks }) =>
    [...checks.values()].filter((own) =>
      instances.some(({ node: name, id }) => name === record.node && id === own.serviceId),
    ),
  );
}

type Views = Map<string, string>;

/**
 * A topic is touched exactly when what its readers see changed; its index is then the command's,
 * and stays as it was otherwise, unless the thing is not there.
 */
function topicProblems(
  state: State,
  topics: readonly string[],
  {
    was,
    now,
    index,
    indexes,
  }: { was: Views; now: Views; index: number; indexes: Map<string, number> },
): string[] {
  const found: string[] = [];
  const all = new Set([...was.keys(), ...now.keys(), ...topics, ...indexes.keys()]);
  if (new Set(topics).size !== topics.length) found.push("a topic twice");
  for (const topic of all) {
    const changed = was.get(topic) !== now.get(topic);
    const touched = topics.includes(topic);
    if (changed !== touched) found.push(`${topic}: changed ${changed}, touched ${touched}`);
    const before = indexes.get(topic) ?? 0;
    const after = state.reader.indexOf(topic);
    indexes.set(topic, after);
    if (after < before) found.push(`${topic}: index fell from ${before} to ${after}`);
    if (touched && after !== index) found.push(`${topic}: index ${after} after a change`);
    const there = now.has(topic) || !topic.includes(":");
    if (!touched && there && before !== 0 && after !== before)
      found.push(`${topic}: index rose from ${before} to ${after} without a change`);
  }
  return found;
}

function play(seed: number): string[] {
  const pick = createPick(seed);
  const state = createState();
  const model = new Model();
  const indexes = new Map<string, number>();
  let was = model.views();
  for (let index = 1; index <= COMMANDS; index++) {
    const command = randomCommand(pick, index);
    const accepted = model.apply(index, structuredClone(command));
    const { result, topics } = state.apply(index, structuredClone(command), index);
    const found = result.ok === accepted ? [] : [`result ${JSON.stringify(result)}`];
    const now = model.views();
    found.push(...differences(state, model));
    found.push(...topicProblems(state, topics, { was, now, index, indexes }));
    if (found.length > 0) return [`command ${index}: ${JSON.stringify(command)}`, ...found];
    was = now;
  }
  return [];
}

t.test("seeded logs give what the model says, after every command", async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const problems = play(seed);
    if (problems.length === 0) continue;
    t.same(problems, [], `seed ${seed}`);
    return;
  }
  t.pass(`${SEEDS} seeds of ${COMMANDS} commands`);
});
