/**
 * When sessions with a TTL end for want of renewal: the leader's book of deadlines, never part of
 * the replicated state. The owner feeds it time and proposes `session-destroy` for what is due.
 * Consul 1.10 agent/consul/session_ttl.go: the timer is twice the TTL, so that a renewal which was
 * sent in time is never too late.
 */
import type { CatalogReader, SessionRecord } from "./model.ts";
import { parseDuration } from "../duration.ts";
import { compareText, SortedList } from "./sorted.ts";

const TTL_FACTOR = 2;

/** Deadlines of the sessions that have a TTL. */
export type SessionExpiry = {
  /**
   * Brings the book in line with the sessions there are: new ones start, ended ones are struck out.
   * To be called at the start, and when a snapshot has taken the place of everything.
   */
  follow(reader: Pick<CatalogReader, "sessions">, nowMs: number): void;
  /** The same for one session (topic `session:<id>`): it was created, or is there no more. */
  followOne(id: string, session: SessionRecord | undefined, nowMs: number): void;
  /** PUT /v1/session/renew: starts the timer afresh; false for a session without one. */
  renew(id: string, nowMs: number): boolean;
  /** The first `count` sessions whose time has passed; they stay due until they are gone from the state. */
  due(nowMs: number, count: number): string[];
  /** Monotonic ms of the next deadline; undefined if no session has a TTL. */
  nextMs(): number | undefined;
  /** No longer leader: forgets all. */
  clear(): void;
};

type Deadline = { readonly id: string; readonly ttlMs: number; readonly atMs: number };

/** All times are monotonic milliseconds. Each call costs O(log n) in the number of sessions. */
export function createSessionExpiry(): SessionExpiry {
  const byId = new Map<string, Deadline>();
  const byTime = new SortedList<Pick<Deadline, "id" | "atMs">, Deadline>(
    (a, b) => a.atMs - b.atMs || compareText(a.id, b.id),
  );

  function strike(id: string): void {
    const deadline = byId.get(id);
    if (deadline === undefined) return;
    byId.delete(id);
    byTime.remove(deadline);
  }

  function start(id: string, ttlMs: number, nowMs: number): void {
    strike(id);
    const deadline = { id, ttlMs, atMs: nowMs + TTL_FACTOR * ttlMs };
    byId.set(id, deadline);
    byTime.put(deadline);
  }

  function followOne(id: string, session: SessionRecord | undefined, nowMs: number): void {
    const ttlMs = session === undefined ? 0 : sessionTtlMs(session);
    if (ttlMs === 0) strike(id);
    else if (!byId.has(id)) start(id, ttlMs, nowMs);
  }

  return {
    follow(reader, nowMs) {
      const gone = new Set(byId.keys());
      for (const session of reader.sessions()) {
        gone.delete(session.id);
        followOne(session.id, session, nowMs);
      }
      for (const id of gone) strike(id);
    },
    followOne,
    renew(id, nowMs) {
      const deadline = byId.get(id);
      if (deadline === undefined) return false;
      start(id, deadline.ttlMs, nowMs);
      return true;
    },
    due(nowMs, count) {
      const first = byTime.from({ id: "", atMs: -Infinity }, count);
      return first.filter(({ atMs }) => atMs <= nowMs).map(({ id }) => id);
    },
    nextMs: () => byTime.first()?.atMs,
    clear() {
      for (const id of byId.keys()) strike(id);
    },
  };
}

/** Milliseconds of a session's TTL; 0 for none. The text was checked before it was proposed. */
export function sessionTtlMs({ ttl }: Pick<SessionRecord, "ttl">): number {
  if (ttl === "") return 0;
  const parsed = parseDuration(ttl);
  return parsed.ok ? Math.max(0, parsed.value) : 0;
}
