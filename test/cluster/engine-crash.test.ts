/**
 * Seeded crashes: many lives over one disk, each ended at a random point of a random store
 * operation, where an append may have left any prefix of its rows. After each life the next one
 * must hold every acknowledged command whole, no refused one, and none twice.
 */
import t from "tap";
import { createMemoryDisk, createMemoryStore } from "../../src/cluster/single/memory.ts";
import type { MemoryDisk, MemoryPoint } from "../../src/cluster/single/memory.ts";
import type { LogStore } from "../../src/ports.ts";
import { turns } from "./engine-suite.ts";
import { createWorld, openEngine } from "./engine-world.ts";
import { createRecorder, encode, type Recorder } from "./recorder.ts";

const SEEDS = 150;
const LIVES = 8;

/** mulberry32: from 0 to below 1. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** What clients know. `base` is the restore that everything later stands on. */
type Knowledge = {
  acknowledged: Map<string, number>;
  refused: Set<string>;
  /** Images by number; acknowledged ones with their index. */
  images: Map<string, number | null>;
  base: { image: string; index: number } | null;
};

type Wrap = (store: LogStore) => LogStore;

/** Runs one seed; returns the first violation, or null. */
async function simulate(seed: number, wrap: Wrap = (store) => store): Promise<string | null> {
  const random = createRandom(seed);
  const disk = createMemoryDisk();
  const known: Knowledge = {
    acknowledged: new Map(),
    refused: new Set(),
    images: new Map(),
    base: null,
  };
  for (let life = 0; life < LIVES; life++) {
    const crash = createCrash(random, disk);
    const machine = createRecorder();
    try {
      const store = wrap(createMemoryStore(disk, crash.gate));
      const world = createWorld({ limits: { trailingEntries: Math.floor(random() * 20) } });
      const opening = openEngine(world, store, machine);
      const engine = await Promise.race([opening, crash.happened]);
      const problem = compare(machine, known);
      if (problem !== null) return `seed ${seed}, life ${life}: ${problem}`;
      if (engine === "crashed") continue;
      await Promise.race([crash.happened, work(engine, random, known, `${life}`)]);
      if (!crash.isOver()) await engine.close();
    } catch (error) {
      return `seed ${seed}, life ${life}: ${(error as Error).message}`;
    }
  }
  return null;
}

/** A gate that stops for ever at the n-th point it is asked about. */
function createCrash(random: () => number, disk: MemoryDisk) {
  let remaining = Math.floor(random() ** 2 * 120);
  let over = false;
  let happen!: (word: "crashed") => void;
  const happened = new Promise<"crashed">((resolve) => {
    happen = resolve;
  });
  const never = new Promise<never>(() => {});
  const gate = async ({ operation, when, rows }: MemoryPoint) => {
    if (over) return never;
    for (let delay = Math.floor(random() * 3); delay > 0; delay--) await Promise.resolve();
    if (over) return never;
    if (remaining-- > 0) return random() < 0.03 && when === "before" ? "full" : "go";
    over = true;
    if (operation === "append" && when === "before") tear(disk, rows, random);
    happen("crashed");
    return never;
  };
  return { gate, happened, isOver: () => over };
}

function tear(disk: MemoryDisk, rows: MemoryPoint["rows"], random: () => number): void {
  const survivors = rows.slice(0, Math.floor(random() * (rows.length + 1)));
  disk.rows.push(...survivors);
  for (const { term } of survivors) disk.term = Math.max(disk.term, term);
}

type EngineUnderTest = Awaited<ReturnType<typeof openEngine>>;

/** Bursts of proposals; now and then a compaction or a restore. */
async function work(
  engine: EngineUnderTest,
  random: () => number,
  known: Knowledge,
  life: string,
): Promise<void> {
  for (let burst = 0; burst < 12; burst++) {
    const asked: Promise<void>[] = [];
    const count = Math.floor(random() * 30);
    for (let i = 0; i < count; i++) asked.push(ask(engine, `${life}.${burst}.${i}`, known));
    if (random() < 0.2) asked.push(engine.compact());
    if (random() < 0.05) asked.push(replace(engine, `image ${life}.${burst}`, known));
    if (random() < 0.3) await turns();
    await Promise.all(asked);
  }
}

async function ask(engine: EngineUnderTest, text: string, known: Knowledge): Promise<void> {
  const outcome = await engine.propose(encode(text));
  if (outcome.outcome === "committed") known.acknowledged.set(text, outcome.index);
  if (outcome.outcome === "refused") known.refused.add(text);
}

async function replace(engine: EngineUnderTest, image: string, known: Knowledge): Promise<void> {
  known.images.set(image, null);
  const chunks = [encode({ index: 0, term: 0, text: image })];
  const outcome = await engine.restore({ index: 1, term: 1, chunks });
  if (outcome.outcome === "refused") known.images.delete(image);
  if (outcome.outcome === "committed") known.images.set(image, outcome.index);
}

/** Holds the state of a new life against what clients know from the lives before. */
function compare({ recorded, installed }: Recorder, known: Knowledge): string | null {
  const commands = recorded.filter(({ text }) => /^\d/.test(text));
  if (new Set(commands.map(({ text }) => text)).size !== commands.length)
    return "one applied twice";
  const found = recorded.find(({ text }) => text.startsWith("image "))?.text ?? null;
  const newest = [...known.images].filter(([, index]) => index !== null).at(-1);
  if (found !== null && found !== known.base?.image) {
    if (!known.images.has(found)) return `${found} was refused`;
    const index = known.images.get(found) ?? installed[0]!;
    known.base = { image: found, index };
    for (const [text, at] of known.acknowledged) if (at < index) known.acknowledged.delete(text);
  }
  if (newest !== undefined && newest[1]! > (known.base?.index ?? 0))
    return `acknowledged ${newest[0]} is gone`;
  const indexes = new Map(recorded.map(({ text, index }) => [text, index]));
  for (const [text, index] of known.acknowledged)
    if (indexes.get(text) !== index) return `acknowledged ${text} is not at ${index}`;
  for (const text of known.refused) if (indexes.has(text)) return `refused ${text} is there`;
  return null;
}

t.test(`${SEEDS} seeds of ${LIVES} lives`, async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const problem = await simulate(seed);
    if (problem !== null) t.fail(problem);
  }
  t.pass("no violation");
});

const mutants: { name: string; wrap: Wrap; finding: RegExp }[] = [
  {
    name: "acknowledges before it is durable",
    wrap: (store) => ({
      ...store,
      append(rows) {
        store.append(rows).catch(() => {});
        return Promise.resolve({ stored: true });
      },
    }),
    finding: /acknowledged|dense/,
  },
  {
    name: "deletes one entry too many",
    wrap: (store) => ({ ...store, trim: (keepFrom) => store.trim(keepFrom + 2) }),
    finding: /dense|acknowledged/,
  },
  {
    name: "loses the last entry at start",
    wrap: (store) => ({
      ...store,
      async load() {
        const loaded = await store.load();
        const entries = async function* () {
          for await (const rows of loaded.entries)
            yield rows.filter((r) => r.index < loaded.lastIndex);
        };
        const lastIndex = loaded.lastIndex - 1;
        return lastIndex > (loaded.snapshot?.index ?? 0)
          ? { ...loaded, lastIndex, entries: entries() }
          : loaded;
      },
    }),
    finding: /acknowledged|dense/,
  },
  {
    name: "says full, but keeps the rows",
    wrap: (store) => ({
      ...store,
      async append(rows) {
        const result = await store.append(rows);
        return rows[0]!.index % 7 === 0 ? { stored: false, reason: "lie" } : result;
      },
    }),
    finding: /refused|dense/,
  },
];

for (const { name, wrap, finding } of mutants)
  t.test(`the checks find a store that ${name}`, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const problem = await simulate(seed, wrap);
      if (problem === null) continue;
      t.match(problem, finding, problem);
      return;
    }
    t.fail("not found");
  });
