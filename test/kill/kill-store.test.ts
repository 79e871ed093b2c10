/**
 * SIGKILL at random moments while the real engine appends: every acknowledged command is there
 * afterwards, at its index, and the indexes are dense. KILL_ROUNDS sets the number of kills.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Recorded } from "../cluster/recorder.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { startBun } from "./bun.ts";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 15);
const LONGEST_LIFE_MS = 250;

/** One life: what it found, what it acknowledged until it was killed after `lifeMs`. */
async function live(dir: string, name: string, lifeMs: number) {
  const child = startBun("append-child.ts", [dir, name]);
  const acknowledged = new Map<string, number>();
  let state: Recorded[] | undefined;
  let ready!: () => void;
  const whenReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const lines = createInterface({ input: child.stdout! });
  lines.on("line", (line) => {
    const ack = /^ack (\d+) (\S+)$/.exec(line);
    if (ack !== null) acknowledged.set(ack[2]!, Number(ack[1]));
    else if (line.startsWith("state ")) {
      state = JSON.parse(line.slice("state ".length)) as Recorded[];
      ready();
    }
  });
  const ended = once(child, "exit");
  const drained = once(lines, "close");
  await Promise.race([whenReady, ended]);
  await Promise.race([sleep(lifeMs), ended]);
  child.kill("SIGKILL");
  await Promise.all([ended, drained]);
  if (state === undefined || child.signalCode !== "SIGKILL")
    throw new Error(`life ${name} ended by itself with ${child.exitCode}`);
  return { state, acknowledged };
}

function missing(state: readonly Recorded[], acknowledged: ReadonlyMap<string, number>): string[] {
  const found = new Map(state.map(({ text, index }) => [text, index]));
  const lost = [...acknowledged].filter(([text, index]) => found.get(text) !== index);
  return lost.map(([text, index]) => `${index} ${text}`);
}

t.test(`${ROUNDS} kills while appending`, { timeout: 60_000 + ROUNDS * 5_000 }, async (t) => {
  const dir = temporaryDirectory(t);
  const acknowledged = new Map<string, number>();
  for (let round = 0; round <= ROUNDS; round++) {
    const life = await live(dir, `${round}`, Math.random() * LONGEST_LIFE_MS);
    const indexes = life.state.map(({ index }) => index);
    if (indexes.some((index, at) => index !== at + 1)) t.fail(`round ${round}: indexes not dense`);
    t.same(missing(life.state, acknowledged), [], `round ${round}: nothing lost`);
    const texts = life.state.map(({ text }) => text);
    t.equal(new Set(texts).size, texts.length, `round ${round}: none twice`);
    for (const [text, index] of life.acknowledged) acknowledged.set(text, index);
  }
  t.ok(acknowledged.size > 10 * ROUNDS, `${acknowledged.size} acknowledged in all`);
});
