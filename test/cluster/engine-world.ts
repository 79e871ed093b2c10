/** Clock, timers and options for engines under test: time moves only when a test says so. */
import type { SingleEngineOptions } from "../../src/cluster/single/driver.ts";
import { createSingleEngine } from "../../src/cluster/single/driver.ts";
import type { StateMachine } from "../../src/cluster/engine.ts";
import type { LogStore } from "../../src/ports.ts";
import { encode } from "./recorder.ts";

export type World = {
  options: Omit<SingleEngineOptions, "store" | "machine">;
  failures: string[];
  logged: string[];
  /** Runs every timer that is due within the next `ms`. */
  pass(ms: number): void;
};

/** A world at time 0. Small trailing count, so that compaction shows. */
export function createWorld(overrides: Partial<SingleEngineOptions> = {}): World {
  let nowMs = 0;
  const timers: { atMs: number; run: () => void }[] = [];
  const failures: string[] = [];
  const logged: string[] = [];
  return {
    failures,
    logged,
    pass(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        timers.sort((a, b) => a.atMs - b.atMs);
        if (timers.length === 0 || timers[0]!.atMs > endMs) break;
        const { atMs, run } = timers.shift()!;
        nowMs = atMs;
        run();
      }
      nowMs = endMs;
    },
    options: {
      clock: { monotonicMs: () => nowMs, wallMs: () => 1_700_000_000_000 + nowMs },
      timers: {
        after(delayMs, run) {
          const timer = { atMs: nowMs + delayMs, run };
          timers.push(timer);
          return () => void timers.splice(0, timers.length, ...timers.filter((t) => t !== timer));
        },
      },
      log: (level, message) => void logged.push(`${level} ${message}`),
      leader: "127.0.0.1:8300",
      epochCommand: (epoch) => encode(`epoch ${epoch}`),
      onFailure: (reason) => void failures.push(reason),
      limits: { trailingEntries: 16 },
      ...overrides,
    },
  };
}

export const openEngine = (world: World, store: LogStore, machine: StateMachine) =>
  createSingleEngine({ ...world.options, store, machine });
