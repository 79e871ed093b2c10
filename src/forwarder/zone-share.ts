/**
 * How much of a cache each zone has filled, and in which order: O(1) for each entry that comes or goes.
 * Places are numbers in arrays of numbers, so that a million of them are nothing for the collector.
 */

/** The part of one zone. `oldest` and `newest`: members, 0 where there is none. */
type ZoneShare = { readonly zone: string; octets: number; oldest: number; newest: number };

export type ZoneShares = {
  /** For an entry that is about to be kept: its place in its zone's part, 1 or more. */
  add(zone: string, key: number, octets: number): number;
  remove(member: number): void;
  /** The key of the entry that came first, if the zone of this one has more than its part; undefined else. */
  excess(member: number): number | undefined;
};

/** Places that room is made for at first. */
const FIRST_ROOM = 16;

/** `limitOctets`: of one zone. A zone is forgotten with its last entry, so the cache bounds this. */
export function createZoneShares(limitOctets: number): ZoneShares {
  const shares = new Map<string, ZoneShare>();
  const shareOf: (ZoneShare | undefined)[] = [undefined];
  const keys: number[] = [0];
  let octetsOf = new Uint32Array(FIRST_ROOM);
  /** Who came before and after, of the same zone. Of free places `older` is the next free one. */
  let older = new Uint32Array(FIRST_ROOM);
  let newer = new Uint32Array(FIRST_ROOM);
  let free = 0;

  function place(): number {
    if (free > 0) {
      const member = free;
      free = older[member]!;
      return member;
    }
    const member = shareOf.length;
    if (member === older.length) {
      octetsOf = twice(octetsOf);
      older = twice(older);
      newer = twice(newer);
    }
    return member;
  }

  return {
    add(zone, key, octets) {
      let share = shares.get(zone);
      if (share === undefined) {
        share = { zone, octets: 0, oldest: 0, newest: 0 };
        shares.set(zone, share);
      }
      const member = place();
      shareOf[member] = share;
      keys[member] = key;
      octetsOf[member] = octets;
      older[member] = share.newest;
      newer[member] = 0;
      if (share.newest === 0) share.oldest = member;
      else newer[share.newest] = member;
      share.newest = member;
      share.octets += octets;
      return member;
    },
    remove(member) {
      const share = shareOf[member]!;
      const [before, after] = [older[member]!, newer[member]!];
      if (before === 0) share.oldest = after;
      else newer[before] = after;
      if (after === 0) share.newest = before;
      else older[after] = before;
      share.octets -= octetsOf[member]!;
      if (share.oldest === 0) shares.delete(share.zone);
      shareOf[member] = undefined;
      older[member] = free;
      free = member;
    },
    excess(member) {
      const { octets, oldest, newest } = shareOf[member]!;
      return octets <= limitOctets || oldest === newest ? undefined : keys[oldest]!;
    },
  };
}

function twice(numbers: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(2 * numbers.length);
  more.set(numbers);
  return more;
}
