/**
 * Packets to one server: counted by the second, and held to a rate. Resolvers of clouds drop what is
 * above theirs (1,024 per second and network interface), so that every client suffers.
 */

/** A rate is held over this long: so much may go out at once after a pause. */
const BURST_SECONDS = 1;
/** From this share of the rate on somebody should know. */
const BUSY_SHARE = 0.8;

/** What may go out at a rate; Infinity: nothing was taken yet. */
type Level = { tokens: number; atMs: number };

/** Full at the start. Only this file changes it. */
export type Bucket = {
  /**
   * By packets per second. Groups of the same rate share what it allows; one of a low rate takes nothing
   * away from the others. As many as the configurations so far have had for one server.
   */
  readonly levels: Map<number, Level>;
  /** The second that is being counted, and how many it has had. */
  second: number;
  count: number;
  /** How many the second before had. */
  before: number;
  /** Times that it was found empty. */
  empty: number;
};

export function createBucket(): Bucket {
  return { levels: new Map(), second: -1, count: 0, before: 0, empty: 0 };
}

/**
 * Takes one packet. `perSecond` 0: there is no limit. "busy": taken, and with it this second has
 * reached 80 % of the limit. "empty": nothing may be sent now.
 */
export function takePacket(
  bucket: Bucket,
  perSecond: number,
  nowMs: number,
): "taken" | "busy" | "empty" {
  if (perSecond > 0) {
    let level = bucket.levels.get(perSecond);
    if (level === undefined) bucket.levels.set(perSecond, (level = { tokens: Infinity, atMs: 0 }));
    const gained = ((nowMs - level.atMs) * perSecond) / 1000;
    level.tokens = Math.min(perSecond * BURST_SECONDS, level.tokens + gained);
    level.atMs = nowMs;
    if (level.tokens < 1) {
      bucket.empty++;
      return "empty";
    }
    level.tokens--;
  }
  turn(bucket, nowMs);
  bucket.count++;
  return perSecond > 0 && bucket.count === Math.ceil(perSecond * BUSY_SHARE) ? "busy" : "taken";
}

/** Milliseconds until there is one more. */
export function untilNextMs(bucket: Bucket, perSecond: number): number {
  const tokens = bucket.levels.get(perSecond)?.tokens ?? Infinity;
  return tokens >= 1 ? 0 : ((1 - tokens) * 1000) / perSecond;
}

/** Packets of the last whole second. */
export function packetsLastSecond(bucket: Bucket, nowMs: number): number {
  turn(bucket, nowMs);
  return bucket.before;
}

function turn(bucket: Bucket, nowMs: number): void {
  const second = Math.floor(nowMs / 1000);
  if (second === bucket.second) return;
  bucket.before = second === bucket.second + 1 ? bucket.count : 0;
  bucket.second = second;
  bucket.count = 0;
}
