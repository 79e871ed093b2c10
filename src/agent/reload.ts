/** Reloads one after the other: signals and requests may ask for them in any number. */
import { fail, type Result } from "../base.ts";

/**
 * At most one runs and one waits; whoever asks while one waits shares its outcome, since it has not
 * yet read anything. What `run` throws is an error like any other: the next one runs all the same.
 * `queued` is called when one begins to wait.
 */
export function createReload(
  run: () => Promise<Result<void, string>>,
  queued: () => void,
): () => Promise<Result<void, string>> {
  let running: Promise<unknown> = Promise.resolve();
  let isRunning = false;
  async function runSafely(): Promise<Result<void, string>> {
    isRunning = true;
    try {
      return await run();
    } catch (error) {
      return fail(String(error));
    } finally {
      isRunning = false;
    }
  }
  let waiting: Promise<Result<void, string>> | undefined;
  return () => {
    if (isRunning && waiting === undefined) queued();
    waiting ??= running.then(() => {
      const current = runSafely();
      running = current;
      waiting = undefined;
      return current;
    });
    return waiting;
  };
}
