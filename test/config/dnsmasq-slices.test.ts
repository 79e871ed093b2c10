/** A long dnsmasq configuration is read, and its rules are put together, in slices between which questions are answered. */
import { join } from "node:path";
import t from "tap";
import { loadConfig, type LoadedConfig } from "../../src/config.ts";
import { nameListsOf } from "../../src/config/name-lists.ts";
import { emptyLayer, readLayer } from "../../src/config/read.ts";
import { findDigest } from "../../src/agent/list-digests.ts";
import { shownConfig } from "../../src/agent/settings.ts";
import { createRuleTables, type RuleTables } from "../../src/forwarder/rules.ts";
import { parseName } from "../../src/dns/name.ts";
import { atOnce, inSlices, SLICE_MS, type Pace, type Slices } from "../../src/slices.ts";
import { machine, writeFiles } from "./world.ts";

const LINES = 60_000;
const key = { low: 1, high: 2 };
const nameOf = (i: number) => `host-${i}.ads${i % 97}.example`;
const lines = Array.from({ length: LINES }, (_, i) => {
  const value = ["192.0.2.1", "", "192.0.2.53#5353"][i % 3]!;
  return `${["address", "local", "server"][i % 3]!}=/${nameOf(i)}/${value}\n`;
});

/** A clock that goes on by one slice with every look at it: each step of the work is a slice of its own. */
function stepwise(): Pace & { turns: () => number } {
  let nowMs = 0;
  let turns = 0;
  return {
    nowMs: () => (nowMs += SLICE_MS),
    turn() {
      turns++;
      return Promise.resolve();
    },
    turns: () => turns,
  };
}

function sourcesOf(path: string) {
  return {
    paths: [],
    format: undefined,
    flagLists: emptyLayer(),
    flagValues: readLayer({ forwarder: { dnsmasq_conf: path } }, "-hcl"),
    fragments: [],
    dev: true,
  };
}

t.test("work that never stops is one slice; other work is as many as the clock says", async (t) => {
  function* work(steps: number): Slices<number> {
    for (let i = 0; i < steps; i++) yield;
    return steps;
  }
  const pace = stepwise();
  t.equal(await inSlices(work(0), pace), 0);
  t.equal(pace.turns(), 1);
  t.equal(await inSlices(work(10), pace), 10);
  t.equal(pace.turns(), 12);
  let nowMs = 0;
  let turns = 0;
  const halves: Pace = { nowMs: () => (nowMs += SLICE_MS / 4), turn: async () => void turns++ };
  t.equal(await inSlices(work(39), halves), 39);
  t.equal(turns, 10, "four looks at the clock are a slice");
  const failing = inSlices(
    (function* fails(): Slices<void> {
      yield;
      throw new Error("no room");
    })(),
    stepwise(),
  );
  await t.rejects(failing, /no room/);
});

t.test("no step takes more than some hundred lines or names", async (t) => {
  const directory = writeFiles(t, { "d.conf": ["no-resolv\n", ...lines].join("") });
  const sources = sourcesOf(join(directory, "d.conf"));
  const pace = stepwise();
  const loaded = await loadConfig(sources, machine, pace);
  if (!loaded.ok) throw new Error(loaded.error.join("\n"));
  // Lines are read once; what is said is sorted for zones and for addresses, and looked through.
  t.ok(pace.turns() > LINES / 64 + (4 * LINES) / 512, `${pace.turns()} turns to read`);
  const { config, zones, local } = loaded.value;
  t.equal(
    zones.rules.length + local.rules.length,
    3,
    "lists with servers are packed as well as the others",
  );
  const rules = [...zones.rules, ...local.rules];
  const tables = createRuleTables(key);
  const before = pace.turns();
  await inSlices(tables.prepare(rules), pace);
  t.ok(pace.turns() - before > LINES / 256 - 3, `${pace.turns() - before} turns for the table`);
  const known = pace.turns();
  await inSlices(tables.prepare(rules), pace);
  t.equal(pace.turns(), known + 1, "the same rules have their table");
  for (const list of nameListsOf(config))
    t.ok([...findDigest(list)].length >= list.octets.length / 65_536, "so does the digest");
  const shown = JSON.stringify(shownConfig(config));
  t.ok(shown.length < 60_000, `${shown.length} characters are shown`);
  t.match(shown, "(20000 names in all, SHA-512 ");

  const whole = await loadConfig(sources, machine);
  if (!whole.ok) throw new Error(whole.error.join("\n"));
  t.equal(JSON.stringify(shownConfig(whole.value.config)), shown, "as at once");
  const other = createRuleTables(key);
  for (let i = 0; i < LINES; i += 997)
    t.same(
      verdict(tables, loaded.value, rules, i),
      verdict(other, whole.value, [...whole.value.zones.rules, ...whole.value.local.rules], i),
    );
  t.match(verdict(tables, loaded.value, rules, 0), { kind: "addresses" });
  t.match(verdict(tables, loaded.value, rules, 1), { kind: "deny" });
  t.match(verdict(tables, loaded.value, rules, 2), { servers: ["192.0.2.53"] });
});

t.test("other names of lists may be asked for while a table is made", async (t) => {
  const directory = writeFiles(t, {
    "a.conf": lines.slice(0, 6000).join(""),
    "b.conf": lines.slice(6000, 12_000).join(""),
  });
  const [a, b] = await Promise.all(
    ["a.conf", "b.conf"].map(async (file) => {
      const loaded = await loadConfig(sourcesOf(join(directory, file)), machine, stepwise());
      if (!loaded.ok) throw new Error(loaded.error.join("\n"));
      return loaded.value;
    }),
  );
  const tables = createRuleTables(key);
  const [first, second] = [a!.zones.rules, b!.zones.rules];
  const [one, two] = [tables.prepare(first), tables.prepare(second)];
  while ([one.next(), two.next()].some(({ done }) => done !== true));
  const alone = createRuleTables(key);
  for (const i of [1, 4, 5999, 6001, 11_999]) {
    const name = wire(nameOf(i));
    t.same(tables.of(first).find(name, 1), alone.of(first).find(name, 1), nameOf(i));
    t.same(tables.of(second).find(name, 1), alone.of(second).find(name, 1), nameOf(i));
  }
  atOnce(tables.prepare(first));
});

/** What holds for the i-th name, with the servers that are asked. */
function verdict(
  tables: RuleTables,
  { zones }: LoadedConfig,
  rules: Parameters<RuleTables["of"]>[0],
  i: number,
) {
  const found = tables.of(rules).find(wire(`www.${nameOf(i)}`), 1);
  if (found?.kind !== "forward") return found;
  const group = zones.groups.find(({ name }) => name === found.group);
  return { ...found, servers: group?.servers?.map(({ address }) => address) };
}

function wire(name: string): Uint8Array {
  const parsed = parseName(name);
  if (!parsed.ok) throw new Error(name);
  return parsed.value;
}
