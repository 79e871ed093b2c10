/** Token buckets, kept as one number: the time at which they are full again. */

/** How often something may be done: `burst` times at once, then once per interval. */
export type Rate = { readonly burst: number; readonly intervalMs: number };

/** What was taken: the bucket is full from this time on. */
export type Bucket = { fullAtMs: number };

/** A bucket that is full. */
export function newBucket(): Bucket {
  return { fullAtMs: -Infinity };
}

/** Takes one; false, and nothing is taken, if there is none. */
export function takeFrom(bucket: Bucket, rate: Rate, nowMs: number): boolean {
  if (nowMs < holdsAtMs(bucket, rate, 1)) return false;
  bucket.fullAtMs = Math.max(bucket.fullAtMs, nowMs) + rate.intervalMs;
  return true;
}

/** The time from which on the bucket holds at least `count`, if nothing is taken before. */
export function holdsAtMs({ fullAtMs }: Bucket, rate: Rate, count: number): number {
  return fullAtMs - (rate.burst - count) * rate.intervalMs;
}
