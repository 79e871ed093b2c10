/**
 * The engine of one durable voter: feeds `core.ts` with proposals and with what the store reports,
 * and carries out what it says. Runs on the main thread; the store's own thread does the waiting.
 */
import { assert, unreachable } from "../../base.ts";
import type { Cancel, Clock, LoadedLog, Log, LogRow, LogStore, Timers } from "../../ports.ts";
import type {
  BarrierMode,
  Engine,
  Leadership,
  Outcome,
  Snapshot,
  StateMachine,
} from "../engine.ts";
import {
  type Batch,
  type Core,
  type CoreLimits,
  createCore,
  defaultLimits,
  type Input,
  keepFrom,
  type Output,
  step,
} from "./core.ts";
import { messageOf, restoreImage, saveImage } from "./images.ts";

/** What the engine needs of the rest. */
export type SingleEngineOptions = {
  store: LogStore;
  machine: StateMachine;
  clock: Clock;
  timers: Timers;
  log: Log;
  /** What `leadership().leader` says: the server's own "address:port". */
  leader: string;
  /** Octets of the command that opens a term; the state machine fences older epochs by it. */
  epochCommand: (epoch: number) => Uint8Array;
  /** Called once when the store has failed. Nothing is acknowledged any more; the process must end. */
  onFailure: (reason: string) => void;
  limits?: Partial<CoreLimits>;
  /** How often the entries since the last snapshot are counted (Consul: raft_snapshot_interval). */
  snapshotIntervalMs?: number;
};

const SNAPSHOT_INTERVAL_MS = 30_000;

type Settle = (outcome: Outcome) => void;

/**
 * Loads the store into the machine, opens a new term and takes proposals. Resolves as soon as
 * reads are right; with a full disk that is before the term is open (`leadership().self` is false
 * until there is space). Rejects when the store is damaged: the message says what to do, and the
 * store is closed.
 */
export async function createSingleEngine(options: SingleEngineOptions): Promise<Engine> {
  const { store, machine, clock } = options;
  const startedMs = clock.monotonicMs();
  const { loaded, replayed } = await loadAll(store, machine);
  const limits = { ...defaultLimits, ...options.limits };
  const core = createCore<Settle>(limits, loaded, replayed.octets);
  const engine = new SingleEngine(options, core, replayed.term);
  engine.counters["load_seconds"] = (clock.monotonicMs() - startedMs) / 1000;
  engine.counters["load_entries"] = replayed.entries;
  await engine.openTerm();
  return engine;
}

async function loadAll(store: LogStore, machine: StateMachine) {
  try {
    const loaded = await store.load();
    return { loaded, replayed: await replay(loaded, store, machine) };
  } catch (error) {
    // Its thread would keep the process from ending.
    await store.close();
    throw error;
  }
}

async function replay(loaded: LoadedLog, store: LogStore, machine: StateMachine) {
  const { snapshot } = loaded;
  if (snapshot !== null) {
    const { index, term } = snapshot;
    const put = await machine.prepare({ index, term, chunks: store.readSnapshot(snapshot) });
    put();
  }
  let at = snapshot?.index ?? 0;
  let term = snapshot?.term ?? 0;
  let octets = 0;
  for await (const rows of loaded.entries) {
    for (const row of rows) {
      assert(row.index === ++at && row.kind === "command", "the store hands out a dense log");
      machine.apply({ index: row.index, term: row.term, command: row.data });
      term = row.term;
      octets += row.data.length;
    }
  }
  assert(at === loaded.lastIndex, "the store hands out its whole log");
  return { entries: at - (snapshot?.index ?? 0), octets, term };
}

class SingleEngine implements Engine {
  readonly counters: Record<string, number> = {
    propose_total: 0,
    committed_total: 0,
    refused_total: 0,
    unknown_total: 0,
    batch_total: 0,
    batch_entries_max: 0,
    commit_wait_seconds_sum: 0,
    commit_wait_seconds_max: 0,
    apply_seconds_sum: 0,
    snapshot_total: 0,
    snapshot_failed_total: 0,
    snapshot_seconds_last: 0,
    restore_total: 0,
    load_seconds: 0,
    load_entries: 0,
  };
  readonly #options: SingleEngineOptions;
  readonly #core: Core<Settle>;
  readonly #listeners = new Set<(now: Leadership) => void>();
  readonly #restores = new Map<Settle, Snapshot>();
  readonly #cancels: Cancel[] = [];
  /** Term of the entry applied last. */
  #appliedTerm: number;
  #snapshotTask: Promise<void> = Promise.resolve();
  #restoreTask: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #drained!: () => void;
  readonly #whenDrained = new Promise<void>((resolve) => {
    this.#drained = resolve;
  });
  #termTried!: () => void;
  readonly #whenTermTried = new Promise<void>((resolve) => {
    this.#termTried = resolve;
  });

  constructor(options: SingleEngineOptions, core: Core<Settle>, appliedTerm: number) {
    this.#options = options;
    this.#core = core;
    this.#appliedTerm = appliedTerm;
    const { store } = options;
    this.#cancels.push(store.onSpace((space) => this.#feed({ type: "space", space })));
    this.#cancels.push(store.onFailure((reason) => this.#feed({ type: "failed", reason })));
    this.#tickLater();
  }

  async openTerm(): Promise<void> {
    this.#proposeEpoch();
    await this.#whenTermTried;
  }

  propose(command: Uint8Array): Promise<Outcome> {
    this.#count("propose_total");
    return new Promise((ref) => this.#feed({ type: "propose", ref, command }));
  }

  /**
   * A single voter acknowledges after it applied, and nobody else can lead: local state is always
   * as new as both modes ask.
   */
  barrier(_mode: BarrierMode): "ok" | "no leader" {
    const ended = this.#core.state === "failed" || this.#closed !== undefined;
    return ended ? "no leader" : "ok";
  }

  leadership(): Leadership {
    const { state, epoch, term } = this.#core;
    const failed = state === "failed";
    return {
      leader: failed ? undefined : this.#options.leader,
      self: !failed && epoch === "committed",
      epoch: term,
    };
  }

  onLeadership(listener: (now: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async compact(): Promise<void> {
    this.#feed({ type: "compact" });
    await this.#snapshotTask;
  }

  restore(snapshot: Snapshot): Promise<Outcome> {
    return new Promise((ref) => {
      this.#restores.set(ref, snapshot);
      this.#feed({ type: "restore", ref, imageIndex: snapshot.index });
    });
  }

  stats(): Record<string, number> {
    const core = this.#core;
    return {
      ...this.#options.store.stats(),
      ...this.counters,
      term: core.term,
      last_index: core.lastIndex,
      applied_index: core.appliedIndex,
      queue_entries: core.queue.length,
      uncommitted_octets: core.uncommittedOctets,
      snapshot_index: core.snapshot.index,
      snapshot_octets: core.snapshot.octets,
      octets_since_snapshot: core.octetsSinceSnapshot,
      leader: this.leadership().self ? 1 : 0,
      space_low: core.space === "ok" ? 0 : 1,
      space_full: core.space === "full" ? 1 : 0,
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#feed({ type: "close" });
    await this.#whenDrained;
    for (const cancel of this.#cancels) cancel();
    await Promise.all([this.#snapshotTask, this.#restoreTask]);
    await this.#options.store.close();
  }

  #feed(input: Input<Settle>): void {
    for (const output of step(this.#core, input)) this.#perform(output);
  }

  #perform(output: Output<Settle>): void {
    switch (output.type) {
      case "persist":
        void this.#persist(output.rows);
        return;
      case "apply":
        return this.#apply(output.batch);
      case "settle":
        this.#restores.delete(output.ref);
        this.#count(output.outcome === "refused" ? "refused_total" : "unknown_total");
        return output.ref({ outcome: output.outcome, reason: output.reason });
      case "leadership":
        this.#termTried();
        for (const listener of this.#listeners) listener(this.leadership());
        return;
      case "want-epoch":
        return this.#proposeEpoch();
      case "snapshot":
        this.#snapshotTask = this.#takeSnapshot();
        return;
      case "restore":
        this.#restoreTask = this.#restoreFrom(output);
        return;
      case "space":
        return this.#reportSpace(output.space, output.freeOctets);
      case "stop":
        this.#options.log("error", "log store failed", { reason: output.reason });
        return this.#options.onFailure(output.reason);
      case "drained":
        return this.#drained();
      default:
        return unreachable(output);
    }
  }

  #proposeEpoch(): void {
    const command = this.#options.epochCommand(this.#core.term);
    this.#feed({ type: "epoch", command });
  }

  async #persist(rows: LogRow[]): Promise<void> {
    const { store, clock } = this.#options;
    const sentMs = clock.monotonicMs();
    this.#count("batch_total");
    this.#max("batch_entries_max", rows.length);
    try {
      const result = await store.append(rows);
      const seconds = (clock.monotonicMs() - sentMs) / 1000;
      this.#count("commit_wait_seconds_sum", seconds);
      this.#max("commit_wait_seconds_max", seconds);
      this.#feed(result.stored ? { type: "stored" } : rolledBack(result.reason));
    } catch (error) {
      this.#fail(error);
    }
    this.#termTried();
  }

  /** A throw of the state machine is a mistake of ours: nobody may go on from half a batch. */
  #apply({ rows, refs }: Batch<Settle>): void {
    const { machine, clock } = this.#options;
    const startMs = clock.monotonicMs();
    let at = 0;
    try {
      for (; at < rows.length; at++) {
        const { index, term, data } = rows[at]!;
        const result = machine.apply({ index, term, command: data });
        refs[at]?.({ outcome: "committed", index, result });
      }
    } catch (error) {
      const reason = messageOf(error);
      for (; at < rows.length; at++) refs[at]?.({ outcome: "unknown", reason });
      throw error;
    }
    this.#appliedTerm = rows.at(-1)!.term;
    this.#count("committed_total", rows.length);
    this.#count("apply_seconds_sum", (clock.monotonicMs() - startMs) / 1000);
  }

  /** One that finds no room is tried again at a later tick. */
  async #takeSnapshot(): Promise<void> {
    const { store, machine, clock, log } = this.#options;
    const startMs = clock.monotonicMs();
    try {
      if (this.#core.appliedIndex > this.#core.snapshot.index) {
        const { index, chunks } = machine.snapshot();
        assert(index === this.#core.appliedIndex, "the image is of what was applied last");
        const saved = await saveImage(store, { index, term: this.#appliedTerm, chunks });
        const seconds = (clock.monotonicMs() - startMs) / 1000;
        if (!saved.ok) return this.#snapshotFailed(saved.error);
        const { octets } = saved.value;
        this.counters["snapshot_seconds_last"] = seconds;
        this.#count("snapshot_total");
        log("info", "snapshot saved", { index, octets, seconds });
        this.#feed({ type: "snapshot-saved", index, octets });
      } else this.#feed({ type: "snapshot-failed" });
      await store.trim(keepFrom(this.#core));
    } catch (error) {
      this.#fail(error);
    }
  }

  #snapshotFailed(reason: string): void {
    this.#count("snapshot_failed_total");
    this.#options.log("warn", "snapshot not saved", { reason });
    this.#feed({ type: "snapshot-failed" });
  }

  async #restoreFrom({ ref, index, term }: { ref: Settle; index: number; term: number }) {
    const { store, machine } = this.#options;
    const image = this.#restores.get(ref);
    assert(image !== undefined, "a restore has its image");
    this.#restores.delete(ref);
    try {
      const restored = await restoreImage(store, machine, { index, term, chunks: image.chunks });
      if (!restored.ok) return this.#feed({ type: "restore-dropped", reason: restored.error });
      this.#count("restore_total");
      this.#appliedTerm = term;
      this.#feed({ type: "restored", octets: restored.value.octets });
      ref({ outcome: "committed", index, result: null });
      await store.trim(index);
    } catch (error) {
      this.#fail(error);
    }
  }

  #tickLater(): void {
    const delayMs = this.#options.snapshotIntervalMs ?? SNAPSHOT_INTERVAL_MS;
    let cancel: Cancel = () => {};
    const tick = (): void => {
      this.#feed({ type: "tick" });
      cancel = this.#options.timers.after(delayMs, tick);
    };
    cancel = this.#options.timers.after(delayMs, tick);
    this.#cancels.push(() => cancel());
  }

  #reportSpace(space: "ok" | "low" | "full", freeOctets: number): void {
    const consequence = { ok: "enough space", low: "space is low", full: "writes are refused" };
    this.#options.log(space === "ok" ? "info" : "warn", `disk: ${consequence[space]}`, {
      freeOctets,
    });
  }

  #fail(error: unknown): void {
    this.#feed({ type: "failed", reason: messageOf(error) });
  }

  #count(name: string, by = 1): void {
    this.counters[name] = (this.counters[name] ?? 0) + by;
  }

  #max(name: string, value: number): void {
    if (value > (this.counters[name] ?? 0)) this.counters[name] = value;
  }
}

function rolledBack(reason: string): Input<Settle> {
  return { type: "rolled-back", reason };
}
