/** The forwarder's cache over a restart: read at the start, written every few minutes and at the stop. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import type { Forwarder } from "../forwarder/forward.ts";
import { readSnapshot, removePartial, writeSnapshot } from "../forwarder/snapshot/driver.ts";
import type { Log, Timers } from "../ports.ts";

const WRITE_EVERY_MS = 5 * 60_000;
/** A disk that takes longer at the stop is not waited for. */
const STOP_MS = 5000;

/** `path` "": nothing is kept. What cannot be read or written is told, and does no harm. */
export function startWarmStart(deps: {
  path: string;
  forwarder: Pick<Forwarder, "snapshot" | "restore">;
  timers: Timers;
  log: Log;
}): { stop: () => Promise<void> } {
  const { path, forwarder, timers, log } = deps;
  if (path === "") return { stop: () => Promise.resolve() };
  let cancel = (): void => {};
  let isStopped = false;
  /** One after the other. */
  let work = read();

  async function read(): Promise<void> {
    await removePartial(path);
    try {
      const restored = await readSnapshot(path, forwarder);
      if (restored.ok) log("info", "dns: cache restored", { path, ...restored.value });
      else log("warn", "dns: cache not restored", { path, error: restored.error });
    } catch (error) {
      const isFirst = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (!isFirst) log("warn", "dns: cache not restored", { path, error: String(error) });
      else if (!(await mayWriteInto(dirname(path))))
        log("warn", "dns: cache will not be kept: its folder cannot be written", { path });
    }
  }

  async function write(): Promise<void> {
    try {
      const octets = await writeSnapshot(path, forwarder);
      log("debug", "dns: cache written", { path, octets });
    } catch (error) {
      log("warn", "dns: cache not written", { path, error: String(error) });
    }
  }

  function plan(): void {
    cancel = timers.after(WRITE_EVERY_MS, () => {
      work = work.then(write);
      void work.then(() => isStopped || plan());
    });
  }

  plan();
  return {
    stop() {
      isStopped = true;
      cancel();
      const { promise, resolve } = Promise.withResolvers<void>();
      const giveUp = timers.after(STOP_MS, resolve);
      void work.then(write).then(() => {
        giveUp();
        resolve();
      });
      return promise;
    },
  };
}

/** Told at the start, for the first writing is minutes away. */
async function mayWriteInto(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
