/** Starts threads and replaces those that end without being told to. */
import type { Log } from "../ports.ts";

/** A thread that ends sooner than this after its start is not replaced at once but after a pause. */
const SHORT_LIFE_MS = 1000;
/** That pause: no busy loop of crashes, and yet replaced within 200 ms. */
const RESTART_PAUSE_MS = 100;

/** What the thread runs and who hears of it. */
export type ThreadOptions = {
  name: string;
  entry: URL;
  /** First message to each incarnation. */
  start: unknown;
  onMessage: (data: unknown) => void;
  onRestart: () => void;
  log: Log;
};

/** Handle of a running thread. */
export type SupervisedThread = {
  /** The owner has told the thread to end; resolves when it has. */
  ended(): Promise<void>;
};

/**
 * Starts the thread, and starts it again when it ends untold; after a short life it waits
 * RESTART_PAUSE_MS.
 */
export function superviseThread(options: ThreadOptions): SupervisedThread {
  const { name, entry, log } = options;
  let ending = false;
  let resolveEnded: () => void = () => {};
  let isRunning = false;

  function run(): void {
    const startedMs = performance.now();
    const worker = new Worker(entry.href, { name });
    isRunning = true;
    let problem = "ended";
    worker.onmessage = (event: MessageEvent) => options.onMessage(event.data);
    worker.onerror = (event: ErrorEvent) => {
      event.preventDefault();
      problem = event.message;
    };
    worker.addEventListener("close", () => {
      isRunning = false;
      if (ending) {
        resolveEnded();
        return;
      }
      log("error", "thread ended unexpectedly and is replaced", { thread: name, problem });
      options.onRestart();
      const pause = performance.now() - startedMs < SHORT_LIFE_MS ? RESTART_PAUSE_MS : 0;
      setTimeout(() => {
        if (ending) resolveEnded();
        else run();
      }, pause);
    });
    worker.postMessage(options.start);
  }

  run();
  return {
    ended() {
      ending = true;
      return isRunning ? new Promise((resolve) => (resolveEnded = resolve)) : Promise.resolve();
    },
  };
}
