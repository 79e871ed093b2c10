/** The clients who wait for one and the same question under way. */
import type { ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { EDE } from "../dns/edns.ts";
import type { Fault } from "../dns/faults.ts";
import { equalOctets } from "../dns/name.ts";
import type { Key } from "./key.ts";
import { respelled } from "./reply.ts";

/** Clients waiting for one question. When full, a new one is REFUSED. */
export const MAX_WAITERS_PER_QUESTION = 512;
/** Clients that joined questions of others, in all. When full, a new one is REFUSED. */
const MAX_WAITERS = 16384;

export type Done = (answer: ForwardAnswer) => void;
export type Waiter = { request: ForwardRequest; done: Done };

/**
 * What is waited for. `key` null: the answer is given as it is. `first` null: nobody waits, or nobody
 * does any more; `request` is what the first one asked, or would have asked.
 */
export type Awaited = {
  readonly key: Key | null;
  readonly request: ForwardRequest;
  first: Done | null;
  joined: Waiter[] | null;
};

/** How many wait. */
export function clientCount({ first, joined }: Awaited): number {
  return (first === null ? 0 : 1) + (joined?.length ?? 0);
}

export type Waiting = {
  /** false: too many wait already. */
  join(pending: Awaited, waiter: Waiter): boolean;
  /** Gives everyone who waits the answer, each in its own spelling of the QNAME; nobody waits any more. */
  tell(pending: Awaited, answer: ForwardAnswer): void;
  /** How many ever joined. */
  joinedCount(): number;
};

const FAILED: ForwardAnswer = { ok: false, reason: "failed" };
const CUT_SHORT: ForwardAnswer = {
  ok: false,
  reason: "failed",
  ede: [{ code: EDE.OTHER, text: "the servers' answer is truncated" }],
};

/**
 * The answer for one of them. TC tells clients to ask over TCP: those who did would take an answer without
 * records for NODATA. AD is for those who asked for it (RFC 6840 5.7).
 */
function toldTo(request: ForwardRequest, answer: ForwardAnswer): ForwardAnswer {
  if (!answer.ok) return answer;
  if (answer.tc && request.client.transport !== "udp") return CUT_SHORT;
  return answer.ad && !request.ad && !request.do ? { ...answer, ad: false } : answer;
}

/** `fault`: hears what was thrown by who waited; they are told once more, that it failed. */
export function createWaiting(fault: Fault): Waiting {
  let waiterCount = 0;
  let joinedCount = 0;

  function give(done: Done, answer: ForwardAnswer): void {
    try {
      done(answer);
    } catch (error) {
      fault(error);
      if (answer !== FAILED) give(done, FAILED);
    }
  }

  return {
    join(pending, waiter) {
      pending.joined ??= [];
      if (pending.joined.length >= MAX_WAITERS_PER_QUESTION - 1 || waiterCount >= MAX_WAITERS)
        return false;
      waiterCount++;
      joinedCount++;
      pending.joined.push(waiter);
      return true;
    },
    tell(pending, answer) {
      const { first, joined, key, request: asked } = pending;
      pending.first = null;
      pending.joined = null;
      if (first !== null) give(first, key === null ? answer : toldTo(asked, answer));
      if (joined === null) return;
      waiterCount -= joined.length;
      for (const { request, done } of joined) {
        const told = key === null ? answer : toldTo(request, answer);
        const isOther = told.ok && key !== null && !equalOctets(request.qname, asked.qname);
        give(done, isOther ? respelled(told, request) : told);
      }
    },
    joinedCount: () => joinedCount,
  };
}
