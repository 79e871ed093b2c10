/** A world for commands that are run within the test: what they print is kept. */
import type { World } from "../../src/cli/world.ts";

/** A fresh one; `out` and `err` are what was printed so far. */
export function capturedWorld(name = "waypost") {
  const text = { out: "", err: "" };
  const world: World = {
    name,
    programPath: `/opt/${name}`,
    out: (part) => Promise.resolve(void (text.out += String(part))),
    err: (part) => Promise.resolve(void (text.err += part)),
    readInput: () => Promise.resolve(new Uint8Array()),
    env: {},
    isTerminal: false,
    showsProgress: false,
    onSignal: () => () => {},
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    timers: { after: () => () => {} },
  };
  return { world, text };
}
