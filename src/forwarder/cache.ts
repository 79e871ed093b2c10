/**
 * Answers by question, on lru-caches with one byte budget. Answers that were asked for again have two
 * thirds of theirs to themselves, denials a quarter of all, and the denials of one zone a tenth: a flood
 * of names made up once each pushes out neither what is in use nor the denials of others. Entries are
 * whole messages, packed; what is given out is a copy. Time comes from the caller, and a TTL is counted
 * from the moment of storing.
 */
import { LRUCache } from "lru-cache";
import { encodeMessage } from "../dns/encode.ts";
import type { ParsedMessage } from "../dns/message.ts";
import { createFailures, type Failures } from "./failures.ts";
import type { Random } from "../ports.ts";
import { createKeyHash } from "./key-hash.ts";
import { groupIdOf, selector, zoneKey, type Key, type Selection } from "./key.ts";
import { createPacked } from "./packed.ts";
import type { Scrubbed } from "./scrub.ts";
import { createZoneShares } from "./zone-share.ts";

/** An entry as it was when it was looked for. */
export type Entry = {
  /** Scrubbed message without OPT of ours to keep: header flags, question, sections. */
  readonly wire: Uint8Array;
  readonly storedAtMs: number;
  readonly expiresAtMs: number;
  /** Lifetime of a denial, also the TTL of its SOA as shown (RFC 2308 5); -1 for answers. */
  readonly denialSeconds: number;
  /** Label of the server that said so. */
  readonly server: string;
  /** Times it was found fresh. */
  readonly hits: number;
  /** When the answer that it replaced early would have run out; 0: it was not fetched early, or that is settled. */
  readonly earlyForMs: number;
};

/**
 * Why entries left. `capacity`: the budget; `share`: more denials of one zone than its part; `replaced`: a
 * newer answer; `expired`: too old even to be served stale; `flushed`.
 */
export type EvictionReason = "capacity" | "share" | "replaced" | "expired" | "flushed";

export type CacheStats = {
  answers: { entries: number; octets: number };
  denials: { entries: number; octets: number };
  capacityOctets: number;
  hits: number;
  misses: number;
  failureHits: number;
  insertions: number;
  evictions: Record<EvictionReason, number>;
  /** The same by kind, as CoreDNS names them. */
  evictionsByKind: Record<"success" | "denial", Record<EvictionReason, number>>;
  /** Ages of what made room for others: AGE_BOUNDS_SECONDS and one more. */
  evictedAges: { counts: readonly number[]; sum: number };
};

/** Upper bounds of ages, from a second to a week. */
export const AGE_BOUNDS_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800] as const;

/** Part of the budget that denials may fill. */
const DENIAL_SHARE = 0.25;
/** Part of the budget that denials of one zone, by the owner of their SOA, may fill. */
const ZONE_SHARE = 0.1;
/** Part of the answers' budget that is kept for those asked for again. */
const WANTED_SHARE = 2 / 3;
/**
 * What an entry costs beside its octets, in resident memory: its places in lru-cache's arrays and key map,
 * and that of a denial in the share of its zone. Measured with 500,000 (Bun 1.4.5, x86-64): 350 octets in
 * all for an answer and 375 for a denial where these and their octets come to 336 and 376.
 */
const INDEX_OCTETS = 180;
const SHARE_OCTETS = 40;

/** Entries that a listing or a flush looks at in one go. */
const SLICE = 256;

/** An upstream's reply, `wire` as received. */
export type Received = { message: ParsedMessage; wire: Uint8Array; server: string };

export type Cache = {
  /**
   * What is known of this question: fresh, or else expired for less than `staleMs` (the caller compares
   * times). Something fresh goes before something expired, an expired answer before an expired denial.
   */
  find(key: Key, nowMs: number, staleMs: number): Entry | undefined;
  /** The answer alone, whatever has been denied since. */
  findAnswer(key: Key, nowMs: number, staleMs: number): Entry | undefined;
  readonly failures: Failures;
  /** Nothing is kept for 0 seconds. `earlyForMs` as of the entry. */
  store(
    key: Key,
    received: Received,
    scrubbed: Scrubbed,
    seconds: number,
    nowMs: number,
    earlyForMs?: number,
  ): void;
  /** Its entry counts as one that was not fetched early. */
  settleEarly(key: Key): void;
  /**
   * Puts back what was listed once, by the text of its key, unless something newer is there; `zone`:
   * owner of the SOA of a denial.
   */
  restore(key: string, kept: Omit<Entry, "earlyForMs">, zone: Uint8Array | null): void;
  /**
   * Drops what is selected, as far as it is driven: undefined after every SLICE entries looked at, where
   * the caller may pause, in the end how many entries went.
   */
  flush(wanted: Selection): Generator<undefined, number>;
  /** Drops what groups with these ids have said, with the same pauses. */
  flushGroups(isWanted: (groupId: number) => boolean): Generator<undefined, number>;
  /** What is selected, one by one, with the same pauses. Counts no hits and changes no order. */
  list(wanted: Selection): Iterable<{ key: string; entry: Entry } | undefined>;
  stats(): CacheStats;
};

/** By hash of the key, where the entry is. */
type Store = LRUCache<number, number>;

export function createCache(
  { cacheOctets }: { cacheOctets: number },
  random: Pick<Random, "uint32">,
): Cache {
  const left = { success: noneLeft(), denial: noneLeft() };
  const ages: { counts: number[]; sum: number } = {
    counts: [...AGE_BOUNDS_SECONDS.map(() => 0), 0],
    sum: 0,
  };
  const hashOf = createKeyHash(random);
  const packed = createPacked();
  /** Of the call under way, for what it pushes out. */
  let callMs = 0;
  /** An entry goes from one store to another. */
  let moving = false;
  let hits = 0;
  let misses = 0;
  let insertions = 0;

  const createStore = (octets: number): Store =>
    new LRUCache<number, number>({
      maxSize: Math.max(1, Math.floor(octets)),
      sizeCalculation: octetsOf,
      dispose: (at, _hash, reason) => {
        if (moving) return;
        const member = packed.member(at);
        if (member !== 0) shares.remove(member);
        if (reason === "evict") pushedOut(at, "capacity");
        else if (reason === "set") left[kindOf(at)].replaced++;
        packed.remove(at);
      },
    });
  const answerOctets = cacheOctets * (1 - DENIAL_SHARE);
  /** Answers that nobody asked for again, and those that somebody did: together `answerOctets`. */
  const once = createStore(answerOctets);
  const wanted = createStore(answerOctets * WANTED_SHARE);
  const denials = createStore(cacheOctets * DENIAL_SHARE);
  const stores = [once, wanted, denials];
  const shares = createZoneShares(cacheOctets * ZONE_SHARE);
  const failures = createFailures();

  const kindOf = (at: number): "success" | "denial" => (packed.isDenial(at) ? "denial" : "success");

  /** What an entry counts in the budget. */
  function octetsOf(at: number): number {
    return packed.octetsOf(at) + INDEX_OCTETS + (packed.isDenial(at) ? SHARE_OCTETS : 0);
  }

  function pushedOut(at: number, reason: "capacity" | "share"): void {
    left[kindOf(at)][reason]++;
    const seconds = Math.max(0, callMs - packed.storedAtMs(at)) / 1000;
    const bucket = AGE_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    ages.counts[bucket < 0 ? AGE_BOUNDS_SECONDS.length : bucket]!++;
    ages.sum += seconds;
  }

  /** Where the entry is if it is not expired for `staleMs` or more; else it is dropped. */
  function usable(
    store: Store,
    hash: number,
    key: string,
    nowMs: number,
    staleMs: number,
  ): number | undefined {
    const at = store.get(hash);
    if (at === undefined || !packed.isOf(at, key)) return undefined;
    if (nowMs < packed.expiresAtMs(at) + staleMs) return at;
    left[kindOf(at)].expired++;
    store.delete(hash);
    return undefined;
  }

  function answerAt({ exact }: Key, hash: number, nowMs: number, staleMs: number) {
    return usable(wanted, hash, exact, nowMs, staleMs) ?? usable(once, hash, exact, nowMs, staleMs);
  }

  function denialAt(key: Key, hash: number, nowMs: number, staleMs: number): number | undefined {
    if (denials.size === 0) return undefined;
    const ofType = usable(denials, hash, key.exact, nowMs, staleMs);
    if (ofType !== undefined && nowMs < packed.expiresAtMs(ofType)) return ofType;
    return usable(denials, hashOf(key.name), key.name, nowMs, staleMs) ?? ofType;
  }

  function drop(store: Store, hash: number): void {
    if (store.delete(hash)) left[store === denials ? "denial" : "success"].replaced++;
  }

  /** false: it is too large for the whole, and gone. */
  function keep(store: Store, hash: number, at: number): boolean {
    store.set(hash, at);
    if (store.peek(hash) === at) return true;
    packed.remove(at);
    return false;
  }

  function keepAnswer(key: string, entry: Entry): void {
    const hash = hashOf(key);
    const at = packed.add(key, entry);
    // Where it was it stays: what was in demand before its TTL ran out will be after.
    keep(wanted.peek(hash) !== undefined || entry.hits > 0 ? wanted : once, hash, at);
    while (once.calculatedSize + wanted.calculatedSize > answerOctets) once.pop();
  }

  /** Somebody asked for it again. */
  function promote(hash: number, at: number): void {
    moving = true;
    const isThere = once.delete(hash);
    moving = false;
    if (isThere) keep(wanted, hash, at);
  }

  function keepDenial(key: string, entry: Entry, zone: Uint8Array | null): void {
    const hash = hashOf(key);
    const at = packed.add(key, entry);
    if (!keep(denials, hash, at) || zone === null) return;
    const member = shares.add(zoneKey(zone), hash, octetsOf(at));
    packed.setMember(at, member);
    for (let oldest = shares.excess(member); oldest !== undefined; oldest = shares.excess(member)) {
      const pushed = denials.peek(oldest);
      if (pushed !== undefined) pushedOut(pushed, "share");
      denials.delete(oldest);
    }
  }

  /** undefined after every SLICE entries looked at. What comes or goes meanwhile disturbs nothing. */
  function* selected(
    isWanted: (key: string) => boolean,
    store: Store,
  ): Generator<{ key: string; hash: number; at: number } | undefined, void> {
    // The order of the store changes with every hit, so its own iterators cannot be paused, and a copy of
    // a million keys takes 0.4 s. The Map below it has a fixed order.
    const { keyMap } = LRUCache.unsafeExposeInternals(store);
    let remaining = keyMap.size; // new ones come at the end: not more than there were
    for (const hash of keyMap.keys()) {
      if (remaining-- === 0) return;
      if (remaining % SLICE === 0) yield undefined;
      const at = store.peek(hash);
      if (at === undefined) continue;
      const key = packed.keyOf(at);
      if (isWanted(key)) yield { key, hash, at };
    }
  }

  function* flushed(isWanted: (key: string) => boolean): Generator<undefined, number> {
    yield* failures.flush(isWanted);
    let count = 0;
    for (const store of stores)
      for (const found of selected(isWanted, store)) {
        if (found === undefined) {
          yield undefined;
          continue;
        }
        left[kindOf(found.at)].flushed++;
        store.delete(found.hash);
        count++;
      }
    return count;
  }

  return {
    failures,
    findAnswer(key, nowMs, staleMs) {
      const at = answerAt(key, hashOf(key.exact), nowMs, staleMs);
      return at === undefined ? undefined : packed.read(at);
    },
    find(key, nowMs, staleMs) {
      const hash = hashOf(key.exact);
      const answer = answerAt(key, hash, nowMs, staleMs);
      const isFresh = answer !== undefined && nowMs < packed.expiresAtMs(answer);
      const denial = isFresh ? undefined : denialAt(key, hash, nowMs, staleMs);
      const isDenied = denial !== undefined && nowMs < packed.expiresAtMs(denial);
      const fresh = isDenied ? denial : isFresh ? answer : undefined;
      if (fresh === undefined) {
        misses++;
        const expired = answer ?? denial;
        return expired === undefined ? undefined : packed.read(expired);
      }
      hits++;
      callMs = nowMs;
      const times = packed.hit(fresh);
      const entry = packed.read(fresh);
      if (isFresh && times === 1) promote(hash, fresh);
      return entry;
    },
    store(key, { message, wire, server }, scrubbed, seconds, nowMs, earlyForMs = 0) {
      failures.forget(key.exact);
      callMs = nowMs;
      if (seconds <= 0) return;
      const denial = scrubbed.kind === "nxdomain" || scrubbed.kind === "nodata";
      const entry: Entry = {
        wire: scrubbed.untouched ? wire : reencode(message, scrubbed),
        storedAtMs: nowMs,
        expiresAtMs: nowMs + seconds * 1000,
        denialSeconds: denial ? seconds : -1,
        server,
        hits: 0,
        earlyForMs,
      };
      insertions++;
      const hash = hashOf(key.exact);
      if (denial) {
        drop(once, hash);
        drop(wanted, hash);
        // With a CNAME before it, NXDOMAIN is about the end of the chain: the name itself exists.
        const ofName = scrubbed.kind === "nxdomain" && scrubbed.links === 0;
        keepDenial(ofName ? key.name : key.exact, entry, scrubbed.soa?.owner ?? null);
        return;
      }
      if (denials.size > 0) {
        drop(denials, hash);
        drop(denials, hashOf(key.name));
      }
      keepAnswer(key.exact, entry);
    },
    settleEarly(key) {
      const hash = hashOf(key.exact);
      const at = wanted.peek(hash) ?? once.peek(hash);
      if (at !== undefined) packed.settleEarly(at);
    },
    restore(key, kept, zone) {
      const hash = hashOf(key);
      if (stores.some((store) => store.peek(hash) !== undefined)) return;
      const entry = { ...kept, earlyForMs: 0 };
      insertions++;
      if (kept.denialSeconds >= 0) keepDenial(key, entry, zone);
      else keepAnswer(key, entry);
    },
    flush: (selection) => flushed(selector(selection)),
    flushGroups: (isWanted) => flushed((key) => isWanted(groupIdOf(key))),
    *list(selection) {
      for (const store of stores)
        for (const found of selected(selector(selection), store))
          yield found && { key: found.key, entry: packed.read(found.at) };
    },
    stats: () => ({
      answers: {
        entries: once.size + wanted.size,
        octets: once.calculatedSize + wanted.calculatedSize,
      },
      denials: { entries: denials.size, octets: denials.calculatedSize },
      capacityOctets: cacheOctets,
      hits,
      misses,
      failureHits: failures.hits(),
      insertions,
      evictions: sumOf(left.success, left.denial),
      evictionsByKind: { success: { ...left.success }, denial: { ...left.denial } },
      evictedAges: { counts: [...ages.counts], sum: ages.sum },
    }),
  };
}

type Left = Record<EvictionReason, number>;

const noneLeft = (): Left => ({ capacity: 0, share: 0, replaced: 0, expired: 0, flushed: 0 });

const sumOf = (a: Left, b: Left): Left => ({
  capacity: a.capacity + b.capacity,
  share: a.share + b.share,
  replaced: a.replaced + b.replaced,
  expired: a.expired + b.expired,
  flushed: a.flushed + b.flushed,
});

/** The message with only the records that were kept. */
function reencode(message: ParsedMessage, { answers, authority }: Scrubbed): Uint8Array {
  const { flags, question } = message;
  return encodeMessage(
    { id: 0, flags, question, answers, authority, additional: [] },
    { compress: true, opt: null },
  );
}
