/**
 * Answers by question, on lru-caches with one byte budget. Answers that were asked for again have two
 * thirds of theirs to themselves, denials a quarter of all, and the denials of one zone a tenth: a flood
 * of names made up once each pushes out neither what is in use nor the denials of others. Entries are
 * whole messages as octets; time comes from the caller, and a TTL is counted from the moment of storing.
 */
import { LRUCache } from "lru-cache";
import { encodeMessage } from "../dns/encode.ts";
import type { ParsedMessage } from "../dns/message.ts";
import { createFailures, type Failures } from "./failures.ts";
import { groupIdOf, selector, zoneKey, type Key, type Selection } from "./key.ts";
import type { Scrubbed } from "./scrub.ts";
import { createZoneShares, type ZoneMember } from "./zone-share.ts";

export type Entry = {
  /** Scrubbed message without OPT of ours to keep: header flags, question, sections. */
  readonly wire: Uint8Array;
  readonly storedAtMs: number;
  readonly expiresAtMs: number;
  /** Lifetime of a denial, also the TTL of its SOA as shown (RFC 2308 5); -1 for answers. */
  readonly denialSeconds: number;
  /** Label of the server that said so. */
  readonly server: string;
  /** Of a denial: its place in the share of its zone. */
  member: ZoneMember | null;
  /** Times it was found fresh. */
  hits: number;
  /** When the answer that it replaced early would have run out; 0: it was not fetched early, or that is settled. */
  earlyForMs: number;
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
 * What an entry costs beside key and message, in resident memory: an answer, and a denial with its place
 * in the share of its zone. Measured with 500,000 entries (Bun 1.4.5, x86-64): 510 and 670 octets, of
 * which 300 are live and the rest is what the collector keeps; with 100,000 a tenth more.
 */
const ANSWER_OVERHEAD_OCTETS = 550;
const DENIAL_OVERHEAD_OCTETS = 700;

/** Entries that a listing or a flush looks at in one go. */
const SLICE = 256;

/** An upstream's reply; `wire` as received is the cache's from then on. */
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
  /** The entry that was made; undefined if there is none to make. */
  store(
    key: Key,
    received: Received,
    scrubbed: Scrubbed,
    seconds: number,
    nowMs: number,
  ): Entry | undefined;
  /**
   * Puts back what was listed once, by the text of its key, unless something newer is there; `zone`:
   * owner of the SOA of a denial.
   */
  restore(key: string, kept: Omit<Entry, "member" | "earlyForMs">, zone: Uint8Array | null): void;
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

type Store = LRUCache<string, Entry>;

export function createCache({ cacheOctets }: { cacheOctets: number }): Cache {
  const left = { success: noneLeft(), denial: noneLeft() };
  const ages: { counts: number[]; sum: number } = {
    counts: [...AGE_BOUNDS_SECONDS.map(() => 0), 0],
    sum: 0,
  };
  /** Of the call under way, for what it pushes out. */
  let callMs = 0;
  let hits = 0;
  let misses = 0;
  let insertions = 0;

  const createStore = (octets: number): Store =>
    new LRUCache<string, Entry>({
      maxSize: Math.max(1, Math.floor(octets)),
      sizeCalculation: octetsOf,
      dispose: (entry, _key, reason) => {
        if (entry.member !== null) shares.remove(entry.member);
        if (reason === "evict") pushedOut(entry, "capacity");
        else if (reason === "set") left[kindOf(entry)].replaced++;
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

  function pushedOut(entry: Entry, reason: "capacity" | "share"): void {
    left[kindOf(entry)][reason]++;
    const seconds = Math.max(0, callMs - entry.storedAtMs) / 1000;
    const bucket = AGE_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    ages.counts[bucket < 0 ? AGE_BOUNDS_SECONDS.length : bucket]!++;
    ages.sum += seconds;
  }

  /** The entry if it is not expired for `staleMs` or more; else it is dropped. */
  function usable(store: Store, key: string, nowMs: number, staleMs: number): Entry | undefined {
    const entry = store.get(key);
    if (entry === undefined || nowMs < entry.expiresAtMs + staleMs) return entry;
    store.delete(key);
    left[kindOf(entry)].expired++;
    return undefined;
  }

  function findAnswer({ exact }: Key, nowMs: number, staleMs: number): Entry | undefined {
    return usable(wanted, exact, nowMs, staleMs) ?? usable(once, exact, nowMs, staleMs);
  }

  function findDenial(key: Key, nowMs: number, staleMs: number): Entry | undefined {
    if (denials.size === 0) return undefined;
    const ofType = usable(denials, key.exact, nowMs, staleMs);
    if (ofType !== undefined && nowMs < ofType.expiresAtMs) return ofType;
    return usable(denials, key.name, nowMs, staleMs) ?? ofType;
  }

  function drop(store: Store, key: string): void {
    if (store.delete(key)) left[store === denials ? "denial" : "success"].replaced++;
  }

  function keepAnswer(key: string, entry: Entry): void {
    // Where it was it stays: what was in demand before its TTL ran out will be after.
    if (wanted.peek(key) !== undefined || entry.hits > 0) wanted.set(key, entry);
    else once.set(key, entry);
    while (once.calculatedSize + wanted.calculatedSize > answerOctets) once.pop();
  }

  /** Somebody asked for it again. */
  function promote(key: string, entry: Entry): void {
    if (entry.hits !== 1 || !once.delete(key)) return;
    wanted.set(key, entry);
  }

  function keepDenial(key: string, entry: Entry, zone: Uint8Array | null): void {
    denials.set(key, entry);
    // What is too large for the whole is not taken.
    if (zone === null || denials.peek(key) !== entry) return;
    const member = shares.add(zoneKey(zone), key, octetsOf(entry, key));
    entry.member = member;
    for (let oldest = shares.excess(member); oldest !== undefined; oldest = shares.excess(member)) {
      const pushed = denials.peek(oldest);
      denials.delete(oldest);
      if (pushed !== undefined) pushedOut(pushed, "share");
    }
  }

  function* flushed(isWanted: (key: string) => boolean): Generator<undefined, number> {
    yield* failures.flush(isWanted);
    let count = 0;
    for (const store of stores)
      for (const found of selected(isWanted, store)) {
        if (found === undefined) yield undefined;
        else if (store.delete(found.key)) {
          count++;
          left[kindOf(found.entry)].flushed++;
        }
      }
    return count;
  }

  return {
    failures,
    findAnswer,
    find(key, nowMs, staleMs) {
      const answer = findAnswer(key, nowMs, staleMs);
      const isFresh = answer !== undefined && nowMs < answer.expiresAtMs;
      const denial = isFresh ? undefined : findDenial(key, nowMs, staleMs);
      const fresh =
        denial !== undefined && nowMs < denial.expiresAtMs ? denial : isFresh ? answer : undefined;
      if (fresh === undefined) {
        misses++;
        return answer ?? denial;
      }
      hits++;
      fresh.hits++;
      if (isFresh) promote(key.exact, fresh);
      return fresh;
    },
    store(key, { message, wire, server }, scrubbed, seconds, nowMs) {
      failures.forget(key.exact);
      callMs = nowMs;
      if (seconds <= 0) return undefined;
      const denial = scrubbed.kind === "nxdomain" || scrubbed.kind === "nodata";
      const entry: Entry = {
        wire: scrubbed.untouched ? wire : reencode(message, scrubbed),
        storedAtMs: nowMs,
        expiresAtMs: nowMs + seconds * 1000,
        denialSeconds: denial ? seconds : -1,
        server,
        member: null,
        hits: 0,
        earlyForMs: 0,
      };
      insertions++;
      if (denial) {
        drop(once, key.exact);
        drop(wanted, key.exact);
        // With a CNAME before it, NXDOMAIN is about the end of the chain: the name itself exists.
        const ofName = scrubbed.kind === "nxdomain" && scrubbed.links === 0;
        keepDenial(ofName ? key.name : key.exact, entry, scrubbed.soa?.owner ?? null);
        return entry;
      }
      if (denials.size > 0) {
        drop(denials, key.exact);
        drop(denials, key.name);
      }
      keepAnswer(key.exact, entry);
      return entry;
    },
    restore(key, kept, zone) {
      if (stores.some((store) => store.peek(key) !== undefined)) return;
      const entry = { ...kept, member: null, earlyForMs: 0 };
      insertions++;
      if (kept.denialSeconds >= 0) keepDenial(key, entry, zone);
      else keepAnswer(key, entry);
    },
    flush: (selection) => flushed(selector(selection)),
    flushGroups: (isWanted) => flushed((key) => isWanted(groupIdOf(key))),
    *list(selection) {
      for (const store of stores) yield* selected(selector(selection), store);
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

const kindOf = ({ denialSeconds }: Entry): "success" | "denial" =>
  denialSeconds < 0 ? "success" : "denial";

/** What an entry counts in the budget. */
function octetsOf(entry: Entry, key: string): number {
  const overhead = entry.denialSeconds < 0 ? ANSWER_OVERHEAD_OCTETS : DENIAL_OVERHEAD_OCTETS;
  return key.length + entry.wire.length + overhead;
}

/** undefined after every SLICE entries looked at. What comes or goes meanwhile disturbs nothing. */
function* selected(
  isWanted: (key: string) => boolean,
  store: Store,
): Generator<{ key: string; entry: Entry } | undefined, void> {
  // The order of the store changes with every hit, so its own iterators cannot be paused, and a copy of
  // a million keys takes 0.4 s. The Map below it has a fixed order.
  const { keyMap } = LRUCache.unsafeExposeInternals(store);
  let left = keyMap.size; // new ones come at the end: not more than there were
  for (const key of keyMap.keys()) {
    if (left-- === 0) return;
    if (left % SLICE === 0) yield undefined;
    const entry = isWanted(key) ? store.peek(key) : undefined;
    if (entry !== undefined) yield { key, entry };
  }
}

/** The message with only the records that were kept. */
function reencode(message: ParsedMessage, { answers, authority }: Scrubbed): Uint8Array {
  const { flags, question } = message;
  return encodeMessage(
    { id: 0, flags, question, answers, authority, additional: [] },
    { compress: true, opt: null },
  );
}
