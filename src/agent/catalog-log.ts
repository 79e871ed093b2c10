/** The catalog behind its log: store, state machine, engine, and the way in. */
import { encode, type Command } from "../cluster/command.ts";
import type { Engine, Outcome, StateMachine } from "../cluster/engine.ts";
import { createMemoryStore } from "../cluster/single/memory.ts";
import { createSingleEngine, type SingleEngineOptions } from "../cluster/single/driver.ts";
import { createState, type State } from "../cluster/state.ts";
import { createRest } from "../cluster/time-slices.ts";
import type { Config } from "../config/options.ts";
import type { Log } from "../ports.ts";
import { lendableEngine, type Lendable, type Lending } from "./lending.ts";
import { createLogTime, createMachine, createPropose } from "./replica.ts";
import type { LogTime, Machine, MachineEvents } from "./replica.ts";
import { engineSettings } from "./settings.ts";
import type { Platform } from "./start.ts";

const STORE_FAILED = 1;
/** Tries to open a store that was lent, and the pause between them, 5 s together; longer if it is in use. */
const REOPEN_MAX = 100;
const REOPEN_MS = 50;

/** A log that has been replayed, and what it says. */
export type CatalogLog = {
  state: State;
  machine: Machine;
  engine: Engine & Lendable;
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
  /** Whether the store is ours or a successor's. */
  lending: Lending;
  /** What others are told that the leader's address is. */
  serverAddress: string;
  on: MachineEvents;
  /** Called with each step of reading the store, and later. */
  progress: () => void;
  platform: Pick<Platform, "clock" | "timers" | "openStore" | "exit">;
  log: Log;
}): Promise<CatalogLog> {
  const { config, dataDir, lending, on, platform, log } = deps;
  const { clock, timers } = platform;
  const openStore = () =>
    dataDir === undefined
      ? createMemoryStore()
      : platform.openStore(dataDir, (message) => log("warn", message));
  const state = createState();
  const rest = createRest({ clock, timers });
  const machine = createMachine(state, on, () => {
    deps.progress();
    return rest();
  });
  const logTime = createLogTime(clock, state);
  const options: Omit<SingleEngineOptions, "store" | "machine"> = {
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
  };
  const counted: Machine = {
    ...machine,
    apply(entry) {
      deps.progress();
      return machine.apply(entry);
    },
  };
  const first = await createSingleEngine({ ...options, store: openStore(), machine: counted });
  /** The process that had it may not be quite gone yet. */
  async function reopen(): Promise<Engine> {
    const missed = onlyAfter(machine, engine.stats()["applied_index"] ?? 0);
    for (let left = REOPEN_MAX; ; left--)
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next try begins when this one has failed
        return await createSingleEngine({ ...options, store: openStore(), machine: missed });
      } catch (error) {
        const reason = String(error);
        // A successor that hangs still has it, or the disk is full: that passes. Meanwhile all is answered
        // from memory, and writes wait.
        if (left <= 0 && !/in use by another process|disk is full/.test(reason)) throw error;
        if (left <= 0 && left % REOPEN_MAX === 0)
          log("error", "the store cannot be taken back yet", { reason });
        // oxlint-disable-next-line no-await-in-loop
        await new Promise<void>((resume) => timers.after(REOPEN_MS, resume));
      }
  }
  const engine = lendableEngine(first, lending, reopen);
  return { state, machine, engine, logTime, propose: createPropose(() => engine, logTime) };
}

/** The machine, which has all entries up to this index already. */
function onlyAfter(machine: Machine, index: number): StateMachine {
  return {
    ...machine,
    apply: (entry) => (entry.index <= index ? undefined : machine.apply(entry)),
    prepare: (image) =>
      image.index <= index ? Promise.resolve(() => undefined) : machine.prepare(image),
  };
}
