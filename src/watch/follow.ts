/** The loop of a watch: a blocking query after the other, its handler for each new value. */
import type { Cancel, Random, Timers } from "../ports.ts";
import { cursorOf, newEvents, readAnswer, type WatchAnswer, type WatchData } from "./answer.ts";
import type { WatchPlan } from "./plan.ts";

/** The first wait after a failed query, as Consul's; it grows with the square of failures in a row. */
const RETRY_MS = 5_000;
/** The longest wait between two queries. Consul's bound. */
const RETRY_MAX_MS = 180_000;
/** At most this part of a wait is taken off, so that watches that failed together do not come back together. */
const RETRY_JITTER = 0.25;

/** Wait before asking anew after an index that went back: two agents that disagree are not asked in a circle. */
const RESET_MS = 1_000;

/** Asks the agent. `cursor` is where the last answer stood, "" for an answer at once. Rejects when there is no answer. */
export type WatchFetch = (
  plan: WatchPlan,
  cursor: { parameter: "index" | "hash"; value: string },
  signal: AbortSignal,
) => Promise<WatchAnswer>;

/** What a watch needs, and whom it tells. */
export type WatchDeps = {
  fetch: WatchFetch;
  timers: Timers;
  random: Pick<Random, "uint32">;
  /**
   * A new value. The next query waits until it is done, so runs of one watch never overlap and what
   * changes meanwhile is one more value, the newest: nothing is kept for later.
   */
  handle(data: WatchData): Promise<void>;
  /** A query failed; the next comes after `retryMs`. */
  failed(problem: string, retryMs: number): void;
  /** Events may have come and gone while the handler ran. */
  missed(): void;
};

/** Where a watch stands. */
type Place = { cursor: string; json: string | undefined; lastId: string };

/** Follows a plan until it is cancelled; then `handle` is not called any more. */
export function followPlan(plan: WatchPlan, deps: WatchDeps): Cancel {
  const aborting = new AbortController();
  void follow(plan, deps, aborting.signal);
  return () => aborting.abort();
}

async function follow(plan: WatchPlan, deps: WatchDeps, signal: AbortSignal): Promise<void> {
  const { parameter } = cursorOf(plan.type);
  let place: Place = { cursor: "", json: undefined, lastId: "" };
  let failures = 0;
  while (!signal.aborted) {
    const answer = await asked(plan, deps.fetch, { parameter, value: place.cursor }, signal);
    if (signal.aborted) return;
    if (!answer.ok) {
      failures++;
      place = { ...place, cursor: "" };
      const retryMs = retryAfterMs(failures, deps.random);
      deps.failed(answer.problem, retryMs);
      await pause(retryMs, deps.timers, signal);
      continue;
    }
    failures = 0;
    const { at } = answer;
    const next = step(plan, place, at, answer.json);
    place = next.place;
    if (next.mayHaveMissed) deps.missed();
    if (next.json !== undefined)
      await deps.handle({ json: next.json, index: parameter === "index" ? at : "0" });
    if (place.cursor === "") await pause(RESET_MS, deps.timers, signal);
  }
}

/** The place after an answer, and what is new in it: undefined for nothing. */
function step(
  plan: WatchPlan,
  place: Place,
  at: string,
  json: string,
): { place: Place; json: string | undefined; mayHaveMissed: boolean } {
  const cursor = nextCursor(plan, place.cursor, at);
  if (plan.type === "event") {
    const { lastId, count, mayHaveMissed, json: fresh } = newEvents(json, place.lastId);
    const isFirst = place.json === undefined;
    return {
      place: { cursor, json, lastId },
      json: isFirst || count > 0 ? fresh : undefined,
      mayHaveMissed,
    };
  }
  const isNew = json !== place.json;
  return {
    place: { ...place, cursor, json },
    json: isNew ? json : undefined,
    mayHaveMissed: false,
  };
}

/** An index that went back (another cluster, a restored snapshot) is forgotten. That of events is only a name for the last one. */
function nextCursor({ type }: WatchPlan, before: string, at: string): string {
  if (type === "event" || type === "agent_service") return at;
  return before !== "" && BigInt(at) < BigInt(before) ? "" : at;
}

type Asked = { ok: true; json: string; at: string } | { ok: false; problem: string };

async function asked(
  plan: WatchPlan,
  fetch: WatchFetch,
  cursor: { parameter: "index" | "hash"; value: string },
  signal: AbortSignal,
): Promise<Asked> {
  try {
    const answer = await fetch(plan, cursor, signal);
    const data = readAnswer(plan, answer);
    if (!data.ok) return { ok: false, problem: data.error };
    const { header, parameter } = cursorOf(plan.type);
    const at = answer.header(header) ?? "";
    const isPlace = parameter === "index" ? /^[1-9]\d{0,19}$/.test(at) : at !== "";
    // without it the next query would not wait
    if (!isPlace) return { ok: false, problem: `the answer has no ${header}` };
    return { ok: true, json: data.value, at };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

function retryAfterMs(failures: number, random: Pick<Random, "uint32">): number {
  const longestMs = Math.min(RETRY_MS * failures * failures, RETRY_MAX_MS);
  return Math.round(longestMs * (1 - (RETRY_JITTER * random.uint32()) / 2 ** 32));
}

function pause(delayMs: number, timers: Timers, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = timers.after(delayMs, end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
