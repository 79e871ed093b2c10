/** `watches`: what this agent follows in its own catalog and store, and whom it tells. */
import type { ProgramWorld } from "../cluster/program/driver.ts";
import { formatDuration } from "../duration.ts";
import type { WatchFigures } from "../metrics/family.ts";
import type { Cancel, Log, Random, Timers } from "../ports.ts";
import type { WatchDefinition } from "../watch/definition.ts";
import { followPlan, type WatchFetch } from "../watch/follow.ts";
import type { AskSelf } from "./own-requests.ts";
import { runHandler, type HandlerRun } from "./watch-handler.ts";

/** All of them. */
export type Watches = {
  /** Begins; call when requests are answered. */
  start(ask: AskSelf, definitions: readonly WatchDefinition[]): void;
  /** Those that are not listed any more end after the run that is under way; those that stay are left alone. */
  reload(definitions: readonly WatchDefinition[]): void;
  figures(): WatchFigures;
  /** Ends programs and requests that are under way too. */
  stop(): Promise<void>;
};

/** Nothing is followed before `start`. */
export function createWatches(deps: {
  programs: ProgramWorld;
  timers: Timers;
  random: Random;
  log: Log;
}): Watches {
  const { programs, timers, random, log } = deps;
  const followed = new Map<string, Cancel>();
  const running = new Set<HandlerRun>();
  const counts = { runs: 0, failedQueries: 0, failedRuns: 0 };
  let ask: AskSelf | undefined;

  function follow({ plan, handler }: WatchDefinition, fetch: WatchFetch): Cancel {
    const { type, path } = plan;
    return followPlan(plan, {
      fetch,
      timers,
      random,
      async handle(data) {
        counts.runs++;
        const run = runHandler(handler, data, { programs, log });
        running.add(run);
        if (!(await run.done)) counts.failedRuns++;
        running.delete(run);
      },
      failed(error, retryMs) {
        counts.failedQueries++;
        log("error", "Watch errored", { type, path, error, retry: formatDuration(retryMs) });
      },
      missed: () => log("warn", "events may have been missed while a handler ran", { path }),
    });
  }

  function reload(definitions: readonly WatchDefinition[]): void {
    if (ask === undefined) return;
    const fetch = fetchOf(ask);
    const wanted = keyed(definitions);
    for (const [key, cancel] of followed) {
      if (wanted.has(key)) continue;
      cancel();
      followed.delete(key);
    }
    for (const [key, definition] of wanted)
      if (!followed.has(key)) followed.set(key, follow(definition, fetch));
  }

  return {
    start(askSelf, definitions) {
      ask = askSelf;
      reload(definitions);
    },
    reload,
    figures: () => ({ ...counts, followed: followed.size, running: running.size }),
    async stop() {
      ask = undefined;
      for (const cancel of followed.values()) cancel();
      followed.clear();
      await Promise.all(Array.from(running, (run) => run.stop()));
    },
  };
}

/** By what they say; equal ones are numbered. */
function keyed(definitions: readonly WatchDefinition[]): Map<string, WatchDefinition> {
  const byKey = new Map<string, WatchDefinition>();
  for (const definition of definitions) {
    const text = JSON.stringify(definition);
    let key = text;
    for (let i = 2; byKey.has(key); i++) key = `${text} ${i}`;
    byKey.set(key, definition);
  }
  return byKey;
}

function fetchOf(ask: AskSelf): WatchFetch {
  return ({ path, query, token, datacenter }, { parameter, value }, signal) =>
    ask({
      path,
      query: {
        ...query,
        ...(datacenter === "" ? {} : { dc: datacenter }),
        ...(value === "" ? {} : { [parameter]: value }),
      },
      token,
      signal,
    });
}
