/**
 * Under Bun: fills the file system of the folder given, and prints what the engine answered then,
 * after a restart without space, and after `ballast` was removed, as one line of JSON.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../../src/cluster/engine.ts";
import { encode, withoutEpochs } from "../cluster/recorder.ts";
import { openBunEngine } from "./bun-engine.ts";

const [dir = ""] = process.argv.slice(2);
const limits = { diskFullOctets: 0, diskLowOctets: 0 };
const committed: string[] = [];

/** Proposes until `count` were refused or `most` were asked. */
async function propose(engine: Engine, name: string, most: number) {
  const reasons = new Set<string>();
  for (let i = 0, refused = 0; i < most && refused < 5; i++) {
    const text = `${name} ${i} ${"x".repeat(4000)}`;
    const outcome = await engine.propose(encode(text));
    if (outcome.outcome === "committed") committed.push(text);
    else {
      refused++;
      reasons.add(`${outcome.outcome}: ${outcome.reason}`);
    }
  }
  return [...reasons];
}

const first = await openBunEngine(dir, { limits });
const filled = await propose(first.engine, "filling", 10_000);
const readable = await first.engine.barrier("index");
await first.engine.compact();
const failedSnapshots = first.engine.stats()["snapshot_failed_total"];
await first.engine.close();

const second = await openBunEngine(dir, { limits });
const atStart = {
  whole: withoutEpochs(second.machine.texts()).join() === committed.join(),
  leads: second.engine.leadership().self,
  refused: await propose(second.engine, "at start", 1),
};
const led = new Promise((resolve) => second.engine.onLeadership(resolve));
rmSync(join(dir, "ballast"));
await led;
const withSpace = await propose(second.engine, "with space", 20);
await second.engine.close();

const third = await openBunEngine(dir, { limits });
const whole = withoutEpochs(third.machine.texts()).join() === committed.join();
await third.engine.close();
const count = committed.length;
console.log(
  JSON.stringify({ count, filled, readable, failedSnapshots, atStart, withSpace, whole }),
);
process.exit(0);
