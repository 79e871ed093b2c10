/** How much of a cache each zone has filled, and in which order. */

/** One zone's part. `keys` in order of their coming; a single one stands as itself: most zones have one. */
export type ZoneShare = {
  readonly zone: string;
  octets: number;
  keys: Set<string> | string | null;
};

export type ZoneShares = {
  /** The part of this zone, for an entry that is about to be added. */
  of(zone: string): ZoneShare;
  add(share: ZoneShare, key: string, octets: number): void;
  remove(share: ZoneShare, key: string, octets: number): void;
  /** The key that came first, if the zone has more than its part; undefined else. */
  excess(share: ZoneShare): string | undefined;
};

/** `limitOctets`: of one zone. A zone is forgotten with its last entry, so the cache bounds this. */
export function createZoneShares(limitOctets: number): ZoneShares {
  const shares = new Map<string, ZoneShare>();
  return {
    of(zone) {
      const known = shares.get(zone);
      return known ?? { zone, octets: 0, keys: null };
    },
    add(share, key, octets) {
      if (share.keys === null) {
        share.keys = key;
        shares.set(share.zone, share);
      } else if (typeof share.keys === "string") {
        if (share.keys !== key) share.keys = new Set([share.keys, key]);
      } else share.keys.add(key);
      share.octets += octets;
    },
    remove(share, key, octets) {
      share.octets -= octets;
      if (share.keys === key) share.keys = null;
      else if (share.keys instanceof Set) {
        share.keys.delete(key);
        if (share.keys.size === 0) share.keys = null;
      }
      if (share.keys === null && shares.get(share.zone) === share) shares.delete(share.zone);
    },
    excess({ octets, keys }) {
      if (octets <= limitOctets || !(keys instanceof Set)) return undefined;
      for (const first of keys) return first;
      return undefined;
    },
  };
}
