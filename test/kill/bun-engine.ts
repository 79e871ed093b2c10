/** Under Bun: an engine with a recorder over the real store, as the scripts of this folder use it. */
import type { Engine } from "../../src/cluster/engine.ts";
import { createSingleEngine, type SingleEngineOptions } from "../../src/cluster/single/driver.ts";
import { openStore } from "../../src/platform/store.ts";
import { createRecorder, encode, type Recorder } from "../cluster/recorder.ts";

/** Opens the log in the data directory `dir`. */
export async function openBunEngine(
  dir: string,
  overrides: Partial<SingleEngineOptions> = {},
): Promise<{ engine: Engine; machine: Recorder; warnings: string[] }> {
  const warnings: string[] = [];
  const store = openStore(dir, (warning) => void warnings.push(warning));
  const machine = createRecorder();
  const engine = await createSingleEngine({
    store,
    machine,
    clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    timers: {
      after(delayMs, run) {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
    log: () => {},
    leader: "127.0.0.1:8300",
    epochCommand: (epoch) => encode(`epoch ${epoch}`),
    onFailure: (reason) => {
      console.error(reason);
      process.exit(3);
    },
    ...overrides,
  });
  return { engine, machine, warnings };
}
