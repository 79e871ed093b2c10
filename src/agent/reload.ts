/** Reloads one after the other: signals and requests may ask for them in any number. */
import type { Result } from "../base.ts";

/**
 * At most one runs and one waits; whoever asks while one waits shares its outcome, since it has not
 * yet read anything.
 */
export function createReload(
  run: () => Promise<Result<void, string>>,
): () => Promise<Result<void, string>> {
  let running: Promise<unknown> = Promise.resolve();
  let waiting: Promise<Result<void, string>> | undefined;
  return () => {
    waiting ??= running.then(() => {
      const current = run();
      running = current;
      waiting = undefined;
      return current;
    });
    return waiting;
  };
}
