/**
 * Under Bun: prints what the log held at start (`state <json>`), then appends without end and prints
 * every acknowledged command (`ack <index> <text>`). Arguments: folder, name of this life.
 */
import { encode } from "../cluster/recorder.ts";
import { openBunEngine } from "./bun-engine.ts";

const IN_FLIGHT = 8;

const [dir = "", life = ""] = process.argv.slice(2);
const { engine, machine } = await openBunEngine(dir, {
  // Small, so that kills meet snapshots, trims and checkpoints too.
  limits: { snapshotEntries: 300, trailingEntries: 100 },
  snapshotIntervalMs: 20,
});
process.stdout.write(`state ${JSON.stringify(machine.recorded)}\n`);

let count = 0;
async function appendForEver(): Promise<void> {
  for (;;) {
    const text = `${life}.${count++}`;
    const outcome = await engine.propose(encode(text));
    if (outcome.outcome !== "committed") throw new Error(outcome.reason);
    process.stdout.write(`ack ${outcome.index} ${text}\n`);
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, appendForEver));
