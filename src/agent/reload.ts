/** Reloads one after the other: signals and requests may ask for them in any number. */
import { fail, type Result } from "../base.ts";

/**
 * At most one runs and one waits; whoever asks while one waits shares its outcome, since it has not
 * yet read anything. What `run` throws is an error like any other: the next one runs all the same.
 */
export function createReload(
  run: () => Promise<Result<void, string>>,
): () => Promise<Result<void, string>> {
  let running: Promise<unknown> = Promise.resolve();
  const runSafely = () => run().catch((error: unknown) => fail(String(error)));
  let waiting: Promise<Result<void, string>> | undefined;
  return () => {
    waiting ??= running.then(() => {
      const current = runSafely();
      running = current;
      waiting = undefined;
      return current;
    });
    return waiting;
  };
}
