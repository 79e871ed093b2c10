/** Progress of long work on a terminal's standard error; nothing elsewhere. */
import type { World } from "./world.ts";

/** Time between two redraws. */
const REDRAW_MS = 100;

/** Shows a line that is redrawn; `done` removes it. */
export type Progress = { show(text: string): void; done(): Promise<void> };

/** A progress line for this run. */
export function createProgress(world: World): Progress {
  if (!world.showsProgress) return { show() {}, done: () => Promise.resolve() };
  let lastMs = -Infinity;
  let isShown = false;
  return {
    show(text) {
      const nowMs = world.clock.monotonicMs();
      if (nowMs - lastMs < REDRAW_MS) return;
      lastMs = nowMs;
      isShown = true;
      void world.err(`\r\u001b[K${text}`);
    },
    done: () => (isShown ? world.err("\r\u001b[K") : Promise.resolve()),
  };
}
