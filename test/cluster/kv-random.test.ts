// Keys, sessions, locks and time against a slow model, through snapshots in the middle.
import t from "tap";
import type { KvOperation } from "../../src/cluster/kv-apply.ts";
import { createState, type State } from "../../src/cluster/state.ts";
import { KvModel, type KvModelCommand, type ModelRecord } from "./kv-model.ts";
import { check, createPick, deregister, node, register, session } from "./state-fixtures.ts";

const SEEDS = 25;
const COMMANDS = 300;
const KEYS = ["a", "a/b", "a/b/c", "a/c", "ab", "b", "é", "\ue000", "😀"];
const PREFIXES = ["", "a", "a/", "a/b", "a/b/c/d", "ab", "b", "x", "é"];
const CHECKS = ["serfHealth", "own"];

type Pick = (bound: number) => number;
const sessionId = (n: number): string =>
  `22222222-0000-0000-0000-${n.toString(16).padStart(12, "0")}`;

function randomCommand(pick: Pick, index: number, model: KvModel): KvModelCommand {
  const name = `n${pick(2)}`;
  const one = <T>(list: readonly T[]): T => list[pick(list.length)]!;
  const fields = { key: one(KEYS), value: one(["", "YQ==", "Yg=="]), flags: one(["0", "7"]) };
  const indexes = model.records.map((record) => record.modifyIndex);
  const known = one([...model.sessions.map(({ id }) => id), sessionId(0), ""]);
  const kind = pick(100);
  if (kind < 6) return register(node(name), null, [check(one(CHECKS)), check("serfHealth")]);
  if (kind < 9)
    return register(node(name), null, [
      check(one(CHECKS), { status: one(["passing", "warning", "critical"]) }),
    ]);
  if (kind < 11) return deregister(name, "", one(CHECKS));
  if (kind < 12) return deregister(name);
  if (kind < 24)
    return session(sessionId(index), name, {
      nodeChecks: one([[], ["serfHealth"], ["own"], CHECKS]),
      behavior: one(["release", "delete"]),
      lockDelayMs: one([0, 5000, 15_000, 90_000]),
    });
  if (kind < 30) return { type: "session-destroy", id: known };
  if (kind < 32) return { type: "kv-reap" };
  if (kind < 56) return kv({ verb: "lock", session: known, ...fields });
  if (kind < 66) return kv({ verb: "unlock", session: known, ...fields });
  if (kind < 76) return kv({ verb: "set", ...fields });
  if (kind < 84) return kv({ verb: "cas", index: one([0, ...indexes]), ...fields });
  if (kind < 92) return kv({ verb: "delete", key: fields.key });
  if (kind < 97) return kv({ verb: "delete-cas", key: fields.key, index: one([0, ...indexes]) });
  return kv({ verb: "delete-tree", key: one(PREFIXES) });
}

function kv(operation: KvOperation): KvModelCommand {
  return { type: "kv", operation };
}

/** Sentences about what the state says otherwise than the model. */
function differences(state: State, model: KvModel): string[] {
  const found: string[] = [];
  const same = (what: string, is: unknown, should: unknown): void => {
    if (JSON.stringify(is) !== JSON.stringify(should))
      found.push(`${what}: ${JSON.stringify(is)}, not ${JSON.stringify(should)}`);
  };
  const { reader } = state;
  const members = (r: ModelRecord) =>
    [r.key, r.value, r.flags, r.lockIndex, r.session, r.createIndex, r.modifyIndex].join();
  for (const prefix of PREFIXES) {
    const listed = [...reader.kv.list(prefix)].map(members);
    same(`list ${prefix}`, listed, model.list(prefix).map(members));
    same(`index of ${prefix}`, reader.indexOf(`kv*${prefix}`), model.prefixIndex(prefix));
  }
  for (const key of KEYS) {
    same(`get ${key}`, reader.kv.get(key)?.modifyIndex, model.get(key)?.modifyIndex);
    same(`index of key ${key}`, reader.indexOf(`kv:${key}`), model.keyIndex(key));
  }
  same("sessions", [...reader.sessions()].map(({ id }) => id).sort(), idsOf(model).sort());
  for (const id of idsOf(model)) {
    const held = model.list("").filter((record) => record.session === id);
    same(
      `held by ${id}`,
      reader.kv.heldBy(id),
      held.map(({ key }) => key),
    );
  }
  const ended = model.records.filter(({ session: id }) => id !== "" && !idsOf(model).includes(id));
  same("locks of nobody", ended, []);
  return found;
}

const idsOf = (model: KvModel): string[] => model.sessions.map(({ id }) => id);

/** Every key that changed is told, and no other. */
function topicProblems(
  topics: readonly string[],
  was: readonly ModelRecord[],
  now: readonly ModelRecord[],
): string[] {
  const told = topics.filter((topic) => topic.startsWith("kv"));
  const tree = told.find((topic) => topic.startsWith("kv-tree:"));
  const text = (records: readonly ModelRecord[], key: string) =>
    JSON.stringify(records.find((record) => record.key === key));
  const changed = KEYS.filter((key) => text(was, key) !== text(now, key));
  if (tree !== undefined) {
    const prefix = tree.slice("kv-tree:".length);
    const isRight = told.length === 1 && changed.length > 0;
    return isRight && changed.every((key) => key.startsWith(prefix)) ? [] : [`told ${told.join()}`];
  }
  const expected = changed.map((key) => `kv:${key}`);
  const isRight = [...told].sort().join() === expected.sort().join();
  return isRight ? [] : [`told ${told.join()}, changed ${expected.join()}`];
}

async function play(seed: number): Promise<{ problems: string[]; delayed: number; held: number }> {
  const pick = createPick(seed);
  const model = new KvModel();
  const replica = createState();
  let state = createState();
  let timeMs = 1_700_000_000_000;
  let delayed = 0;
  let held = 0;
  for (let index = 1; index <= COMMANDS; index++) {
    timeMs += pick(40) === 0 ? 16 * 60_000 : pick(4) === 0 ? pick(20_000) : pick(50);
    const command = randomCommand(pick, index, model);
    const was = model.records;
    const isDelayed = model.delays.some((one) => timeMs < one.untilMs);
    const expected = model.apply(index, command, timeMs);
    const { result, topics } = state.apply(index, command, timeMs);
    replica.apply(index, command, timeMs);
    if (isDelayed && JSON.stringify(expected) === '{"ok":true,"value":false}') delayed++;
    held += model.records.filter((record) => record.session !== "").length;
    const problems = [
      ...(JSON.stringify(result) === JSON.stringify(expected)
        ? []
        : [`${JSON.stringify(result)}, not ${JSON.stringify(expected)}`]),
      ...topicProblems(topics, was, model.records),
      ...differences(state, model),
    ];
    if (problems.length > 0) {
      const where = `seed ${seed}, index ${index}, ${JSON.stringify(command)}`;
      return { problems: problems.map((problem) => `${where}: ${problem}`), delayed, held };
    }
    if (pick(30) > 0) continue;
    const copy = createState();
    await copy.install(state.snapshot().chunks);
    if (copy.digest() !== state.digest()) return { problems: ["digest of a copy"], delayed, held };
    state = copy;
  }
  const isSame = state.digest() === replica.digest();
  return { problems: isSame ? [] : [`seed ${seed}: digests differ`], delayed, held };
}

t.test("seeded logs give what the model says, after every command", async (t) => {
  let [delayed, held] = [0, 0];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const played = await play(seed);
    if (played.problems.length > 0) t.fail(played.problems[0]!, { problems: played.problems });
    delayed += played.delayed;
    held += played.held;
  }
  t.ok(delayed > 100 && held > 5000, `${delayed} writes refused while a delay ran, ${held} locks`);
});
