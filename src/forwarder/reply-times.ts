/** How long one server took to reply, by RCODE. */

/** Upper bounds in seconds: those that CoreDNS has. */
export const REPLY_TIME_BOUNDS_SECONDS = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);

/** Replies by time, one more bucket than there are bounds, and the sum in seconds. */
export type ReplyTimes = { readonly counts: number[]; sum: number };

/** RCODEs told apart (RFC 6895 has names up to 23); a server that makes others up fills nothing. */
const RCODES_MAX = 24;

/** Counts a reply that came `ms` after the question. */
export function addReplyTime(times: Map<number, ReplyTimes>, rcode: number, ms: number): void {
  const known = Math.min(rcode, RCODES_MAX);
  let of = times.get(known);
  if (of === undefined) {
    of = { counts: [...REPLY_TIME_BOUNDS_SECONDS.map(() => 0), 0], sum: 0 };
    times.set(known, of);
  }
  const seconds = ms / 1000;
  let bucket = 0;
  while (bucket < REPLY_TIME_BOUNDS_SECONDS.length && seconds > REPLY_TIME_BOUNDS_SECONDS[bucket]!)
    bucket++;
  of.counts[bucket]!++;
  of.sum += seconds;
}
