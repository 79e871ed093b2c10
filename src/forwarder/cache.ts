/**
 * Answers by question, on two lru-caches with one byte budget: denials have a share of their own, so
 * that a flood of names that do not exist cannot push out the names that do. Entries are whole messages
 * as octets; time comes from the caller, and a TTL is counted from the moment of storing.
 */
import { LRUCache } from "lru-cache";
import { encodeMessage } from "../dns/encode.ts";
import { readUint32, type ParsedMessage } from "../dns/message.ts";
import { TYPE, type Rr } from "../dns/rr.ts";
import type { Scrubbed } from "./scrub.ts";
import type { GroupSettings } from "./settings.ts";

export type Entry = {
  /** Scrubbed message without OPT of ours to keep: header flags, question, sections. */
  readonly wire: Uint8Array;
  readonly storedAtMs: number;
  readonly expiresAtMs: number;
  /** Lifetime of a denial, also the TTL of its SOA as shown (RFC 2308 5); -1 for answers. */
  readonly denialSeconds: number;
  /** Label of the server that said so. */
  readonly server: string;
  /** Times it was found. */
  hits: number;
};

/** Entries by name (null: all), with `subtree` also below it, and by type (null: all). */
export type Selection = { name: Uint8Array | null; subtree: boolean; type: number | null };

/** Why entries left. `capacity`: the budget; `replaced`: a newer answer; `expired`; `flushed`. */
export type EvictionReason = "capacity" | "replaced" | "expired" | "flushed";

export type CacheStats = {
  answers: { entries: number; octets: number };
  denials: { entries: number; octets: number };
  capacityOctets: number;
  hits: number;
  misses: number;
  failureHits: number;
  insertions: number;
  evictions: Record<EvictionReason, number>;
};

/** How long answers of a group may be kept. */
export type TtlLimits = Pick<
  GroupSettings,
  "minTtlSeconds" | "maxTtlSeconds" | "negativeTtlCapSeconds"
>;

/** Part of the budget that denials may fill. */
const DENIAL_SHARE = 0.25;
/**
 * What an entry costs beside key and message. Measured: 310 octets of live heap (Bun 1.4.5, 100,000
 * entries); the rest is for what the collector has not yet returned.
 */
const ENTRY_OVERHEAD_OCTETS = 400;
/** Remembered failures; the least recently used is forgotten. */
const MAX_FAILURES = 4096;
/** RFC 9520 3.2 wants failures remembered for 1 s to 5 min, growing when they persist. */
const FAILURE_SECONDS = [1, 2, 4, 5] as const;
/** A failure this long after the last one ended counts as the first again. */
const FAILURE_FORGET_MS = 30_000;

/** A question as a key. A class because most questions never need the second of its texts. */
export class Key {
  /** Folded QNAME, QTYPE, QCLASS, flags, group. */
  readonly exact: string;
  #name: string | undefined;

  constructor(exact: string) {
    this.exact = exact;
  }

  /** The same with QTYPE 0: NXDOMAIN is about the name, not the type (RFC 2308 5, RFC 8020 2). */
  get name(): string {
    const end = this.exact.length - KEY_TAIL;
    return (this.#name ??= `${this.exact.slice(0, end)}\0\0${this.exact.slice(end + 2)}`);
  }
}

/** Octets of a key behind the name. */
const KEY_TAIL = 7;

/** Entries that a listing or a flush looks at in one go. */
const SLICE = 256;

/** One octet, one character: every octet has a character of its own. */
const text = new TextDecoder("latin1");

export type KeyParts = {
  qname: Uint8Array;
  qtype: number;
  qclass: number;
  do: boolean;
  cd: boolean;
};

/**
 * Answers with DO carry proofs, answers with CD were not checked (RFC 4035 3.2.2): neither is given to
 * clients that did not ask so, and `groupId` keeps apart what different servers say (16 bits of it).
 */
export function cacheKey(
  { qname, qtype, qclass, do: dnssecOk, cd }: KeyParts,
  groupId: number,
): Key {
  const octets = new Uint8Array(qname.length + KEY_TAIL);
  foldInto(octets, qname);
  const tail = qname.length;
  octets[tail] = qtype >> 8;
  octets[tail + 1] = qtype;
  octets[tail + 2] = qclass >> 8;
  octets[tail + 3] = qclass;
  octets[tail + 4] = (dnssecOk ? 1 : 0) | (cd ? 2 : 0);
  octets[tail + 5] = groupId >> 8;
  octets[tail + 6] = groupId;
  return new Key(text.decode(octets));
}

function foldInto(octets: Uint8Array, name: Uint8Array): void {
  for (let i = 0; i < name.length; i++) {
    const octet = name[i]!;
    octets[i] = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
  }
}

/** Types that no cache may answer from: meta types (RFC 6895 3.1: 128 to 255, ANY among them), 0 and OPT. */
export function isCacheableType(qtype: number): boolean {
  return qtype !== 0 && qtype !== TYPE.OPT && (qtype < 128 || qtype > 255);
}

/** A TTL with the top bit set is 0 (RFC 2181 8); longer than the limit is cut. */
export function usableTtl(ttl: number, maxTtlSeconds: number): number {
  return ttl > 0x7fffffff ? 0 : Math.min(ttl, maxTtlSeconds);
}

/**
 * Seconds for which a scrubbed reply may be reused; 0: not at all. Answers and the links of a chain live
 * as long as the shortest TTL; a denial as long as the smaller of the SOA's TTL and its MINIMUM
 * (RFC 2308 5), and not at all without an SOA.
 */
export function lifetimeSeconds(scrubbed: Scrubbed, limits: TtlLimits): number {
  const { kind, answers, authority, soa } = scrubbed;
  if (kind === "broken") return 0;
  let seconds = limits.maxTtlSeconds;
  for (const rr of answers) seconds = Math.min(seconds, usableTtl(rr.ttl, limits.maxTtlSeconds));
  if (kind === "answer" || kind === "partial") {
    for (const rr of authority)
      seconds = Math.min(seconds, usableTtl(rr.ttl, limits.maxTtlSeconds));
    return seconds;
  }
  if (soa === null) return 0;
  for (const rr of authority)
    if (rr !== soa) seconds = Math.min(seconds, usableTtl(rr.ttl, limits.maxTtlSeconds));
  return Math.min(seconds, denialSeconds(soa, limits));
}

/** TTL of a denial by its SOA (RFC 2308 5), MINIMUM being the last 32 bits of the data. */
export function denialSeconds(soa: Rr, limits: TtlLimits): number {
  const { maxTtlSeconds, negativeTtlCapSeconds } = limits;
  return Math.min(
    usableTtl(soa.ttl, maxTtlSeconds),
    usableTtl(readUint32(soa.data, soa.data.length - 4), maxTtlSeconds),
    negativeTtlCapSeconds,
  );
}

export type Cache = {
  /** The entry that answers this question now; expired ones are dropped on the way. */
  find(key: Key, nowMs: number): Entry | undefined;
  /** True while the last attempt to resolve this question failed too recently to try again. */
  isFailing(key: Key, nowMs: number): boolean;
  /** `wire`: the message as received; the cache's from then on. */
  store(
    key: Key,
    received: { message: ParsedMessage; wire: Uint8Array; server: string },
    scrubbed: Scrubbed,
    seconds: number,
    nowMs: number,
  ): void;
  /** `growing`: each failure in a row is remembered longer. */
  storeFailure(key: Key, growing: boolean, nowMs: number): void;
  forgetFailures(): void;
  /**
   * Drops what is selected, as far as it is driven: undefined after every SLICE entries looked at, where
   * the caller may pause, in the end how many entries went.
   */
  flush(wanted: Selection): Generator<undefined, number>;
  /** What is selected, one by one, with the same pauses. Counts no hits and changes no order. */
  list(wanted: Selection): Iterable<{ key: string; entry: Entry } | undefined>;
  clear(): void;
  stats(): CacheStats;
};

type Failure = { untilMs: number; step: number };

export function createCache({ cacheOctets }: { cacheOctets: number }): Cache {
  const evictions = { capacity: 0, replaced: 0, expired: 0, flushed: 0 };
  let hits = 0;
  let misses = 0;
  let failureHits = 0;
  let insertions = 0;

  const createStore = (octets: number): LRUCache<string, Entry> =>
    new LRUCache<string, Entry>({
      maxSize: Math.max(1, Math.floor(octets)),
      sizeCalculation: (entry, key) => key.length + entry.wire.length + ENTRY_OVERHEAD_OCTETS,
      dispose: (_entry, _key, reason) => {
        if (reason === "evict") evictions.capacity++;
        else if (reason === "set") evictions.replaced++;
      },
    });
  const answers = createStore(cacheOctets * (1 - DENIAL_SHARE));
  const denials = createStore(cacheOctets * DENIAL_SHARE);
  const failures = new LRUCache<string, Failure>({ max: MAX_FAILURES });

  function live(store: LRUCache<string, Entry>, key: string, nowMs: number): Entry | undefined {
    const entry = store.get(key);
    if (entry === undefined || nowMs < entry.expiresAtMs) return entry;
    store.delete(key);
    evictions.expired++;
    return undefined;
  }

  function drop(store: LRUCache<string, Entry>, key: string): void {
    if (store.delete(key)) evictions.replaced++;
  }

  return {
    find(key, nowMs) {
      let entry = live(answers, key.exact, nowMs);
      if (entry === undefined && denials.size > 0)
        entry = live(denials, key.exact, nowMs) ?? live(denials, key.name, nowMs);
      if (entry === undefined) misses++;
      else {
        hits++;
        entry.hits++;
      }
      return entry;
    },
    isFailing(key, nowMs) {
      if (failures.size === 0) return false;
      const failure = failures.get(key.exact);
      if (failure === undefined || nowMs >= failure.untilMs) return false;
      failureHits++;
      return true;
    },
    store(key, { message, wire, server }, scrubbed, seconds, nowMs) {
      if (failures.size > 0) failures.delete(key.exact);
      if (seconds <= 0) return;
      const denial = scrubbed.kind === "nxdomain" || scrubbed.kind === "nodata";
      const entry: Entry = {
        wire: scrubbed.untouched ? wire : reencode(message, scrubbed),
        storedAtMs: nowMs,
        expiresAtMs: nowMs + seconds * 1000,
        denialSeconds: denial ? seconds : -1,
        server,
        hits: 0,
      };
      insertions++;
      if (denial) {
        drop(answers, key.exact);
        // With a CNAME before it, NXDOMAIN is about the end of the chain: the name itself exists.
        const ofName = scrubbed.kind === "nxdomain" && scrubbed.links === 0;
        denials.set(ofName ? key.name : key.exact, entry);
        return;
      }
      if (denials.size > 0) {
        drop(denials, key.exact);
        drop(denials, key.name);
      }
      answers.set(key.exact, entry);
    },
    storeFailure(key, growing, nowMs) {
      const before = failures.get(key.exact);
      const again = before !== undefined && nowMs - before.untilMs < FAILURE_FORGET_MS;
      const step = growing && again ? Math.min(before.step + 1, FAILURE_SECONDS.length - 1) : 0;
      failures.set(key.exact, { untilMs: nowMs + FAILURE_SECONDS[step]! * 1000, step });
    },
    forgetFailures: () => failures.clear(),
    *flush(wanted) {
      let count = 0;
      for (const found of selected(wanted, failures)) {
        if (found === undefined) yield undefined;
        else failures.delete(found.key);
      }
      for (const store of [answers, denials])
        for (const found of selected(wanted, store)) {
          if (found === undefined) yield undefined;
          else if (store.delete(found.key)) {
            count++;
            evictions.flushed++;
          }
        }
      return count;
    },
    *list(wanted) {
      for (const store of [answers, denials]) yield* selected(wanted, store);
    },
    clear() {
      evictions.flushed += answers.size + denials.size;
      answers.clear();
      denials.clear();
      failures.clear();
    },
    stats: () => ({
      answers: { entries: answers.size, octets: answers.calculatedSize },
      denials: { entries: denials.size, octets: denials.calculatedSize },
      capacityOctets: cacheOctets,
      hits,
      misses,
      failureHits,
      insertions,
      evictions: { ...evictions },
    }),
  };
}

/** undefined after every SLICE entries looked at. What comes or goes meanwhile disturbs nothing. */
function* selected<V extends object>(
  wanted: Selection,
  store: LRUCache<string, V>,
): Generator<{ key: string; entry: V } | undefined, void> {
  const isWanted = selector(wanted);
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

/** A denial of the name (type 0) answers every type, so it is selected by each. */
function selector({ name, subtree, type }: Selection): (key: string) => boolean {
  const folded = new Uint8Array(name?.length ?? 0);
  if (name !== null) foldInto(folded, name);
  const wanted = text.decode(folded);
  const isNamed = subtree ? isBelow : isExactly;
  return (key) => {
    if (name !== null && !isNamed(key, wanted)) return false;
    const own = keyType(key);
    return type === null || own === type || own === 0;
  };
}

function keyType(key: string): number {
  const at = key.length - KEY_TAIL;
  return (key.charCodeAt(at) << 8) | key.charCodeAt(at + 1);
}

/** The parts of a key; `type` 0 is a denial of the name. */
export function parseKey(key: string): {
  name: Uint8Array;
  type: number;
  do: boolean;
  cd: boolean;
} {
  const end = key.length - KEY_TAIL;
  const name = new Uint8Array(end);
  for (let i = 0; i < end; i++) name[i] = key.charCodeAt(i);
  const flags = key.charCodeAt(end + 4);
  return { name, type: keyType(key), do: (flags & 1) !== 0, cd: (flags & 2) !== 0 };
}

function isExactly(key: string, name: string): boolean {
  return key.length === name.length + KEY_TAIL && key.startsWith(name);
}

function isBelow(key: string, name: string): boolean {
  const end = key.length - KEY_TAIL;
  if (key.slice(0, end).endsWith(name) === false) return false;
  const start = end - name.length;
  let at = 0;
  while (at < start) at += key.charCodeAt(at) + 1;
  return at === start;
}

/** The message with only the records that were kept. */
function reencode(message: ParsedMessage, { answers, authority }: Scrubbed): Uint8Array {
  const { flags, question } = message;
  return encodeMessage(
    { id: 0, flags, question, answers, authority, additional: [] },
    { compress: true, opt: null },
  );
}
