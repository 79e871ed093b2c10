/** A session of a command, which holds its locks: made, renewed, and given up. */
import { setTimeout as sleep } from "node:timers/promises";
import { decodeShape } from "../cluster/decode.ts";
import type { Clock } from "../ports.ts";
import { loosely, understood } from "./answer.ts";
import type { HttpClient } from "./client.ts";

/** TTL of the session; the servers end it between one and two of them after the last renewal. Consul's. */
const TTL_MS = 15_000;
/** Wait after a renewal that failed. */
const RETRY_MS = 1_000;
/** Limit of one call. */
const CALL_LIMIT_MS = 5_000;

/** A session that is kept alive. */
export type ManagedSession = {
  id: string;
  /**
   * Resolves when it has ended, or when its TTL has passed without a renewal: from then on somebody
   * else may hold what it held.
   */
  lost: Promise<void>;
  /** Gives it up, once; an agent that is away is no error, the TTL ends it then. */
  end(): Promise<void>;
};

/** What a session is made of; see PUT /v1/session/create. */
export type SessionBody = {
  Name: string;
  Behavior?: "delete";
  Node?: string;
  Checks?: readonly string[];
};

/** Makes a session. Rejects with HttpFailure. */
export async function createSession(
  http: HttpClient,
  clock: Clock,
  body: SessionBody,
): Promise<ManagedSession> {
  let renewedMs = clock.monotonicMs();
  const answer = await http.request("PUT", "/v1/session/create", {
    body: { ...body, TTL: `${TTL_MS / 1000}s` },
    timeoutMs: CALL_LIMIT_MS,
  });
  const { ID: id } = understood(decodeShape({ struct: { ID: "string" } }, answer.json(), loosely));
  const stopping = new AbortController();
  const { signal } = stopping;

  /** Resolves when it is lost or given up. */
  async function keepAlive(): Promise<void> {
    let waitMs = TTL_MS / 2;
    for (;;) {
      await sleep(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const nowMs = clock.monotonicMs();
      if (nowMs - renewedMs > TTL_MS) return;
      const outcome = await renewed(http, id, signal);
      if (outcome === "gone" || signal.aborted) return;
      waitMs = outcome === "renewed" ? TTL_MS / 2 : RETRY_MS;
      if (outcome === "renewed") renewedMs = nowMs;
    }
  }

  let ending: Promise<void> | undefined;
  async function destroy(): Promise<void> {
    stopping.abort();
    await http
      .requestAny("PUT", `/v1/session/destroy/${id}`, { timeoutMs: CALL_LIMIT_MS })
      .catch(() => {});
  }

  return {
    id,
    lost: keepAlive(),
    end: () => (ending ??= destroy()),
  };
}

async function renewed(
  http: HttpClient,
  id: string,
  signal: AbortSignal,
): Promise<"renewed" | "gone" | "failed"> {
  try {
    const { status } = await http.requestAny("PUT", `/v1/session/renew/${id}`, {
      timeoutMs: CALL_LIMIT_MS,
      signal,
    });
    return status === 200 ? "renewed" : status === 404 ? "gone" : "failed";
  } catch {
    return "failed";
  }
}
