/**
 * Seeded random logs with transactions of all verbs, against the slow model and against a twin that
 * never saw the transactions that failed: results, everything that can be read, and digests.
 */
import { isDeepStrictEqual } from "node:util";
import t from "tap";
import { originCoordinate } from "../../src/cluster/coordinates.ts";
import type { Command } from "../../src/cluster/command.ts";
import { createState, type State } from "../../src/cluster/state.ts";
import type { TxnOperation, TxnOutcome } from "../../src/cluster/txn.ts";
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
import { TxnModel, type PlainCommand } from "./txn-model.ts";

const SEEDS = 60;
const COMMANDS = 80;
const NAMES = ["n1", "n2", "n3"];
const IDS = ["", "", "aa000000-0000-0000-0000-000000000001"];
const KEYS = ["a", "a/b", "a/c", "b", "ü"];
const SERVICES = ["web", "Web", "db"];
const SERVICE_IDS = ["s1", "s2"];
const CHECKS = ["c1", "c2"];
const STATUSES = ["passing", "passing", "warning", "critical"];
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "", "host"];

type Pick = (bound: number) => number;
const one = <T>(pick: Pick, items: readonly T[]): T => items[pick(items.length)]!;

function randomService(pick: Pick) {
  return service(one(pick, SERVICES), {
    id: one(pick, SERVICE_IDS),
    tags: one(pick, [[], ["x"], ["x", "y"]]),
    address: one(pick, ADDRESSES),
  });
}

function randomCheck(pick: Pick) {
  const serviceId = one(pick, ["", ...SERVICE_IDS]);
  return check(one(pick, CHECKS), { serviceId, status: one(pick, STATUSES) });
}

function randomNode(pick: Pick) {
  return node(one(pick, NAMES), {
    address: one(pick, ADDRESSES),
    id: one(pick, IDS),
    meta: one(pick, [null, { rack: "1" }]),
  });
}

const sessionId = (number: number) => `5e550000-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** Right more often than wrong. */
function randomIndex(pick: Pick, held: { modifyIndex: number } | undefined): number {
  return pick(3) < 2 ? (held?.modifyIndex ?? 0) : pick(9);
}

const KV_VERBS =
  "set set set cas lock lock unlock get get-tree check-index check-session check-not-exists delete delete-cas delete-tree";
const CATALOG_VERBS = "set set set cas get delete delete-cas";

function randomOperation(pick: Pick, { catalog, keys }: TxnModel): TxnOperation {
  const kind = pick(10);
  if (kind < 5) {
    const verb = pick(60) === 0 ? "no-such-verb" : one(pick, KV_VERBS.split(" "));
    const key = verb === "delete-tree" && pick(3) === 0 ? "" : one(pick, KEYS);
    const value = one(pick, ["", "MQ==", "Mg=="]);
    const sessions = [...catalog.sessions.keys()];
    const holder = pick(5) === 0 || sessions.length === 0 ? sessionId(0) : one(pick, sessions);
    const held = keys.get(key);
    const mine = held === undefined || held.session === "" || pick(2) === 0 ? holder : held.session;
    const index = randomIndex(pick, held);
    return { type: "kv", verb, key, value, flags: one(pick, ["0", "7"]), index, session: mine };
  }
  const verb = pick(60) === 0 ? "no-such-verb" : one(pick, CATALOG_VERBS.split(" "));
  const name = one(pick, NAMES);
  const own = catalog.nodes.get(name);
  if (kind < 7) {
    const fields = randomNode(pick);
    const index = randomIndex(pick, catalog.nodes.get(fields.node)?.record);
    return { type: "node", verb, node: fields, index };
  }
  if (kind < 8) {
    const fields = randomService(pick);
    const index = randomIndex(pick, own?.services.get(fields.id));
    return { type: "service", verb, node: name, service: fields, index };
  }
  const fields = randomCheck(pick);
  const index = randomIndex(pick, own?.checks.get(fields.checkId));
  return { type: "check", verb, node: name, check: fields, index };
}

function randomCommand(
  pick: Pick,
  index: number,
  model: TxnModel,
): PlainCommand | Extract<Command, { type: "txn" }> {
  const kind = pick(20);
  if (kind < 10) {
    const operations = Array.from({ length: 1 + pick(5) }, () => randomOperation(pick, model));
    return { type: "txn", operations };
  }
  const name = one(pick, NAMES);
  if (kind < 14) {
    const own = pick(2) === 0 ? null : randomService(pick);
    return register(randomNode(pick), own, pick(2) === 0 ? [] : [check(one(pick, CHECKS))]);
  }
  if (kind < 15) return deregister(name, pick(2) === 0 ? one(pick, SERVICE_IDS) : "");
  if (kind < 18) {
    const nodeChecks = pick(2) === 0 ? [] : [one(pick, CHECKS)];
    const behavior = pick(2) === 0 ? "delete" : "release";
    const lockDelayMs = one(pick, [0, 0, 40]);
    return session(sessionId(index), name, { nodeChecks, behavior, lockDelayMs });
  }
  if (kind < 19) {
    const key = one(pick, KEYS);
    return { type: "kv", operation: { verb: "set", key, value: "Mw==", flags: "0" } };
  }
  const bound = one(pick, ["", ...model.catalog.sessions.keys()]);
  return query(`q${pick(3)}`, "", { session: bound });
}

/** Everything that can be read, in an order of its own where there is none. */
function lookAtAll(state: State): unknown {
  const { reader } = state;
  const texts = (items: Iterable<unknown>) => [...items].map((item) => JSON.stringify(item)).sort();
  const topics = [
    ..."nodes services checks addresses queries sessions coordinates kv*".split(" "),
    ...NAMES.map((name) => `node:${name}`),
    ...["web", "db"].map((name) => `service:${name}`),
    ...KEYS.flatMap((key) => [`kv:${key}`, `kv*${key}`]),
  ];
  return {
    counts: state.counts(),
    indexes: topics.map((topic) => `${topic} ${reader.indexOf(topic)}`),
    nodes: [...reader.nodes()],
    ofNodes: NAMES.map((name) => [reader.servicesOfNode(name), reader.checksOfNode(name)]),
    byId: reader.nodeById(IDS[2]!),
    instances: ["web", "db"].map((name) => [...reader.instancesOf(name)]),
    names: texts([...reader.serviceNames()].map(([name, tags]) => [name, [...tags].sort()])),
    addresses: ADDRESSES.map((ip) => [reader.nodeByAddress(ip), reader.serviceByAddress(ip)]),
    checks: [...new Set(STATUSES)].map((status) => reader.checksInState(status)),
    sessions: texts(reader.sessions()),
    queries: texts(reader.queries()),
    coordinates: reader.coordinates.all(),
    keys: [...reader.kv.list("")],
    held: [...reader.sessions()].map(({ id }) => [id, reader.kv.heldBy(id)].join()).sort(),
  };
}

const counted = { done: 0, failed: 0 };

function play(seed: number): string[] {
  const pick = createPick(seed);
  const state = createState();
  const twin = createState();
  const model = new TxnModel();
  let timeMs = 1000;
  const coordinates = (index: number): Command => ({
    type: "coordinates",
    updates: NAMES.map((name) => ({
      node: name,
      segment: "",
      coordinate: { ...originCoordinate, height: index },
    })),
  });
  for (let index = 1; index <= COMMANDS; index++) {
    timeMs += pick(30);
    if (pick(12) === 0) {
      for (const each of [state, twin]) each.apply(index, coordinates(index), timeMs);
      continue;
    }
    const command = randomCommand(pick, index, model);
    const { result, topics } = state.apply(index, structuredClone(command), timeMs);
    const found: string[] = [];
    let hasFailed = false;
    if (command.type === "txn") {
      const wanted = model.txn(index, structuredClone(command.operations), timeMs);
      const outcome = result.ok ? (result.value as TxnOutcome) : undefined;
      if (!isDeepStrictEqual(outcome, wanted))
        found.push(`${JSON.stringify(outcome)} instead of ${JSON.stringify(wanted)}`);
      hasFailed = "errors" in wanted;
      if (hasFailed && topics.length > 0) found.push(`a failure woke ${topics.join(" ")}`);
      counted[hasFailed ? "failed" : "done"]++;
    } else model.apply(index, command, timeMs);
    twin.apply(index, hasFailed ? deregister("nobody") : structuredClone(command), timeMs);
    if (!isDeepStrictEqual(lookAtAll(state), lookAtAll(twin)))
      found.push(
        `reads ${JSON.stringify(lookAtAll(state))} instead of ${JSON.stringify(lookAtAll(twin))}`,
      );
    const keys = [...state.reader.kv.list("")];
    if (!isDeepStrictEqual(keys, model.keys.list(""))) found.push(`keys ${JSON.stringify(keys)}`);
    // Not always: a digest freezes the entries, and those that are not frozen change in place.
    if (pick(3) === 0 && state.digest() !== twin.digest()) found.push("digest");
    if (found.length > 0) return [`command ${index}: ${JSON.stringify(command)}`, ...found];
  }
  return [];
}

t.test("seeded logs give what the model says; what failed leaves no trace", async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const problems = play(seed);
    if (problems.length === 0) continue;
    t.same(problems, [], `seed ${seed}`);
    return;
  }
  t.ok(counted.done > 500 && counted.failed > 500, JSON.stringify(counted));
});
