/** The real store for tests under Node: a `LogStore` that asks one in a Bun process of its own. */
import { once } from "node:events";
import type { DiskSpace, LogRow, LogStore, SnapshotFile, Stored } from "../../src/ports.ts";
import { startBun } from "./bun.ts";
import { type Answer, type Call, fromWire, toWire, type WireRow } from "./remote-protocol.ts";

export type RemoteStore = LogStore & {
  readonly warnings: string[];
  /** SIGKILL; what was under way never returns. */
  kill(): Promise<void>;
};

/** A store in `dir`. */
export function openRemoteStore(dir: string): RemoteStore {
  const child = startBun("store-child.ts", [dir], ["ignore", "inherit", "inherit", "ipc"]);
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const onSpace = new Set<(space: DiskSpace) => void>();
  const onFailure = new Set<(reason: string) => void>();
  const warnings: string[] = [];
  let stats: Record<string, number> = {};
  let lastId = 0;

  child.on("message", (answer: Answer) => {
    if ("space" in answer) return onSpace.forEach((listener) => listener(answer.space));
    if ("failure" in answer) return onFailure.forEach((listener) => listener(answer.failure));
    if ("warning" in answer) return void warnings.push(answer.warning);
    const asked = waiting.get(answer.id)!;
    waiting.delete(answer.id);
    if ("value" in answer) {
      stats = answer.stats;
      asked.resolve(answer.value);
    } else
      asked.reject(Object.assign(new Error(answer.error.message), { name: answer.error.name }));
  });

  function ask<T>(call: Call): Promise<T> {
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      child.send({ id, call });
    });
  }

  async function* entries(): AsyncGenerator<LogRow[]> {
    for (;;) {
      const rows = await ask<WireRow[] | null>({ call: "next-rows" });
      if (rows === null) return;
      yield rows.map(fromWire);
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  return {
    warnings,
    kill: () => end("SIGKILL"),
    async load() {
      const loaded = await ask<Omit<Awaited<ReturnType<LogStore["load"]>>, "entries">>({
        call: "load",
      });
      return { ...loaded, entries: entries() };
    },
    append: (rows) => ask<Stored>({ call: "append", rows: rows.map(toWire) }),
    async writeSnapshot(at, source) {
      const chunks: string[] = [];
      for await (const chunk of source) chunks.push(Buffer.from(chunk).toString("base64"));
      return ask<{ stored: true; file: SnapshotFile }>({ call: "write", at, chunks });
    },
    async *readSnapshot(file) {
      const chunks = await ask<string[]>({ call: "read", file });
      for (const chunk of chunks) yield new Uint8Array(Buffer.from(chunk, "base64"));
    },
    recordSnapshot: (file, row) =>
      ask<Stored>({ call: "record", file, restored: row === null ? null : toWire(row) }),
    discardSnapshot: (file) => ask<undefined>({ call: "discard", file }),
    trim: (keepFrom) => ask<undefined>({ call: "trim", keepFrom }),
    stats: () => stats,
    onSpace(listener) {
      onSpace.add(listener);
      return () => onSpace.delete(listener);
    },
    onFailure(listener) {
      onFailure.add(listener);
      return () => onFailure.delete(listener);
    },
    async close() {
      await ask({ call: "close" });
      await end("SIGTERM");
    },
  };
}
