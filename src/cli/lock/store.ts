/** The calls to the KV store that locks are made of. */
import { parseKvPairs, type KvPair } from "../../cluster/kv-pair.ts";
import { understood } from "../answer.ts";
import { HttpFailure, type HttpClient, type Query } from "../client.ts";
import { keyPath } from "../kv/entries.ts";

/** Limit of a call that does not wait for a change. */
const CALL_LIMIT_MS = 10_000;
/** What a blocking read may take longer than it was to wait: its jitter, and the network. */
const READ_SLACK = 1.25;
/** The longest wait of the agent. */
const READ_MAX_MS = 600_000;

/** A read that waits until the index is past `index`; "" answers at once. */
export type ReadAsk = {
  index: string;
  /** 0: as long as the agent waits of itself. */
  waitMs: number;
  consistent?: boolean;
  signal: AbortSignal;
};

/** Records that were found, and the index to wait on. */
export type Found = { pairs: readonly KvPair[]; index: string };

/** All reject with HttpFailure. */
export type LockStore = {
  read(key: string, ask: ReadAsk): Promise<Found>;
  list(prefix: string, ask: ReadAsk): Promise<Found>;
  /** Whether it was done. */
  put(key: string, value: string, query: Query): Promise<boolean>;
  remove(key: string, query: Query): Promise<boolean>;
};

/** The store behind a client. */
export function createLockStore(http: HttpClient): LockStore {
  async function found(key: string, query: Query, ask: ReadAsk): Promise<Found> {
    const { index, waitMs, consistent = false, signal } = ask;
    const limitMs =
      index === "" ? CALL_LIMIT_MS : (waitMs || READ_MAX_MS) * READ_SLACK + CALL_LIMIT_MS;
    const answer = await http.requestAny("GET", keyPath(key), {
      query: {
        ...query,
        stale: undefined, // also with -stale: who holds a lock is the leader's to say
        ...(index === "" ? {} : { index }),
        ...(waitMs === 0 ? {} : { wait: `${Math.max(1, Math.ceil(waitMs))}ms` }),
        ...(consistent ? { consistent: "" } : {}),
      },
      signal,
      timeoutMs: limitMs,
    });
    const at = answer.headers["x-consul-index"];
    const { status, text } = answer;
    if (status !== 404 && (status < 200 || status > 299))
      throw new HttpFailure(status, `Unexpected response code: ${status} (${text.trim()})`);
    const pairs = status === 404 ? [] : understood(parseKvPairs(text));
    return { pairs, index: typeof at === "string" ? at : "" };
  }
  const isDone = (text: string) => text.trim() === "true";
  const limit = { timeoutMs: CALL_LIMIT_MS };
  return {
    read: (key, ask) => found(key, {}, ask),
    list: (prefix, ask) => found(prefix, { recurse: "" }, ask),
    put: async (key, value, query) =>
      isDone((await http.request("PUT", keyPath(key), { ...limit, query, body: value })).text),
    remove: async (key, query) =>
      isDone((await http.request("DELETE", keyPath(key), { ...limit, query })).text),
  };
}

/** Would the same call succeed when the agent is back? As Consul's client judges it: no answer, or 500 and above. */
export function isRetryable(error: unknown): boolean {
  return error instanceof HttpFailure && (error.status === 0 || error.status >= 500);
}
