/**
 * Under Bun: tries to start from every folder given and prints one line of JSON for each: what it
 * was refused for (twice the same), or what the log held, now and after more work and a restart.
 */
import { encode, type Recorded } from "../cluster/recorder.ts";
import { openBunEngine } from "./bun-engine.ts";

export type Verdict =
  | { dir: string; refused: string; again: string }
  | { dir: string; state: Recorded[]; later: Recorded[]; warnings: string[] }
  | { dir: string; crashed: string };

async function examine(dir: string): Promise<Verdict> {
  try {
    const { engine, machine, warnings } = await openBunEngine(dir);
    const state = machine.recorded.slice();
    for (let i = 0; i < 20; i++) await engine.propose(encode(`later ${i}`));
    await engine.compact();
    await engine.close();
    const second = await openBunEngine(dir);
    const later = second.machine.recorded.slice();
    await second.engine.close();
    return { dir, state, later, warnings };
  } catch (error) {
    const { name, message, stack } = error as Error;
    if (name !== "StartRefused") return { dir, crashed: stack ?? message };
    return { dir, refused: message, again: await refusalOf(dir) };
  }
}

async function refusalOf(dir: string): Promise<string> {
  try {
    await openBunEngine(dir);
    return "started";
  } catch (error) {
    return (error as Error).message;
  }
}

for (const dir of process.argv.slice(2)) console.log(JSON.stringify(await examine(dir)));
process.exit(0);
