/** How much of a cache each zone has filled, and in which order: O(1) for each entry that comes or goes. */

/** The part of one zone. */
type ZoneShare = {
  readonly zone: string;
  octets: number;
  oldest: ZoneMember | null;
  newest: ZoneMember | null;
};

/** An entry's place in its zone's part: a doubly linked list in order of coming. */
export type ZoneMember = {
  readonly share: ZoneShare;
  readonly key: string;
  readonly octets: number;
  older: ZoneMember | null;
  newer: ZoneMember | null;
};

export type ZoneShares = {
  /** For an entry that is about to be kept. */
  add(zone: string, key: string, octets: number): ZoneMember;
  remove(member: ZoneMember): void;
  /** The key of the entry that came first, if the zone of this one has more than its part; undefined else. */
  excess(member: ZoneMember): string | undefined;
};

/** `limitOctets`: of one zone. A zone is forgotten with its last entry, so the cache bounds this. */
export function createZoneShares(limitOctets: number): ZoneShares {
  const shares = new Map<string, ZoneShare>();
  return {
    add(zone, key, octets) {
      let share = shares.get(zone);
      if (share === undefined) {
        share = { zone, octets: 0, oldest: null, newest: null };
        shares.set(zone, share);
      }
      const member: ZoneMember = { share, key, octets, older: share.newest, newer: null };
      if (share.newest === null) share.oldest = member;
      else share.newest.newer = member;
      share.newest = member;
      share.octets += octets;
      return member;
    },
    remove({ share, octets, older, newer }) {
      if (older === null) share.oldest = newer;
      else older.newer = newer;
      if (newer === null) share.newest = older;
      else newer.older = older;
      share.octets -= octets;
      if (share.oldest === null) shares.delete(share.zone);
    },
    excess({ share: { octets, oldest, newest } }) {
      if (octets <= limitOctets || oldest === newest) return undefined;
      return oldest?.key;
    },
  };
}
