/**
 * Questions under way, by group: each group has places of its own, so that one whose servers are slow
 * or silent takes none from the others. Sockets are shared; when the system has no more of them, the
 * group with the most questions under way gets fewer places. What nobody waits for (prefetches, refreshes
 * of stale answers) takes no place from what somebody does.
 */
import type { GroupSettings } from "./settings.ts";

/** Below this the places of a group do not shrink when the system has no more sockets for us. */
const MIN_PLACES = 64;
/** What is left of the places of the group that has the most. */
const SHRINK = 0.9;
/** How much of a place each answer gives back to a group that has lost some. */
const REGAIN = 0.1;

type Pool<T> = {
  places: number;
  limit: number;
  /** In the order of entering; those that nobody waits for are in `idle` too. */
  readonly members: Set<T>;
  readonly idle: Set<T>;
  dropped: number;
  forgone: number;
};

export type Pools<T> = {
  /**
   * Call before `enter`. If all places of the group are taken, the oldest question that nobody waits for,
   * else the oldest: it must go.
   */
  overdue(group: GroupSettings): T | undefined;
  /** May a question begin that nobody waits for? If not it is counted as forgone. */
  hasRoom(group: GroupSettings): boolean;
  enter(group: GroupSettings, question: T, isAwaited: boolean): void;
  /** Somebody waits for it now, or nobody does any more. */
  await(group: GroupSettings, question: T, isAwaited: boolean): void;
  /** It is over; with an answer, or without. */
  leave(group: GroupSettings, question: T, isAnswered: boolean): void;
  /** The system has no more sockets: the largest group has fewer places from now on. These must go. */
  shrink(): T[];
  /** What each group has under way, may have, and how many were given up because it was full. */
  stats(): readonly PoolStats[];
  /** Forgets groups that are not among these and have nothing under way. */
  keep(groups: readonly GroupSettings[]): void;
};

/** `dropped`: somebody waited. `forgone`: nobody did; given up, or not begun. */
export type PoolStats = {
  group: string;
  inFlight: number;
  limit: number;
  dropped: number;
  forgone: number;
};

export function createPools<T>(): Pools<T> {
  const pools = new Map<string, Pool<T>>();

  function poolOf({ name, maxInFlight }: GroupSettings): Pool<T> {
    let pool = pools.get(name);
    if (pool === undefined) pools.set(name, (pool = emptyPool(maxInFlight)));
    if (pool.places !== maxInFlight) pool.places = pool.limit = maxInFlight;
    return pool;
  }

  return {
    overdue(group) {
      const pool = poolOf(group);
      if (pool.members.size < Math.floor(pool.limit)) return undefined;
      // A set keeps the order of entering.
      for (const oldest of pool.idle) {
        pool.forgone++;
        return oldest;
      }
      pool.dropped++;
      for (const oldest of pool.members) return oldest;
      return undefined;
    },
    hasRoom(group) {
      const pool = poolOf(group);
      if (pool.members.size < Math.floor(pool.limit)) return true;
      pool.forgone++;
      return false;
    },
    enter(group, question, isAwaited) {
      const pool = poolOf(group);
      pool.members.add(question);
      if (!isAwaited) pool.idle.add(question);
    },
    await({ name }, question, isAwaited) {
      const pool = pools.get(name);
      if (isAwaited) pool?.idle.delete(question);
      else if (pool?.members.has(question) === true) pool.idle.add(question);
    },
    leave({ name }, question, isAnswered) {
      // By its name: the settings that the question was asked with may be others by now.
      const pool = pools.get(name);
      if (pool === undefined) return;
      pool.members.delete(question);
      pool.idle.delete(question);
      if (isAnswered) pool.limit = Math.min(pool.places, pool.limit + REGAIN);
    },
    shrink() {
      let largest: Pool<T> | undefined;
      for (const pool of pools.values())
        if (pool.members.size > (largest?.members.size ?? 0)) largest = pool;
      if (largest === undefined) return [];
      const { members, idle } = largest;
      largest.limit = Math.max(MIN_PLACES, Math.floor(members.size * SHRINK));
      const over = Math.max(0, members.size - largest.limit);
      const forgone = [...idle].slice(0, over);
      const dropped = [...members]
        .filter((each) => !idle.has(each))
        .slice(0, over - forgone.length);
      largest.forgone += forgone.length;
      largest.dropped += dropped.length;
      return [...forgone, ...dropped];
    },
    stats: () =>
      Array.from(pools, ([group, { members, limit, dropped, forgone }]) => ({
        group,
        inFlight: members.size,
        limit: Math.floor(limit),
        dropped,
        forgone,
      })),
    keep(groups) {
      for (const [name, { members }] of pools)
        if (members.size === 0 && !groups.some((group) => group.name === name)) pools.delete(name);
    },
  };
}

const emptyPool = <T>(places: number): Pool<T> => ({
  places,
  limit: places,
  members: new Set(),
  idle: new Set(),
  dropped: 0,
  forgone: 0,
});
