/** The catalog behind its log: store, state machine, engine, and the way in. */
import { encode, type Command } from "../cluster/command.ts";
import type { Engine, Outcome } from "../cluster/engine.ts";
import { createMemoryStore } from "../cluster/single/memory.ts";
import { createSingleEngine } from "../cluster/single/driver.ts";
import { createState, type State } from "../cluster/state.ts";
import { createRest } from "../cluster/time-slices.ts";
import type { Config } from "../config/options.ts";
import type { Log } from "../ports.ts";
import { createLogTime, createMachine, createPropose } from "./replica.ts";
import type { LogTime, Machine, MachineEvents } from "./replica.ts";
import { engineSettings } from "./settings.ts";
import type { Platform } from "./start.ts";

const STORE_FAILED = 1;

/** A log that has been replayed, and what it says. */
export type CatalogLog = {
  state: State;
  machine: Machine;
  engine: Engine;
  logTime: LogTime;
  /** Resolves when the command is durable and applied here, or refused. */
  propose: (command: Command) => Promise<Outcome>;
};

/**
 * Opens the store of `dataDir` (undefined: memory only) and replays it. Rejects if the store is
 * damaged or in use; ends the process when it fails later, because nothing could be acknowledged.
 */
export async function openCatalogLog(deps: {
  config: Config;
  dataDir: string | undefined;
  /** What others are told that the leader's address is. */
  serverAddress: string;
  on: MachineEvents;
  platform: Pick<Platform, "clock" | "timers" | "openStore" | "exit">;
  log: Log;
}): Promise<CatalogLog> {
  const { config, dataDir, on, platform, log } = deps;
  const { clock, timers } = platform;
  const store =
    dataDir === undefined
      ? createMemoryStore()
      : platform.openStore(dataDir, (message) => log("warn", message));
  const state = createState();
  const machine = createMachine(state, on, createRest({ clock, timers }));
  const logTime = createLogTime(clock, state);
  const engine = await createSingleEngine({
    store,
    machine,
    clock,
    timers,
    log,
    leader: deps.serverAddress,
    ...engineSettings(config),
    epochCommand: (epoch) => encode({ type: "epoch", epoch }, logTime.begin()),
    onFailure(reason) {
      log("error", "the store failed; nothing can be acknowledged any more", { reason });
      platform.exit(STORE_FAILED);
    },
  });
  return { state, machine, engine, logTime, propose: createPropose(() => engine, logTime) };
}
