/**
 * When sessions with a TTL end for want of renewal: the leader's book of deadlines, never part of
 * the replicated state. The owner feeds it time and proposes `session-destroy` for what is due.
 * Consul 1.10 agent/consul/session_ttl.go: the timer is twice the TTL, so that a renewal which was
 * sent in time is never too late.
 */
import type { CatalogReader, SessionRecord } from "./model.ts";
import { parseDuration } from "../duration.ts";

const TTL_FACTOR = 2;

/** Deadlines of the sessions that have a TTL. */
export type SessionExpiry = {
  /**
   * Brings the book in line with the sessions there are: new ones start, ended ones are struck out.
   * To be called when topic `sessions` was touched, and by a new leader (all timers start afresh).
   */
  follow(reader: Pick<CatalogReader, "sessions">, nowMs: number): void;
  /** PUT /v1/session/renew: starts the timer afresh; false for a session without one. */
  renew(id: string, nowMs: number): boolean;
  /** Sessions whose time has passed; they stay due until they are gone from the state. */
  due(nowMs: number): string[];
  /** Monotonic ms of the next deadline; undefined if no session has a TTL. */
  nextMs(): number | undefined;
  /** No longer leader: forgets all. */
  clear(): void;
};

/** All times are monotonic milliseconds. */
export function createSessionExpiry(): SessionExpiry {
  const deadlines = new Map<string, { ttlMs: number; atMs: number }>();
  return {
    follow(reader, nowMs) {
      const gone = new Set(deadlines.keys());
      for (const session of reader.sessions()) {
        const ttlMs = sessionTtlMs(session);
        if (ttlMs === 0) continue;
        gone.delete(session.id);
        if (!deadlines.has(session.id))
          deadlines.set(session.id, { ttlMs, atMs: nowMs + TTL_FACTOR * ttlMs });
      }
      for (const id of gone) deadlines.delete(id);
    },
    renew(id, nowMs) {
      const deadline = deadlines.get(id);
      if (deadline === undefined) return false;
      deadline.atMs = nowMs + TTL_FACTOR * deadline.ttlMs;
      return true;
    },
    due: (nowMs) =>
      [...deadlines].filter(([, { atMs }]) => atMs <= nowMs).map(([sessionId]) => sessionId),
    nextMs() {
      let next: number | undefined;
      for (const { atMs } of deadlines.values()) if (next === undefined || atMs < next) next = atMs;
      return next;
    },
    clear: () => deadlines.clear(),
  };
}

/** Milliseconds of a session's TTL; 0 for none. The text was checked before it was proposed. */
export function sessionTtlMs({ ttl }: Pick<SessionRecord, "ttl">): number {
  if (ttl === "") return 0;
  const parsed = parseDuration(ttl);
  return parsed.ok ? Math.max(0, parsed.value) : 0;
}
