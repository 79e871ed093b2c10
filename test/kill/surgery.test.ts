/**
 * Every file of the data directory truncated, flipped and removed at many places: the start is
 * either refused with a message that names the file and the remedy, or everything that was
 * acknowledged is there. Never silently less. SURGERY_CASES sets the number of cuts per file.
 */
import { once } from "node:events";
import {
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t from "tap";
import { proposeAll } from "../cluster/engine-suite.ts";
import { createWorld, openEngine } from "../cluster/engine-world.ts";
import { createRecorder, type Recorded } from "../cluster/recorder.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { startBun } from "./bun.ts";
import { openRemoteStore } from "./remote-store.ts";
import type { Verdict } from "./surgery-child.ts";

const CASES = Number(process.env["SURGERY_CASES"] ?? 6);
const SEED = Number(process.env["SURGERY_SEED"] ?? 7);

/** Lehmer's generator: from 0 to below 1. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

/** A log with a snapshot and entries before and after it; `end` decides what its files look like. */
async function createTemplate(dataDir: string, end: "close" | "kill"): Promise<Recorded[]> {
  const store = openRemoteStore(dataDir);
  const machine = createRecorder();
  const engine = await openEngine(createWorld(), store, machine);
  const commands = (name: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${name} ${i} ${"x".repeat((i * 37) % 300)}`);
  await proposeAll(engine, commands("before", 150));
  await engine.compact();
  for (const text of commands("after", 40)) await proposeAll(engine, [text]);
  await (end === "close" ? engine.close() : store.kill());
  return machine.recorded.slice();
}

type Damage = { name: string; apply(dir: string): void };

/** Cuts and flips of one file, spread over it, with its first and last octets. */
function damagesOf(file: string, octets: number, random: () => number): Damage[] {
  const places = Array.from({ length: CASES }, () => Math.floor(random() * octets));
  const cuts = [...new Set([0, octets - 1, ...places.slice(0, CASES / 2)])];
  const flips = [...new Set([0, octets - 1, ...places])];
  return [
    { name: `${file} removed`, apply: (dir) => rmSync(join(dir, file)) },
    ...cuts.map((at) => ({
      name: `${file} cut at ${at} of ${octets}`,
      apply: (dir: string) => truncateSync(join(dir, file), at),
    })),
    ...flips.map((at) => ({
      name: `${file} flipped at ${at} of ${octets}`,
      apply(dir: string) {
        const content = readFileSync(join(dir, file));
        content[at]! ^= 1 << Math.floor(random() * 8);
        writeFileSync(join(dir, file), content);
      },
    })),
  ];
}

async function examineAll(dirs: string[]): Promise<Verdict[]> {
  const child = startBun("surgery-child.ts", dirs);
  let output = "";
  child.stdout!.on("data", (octets: Buffer) => (output += octets.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  const lines = output.split("\n").filter((line) => line !== "");
  if (code !== 0) throw new Error(`ended with ${code} after ${lines.length} of ${dirs.length}`);
  return lines.map((line) => JSON.parse(line) as Verdict);
}

const isPrefix = (prefix: readonly Recorded[], whole: readonly Recorded[]): boolean =>
  prefix.every(({ text, index }, i) => whole[i]?.text === text && whole[i]?.index === index);

for (const end of ["close", "kill"] as const)
  t.test(`after ${end}`, { timeout: 300_000 }, async (t) => {
    const directory = temporaryDirectory(t);
    const template = join(directory, "template");
    const expected = await createTemplate(template, end);
    const random = createRandom(SEED);
    const damages = readdirSync(join(template, "log")).flatMap((file) =>
      damagesOf(file, statSync(join(template, "log", file)).size, random),
    );
    damages.push({ name: "nothing", apply: () => {} });
    const dirs = damages.map((damage, i) => {
      const dir = join(directory, `case-${i}`);
      cpSync(template, dir, { recursive: true });
      damage.apply(join(dir, "log"));
      return dir;
    });
    const tally = { refused: 0, whole: 0 };
    for (const [i, verdict] of (await examineAll(dirs)).entries()) {
      const { name } = damages[i]!;
      if ("crashed" in verdict) t.fail(`${name}: ${verdict.crashed}`);
      else if ("refused" in verdict) {
        tally.refused++;
        t.match(
          verdict.refused,
          /^\/\S+\/(log\.db|marker|snapshot-\d+-\d+): .+ (restore|move)/,
          name,
        );
        t.ok(verdict.again.includes(verdict.refused.split(":")[0]!), `${name}: refused again`);
      } else {
        tally.whole++;
        const own = verdict.state.slice(0, expected.length);
        t.same(own, expected, `${name}: everything is there`);
        t.ok(isPrefix(expected, verdict.later), `${name}: and still there later`);
        t.equal(verdict.later.length, expected.length + 1 + 20 + 1, `${name}: with what was added`);
      }
    }
    t.same(tally.refused + tally.whole, damages.length, JSON.stringify(tally));
    t.ok(tally.refused > 10 && tally.whole > 1, "both happen");
  });

t.test("an operator may accept the loss", async (t) => {
  const dataDir = temporaryDirectory(t);
  const expected = await createTemplate(dataDir, "kill");
  const dir = join(dataDir, "log");
  truncateSync(join(dir, "log.db-wal"), statSync(join(dir, "log.db-wal")).size - 1);
  const [refused] = await examineAll([dataDir]);
  t.match(refused, { refused: /ends with entry 190, but entry 191 was acknowledged/ });
  t.match(refused, { refused: /create the empty file \S+\/accept-loss and start again/ });
  writeFileSync(join(dir, "accept-loss"), "");
  const [accepted] = await examineAll([dataDir]);
  t.match(accepted, { warnings: [/loss accepted: ends with entry 190/] });
  const { state } = accepted as Extract<Verdict, { state: Recorded[] }>;
  t.ok(isPrefix(expected.slice(0, 190), state), "the rest is there");
  t.notOk(readdirSync(dir).includes("accept-loss"), "accepted once");
});
