/**
 * Where a host name as address leads: to another name of ours (answered from the catalog, a bounded
 * number of times) or to a foreign one (asked of the upstreams). Consul 1.10 `resolveCNAME`.
 */
import type { Forward, ForwardAnswer } from "./answer.ts";
import { isStaleAnswer } from "./edns.ts";
import type { KeptTargets, StaleTargets } from "./kept-targets.ts";
import { equalNames, formatName, nameKey, suffixOffset } from "./name.ts";
import type { Answer, Reading } from "./reading.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "./rr.ts";
import type { Elsewhere, Prepared, Zone } from "./settings.ts";
import type { Trace } from "./trace.ts";
import type { Cancel, Client, Timers } from "../ports.ts";

/** Lookups inside our domains for one question (Consul `maxRecursionLevelDefault`). */
export const CHAIN_LEVELS = 3;
/** Foreign names asked for one question; further ones stay bare. Bounds what one packet can cause. */
const MAX_FOREIGN_NAMES = 20;

/** The records behind host names outside our domains, for one question. */
export type ForeignNames = {
  /** Records of the chain, in order; empty if there is none or while it is under way. */
  records(name: Uint8Array): readonly Rr[];
  /** Names whose answer has not come yet. */
  readonly pendingCount: number;
  /** Seconds for which all that was used may be used again; Infinity if nothing was. */
  readonly freshSeconds: number;
  /** TTL for records of ours beside those used: no client may keep an address longer than we do. */
  lend(ttl: number): number;
  /** The longest TTL that was lent. */
  readonly lentSeconds: number;
  /** What was used is the last known answer of an upstream that gives none now. */
  readonly isStale: boolean;
};

type Chain = { records: readonly Rr[]; freshSeconds: number; isStale: boolean };
const UNKNOWN: Chain = { records: [], freshSeconds: 0, isStale: false };

export type ForeignOptions = {
  forward: Forward;
  client: Client;
  /** null: upstreams' answers are passed on as they come, and nothing of them is kept. */
  kept: KeptTargets | null;
  /** null: what is kept ends with its TTL. */
  stale: StaleTargets | null;
  clock: () => number;
  timers: Timers;
  /** As of ForwardRequest: what was asked before, for the same client. */
  sinceMs?: number | undefined;
  /** Runs when the last answer of those under way has come, never while `records` is running. */
  whenAll: () => void;
};

/** Asks each name once. A class because one is made per question, and mostly nothing is asked of it. */
export class UpstreamNames implements ForeignNames {
  readonly #options: ForeignOptions;
  #chains: Map<string, Chain> | undefined;
  #leastTtl = Infinity;
  /** All names of one question have the time of one. */
  #sinceMs: number | undefined;
  pendingCount = 0;
  freshSeconds = Infinity;
  lentSeconds = 0;
  isStale = false;

  constructor(options: ForeignOptions) {
    this.#options = options;
    this.#sinceMs = options.sinceMs;
  }

  records(name: Uint8Array): readonly Rr[] {
    this.#chains ??= new Map();
    const key = nameKey(name);
    const isRoom = this.#chains.size < MAX_FOREIGN_NAMES;
    const chain = this.#chains.get(key) ?? (isRoom ? this.#ask(this.#chains, key, name) : UNKNOWN);
    this.freshSeconds = Math.min(this.freshSeconds, chain.freshSeconds);
    for (const { ttl } of chain.records) this.#leastTtl = Math.min(this.#leastTtl, ttl);
    this.isStale ||= chain.isStale;
    return chain.records;
  }

  lend(ttl: number): number {
    if (this.#options.kept === null) return ttl;
    const lent = Math.min(ttl, this.#leastTtl);
    if (this.#leastTtl !== Infinity) this.lentSeconds = Math.max(this.lentSeconds, lent);
    return lent;
  }

  #ask(chains: Map<string, Chain>, key: string, name: Uint8Array): Chain {
    const { forward, client, whenAll, kept, stale: limits, clock, timers } = this.#options;
    const last = limits === null ? undefined : kept?.find(key, clock(), limits);
    const freshSeconds = limits?.ttlSeconds ?? 0;
    const stale = last && { records: last, freshSeconds, isStale: true };
    let isAsking = true;
    let isSettled = false;
    let stopWaiting: Cancel | undefined;
    const settle = (chain: Chain): void => {
      if (isSettled) return;
      isSettled = true;
      stopWaiting?.();
      chains.set(key, chain);
      this.pendingCount--;
      if (isAsking || this.pendingCount > 0) return;
      // The next round uses what has come, not what was missing.
      this.freshSeconds = Infinity;
      this.#leastTtl = Infinity;
      this.lentSeconds = 0;
      this.isStale = false;
      whenAll();
    };
    chains.set(key, UNKNOWN);
    this.pendingCount++;
    const question = addressQuestion(name, client);
    question.sinceMs = this.#sinceMs;
    forward(question, (answer) => {
      this.#sinceMs ??= question.sinceMs;
      const isStale = isStaleAnswer(answer);
      // What has outlived its TTL must not begin a new life here.
      if (kept !== null && !isStale)
        noteAnswer(kept, key, { answer, nowMs: clock(), maxSeconds: limits?.maxSeconds ?? 0 });
      if (!isFinal(answer) && stale !== undefined) settle(stale);
      else if (!answer.ok) settle(UNKNOWN);
      else {
        const freshSeconds = answer.tc ? 0 : answer.cacheableSeconds;
        settle({ records: answer.answers, freshSeconds, isStale });
      }
    });
    isAsking = false;
    if (!isSettled && stale !== undefined)
      stopWaiting = timers.after(limits?.waitMs ?? 0, () => settle(stale));
    return chains.get(key)!;
  }
}

/** Does it say anything of the name? A failure is one of the server. */
function isFinal(answer: ForwardAnswer): answer is Extract<ForwardAnswer, { ok: true }> {
  return answer.ok && (answer.rcode === RCODE.NOERROR || answer.rcode === RCODE.NXDOMAIN);
}

function noteAnswer(
  kept: KeptTargets,
  key: string,
  { answer, nowMs, maxSeconds }: { answer: ForwardAnswer; nowMs: number; maxSeconds: number },
): void {
  if (!isFinal(answer) || answer.tc) return;
  const hasAddress = answer.answers.some(({ type }) => type === TYPE.A || type === TYPE.AAAA);
  // Zones have limits of their own.
  const seconds = Math.min(maxSeconds, answer.staleSeconds ?? Infinity);
  if (hasAddress && seconds > 0) kept.keep(key, answer.answers, nowMs, seconds);
  else kept.forget(key);
}

/** Type A, whatever was asked of us, over UDP and without EDNS. */
function addressQuestion(name: Uint8Array, client: Client): Parameters<Forward>[0] {
  return {
    qname: name,
    qtype: TYPE.A,
    qclass: CLASS_IN,
    rd: true,
    cd: false,
    ad: false,
    do: false,
    edns: null,
    client: { ...client, transport: "udp" },
  };
}

/** No upstreams configured: nothing is known of foreign names, and that is no passing state. */
export const noForeignNames: ForeignNames = {
  records: () => [],
  pendingCount: 0,
  freshSeconds: Infinity,
  lend: (ttl) => ttl,
  lentSeconds: 0,
  isStale: false,
};

/** The zone of ours that `name` lies in, the longer one if in both. */
export function zoneOf(name: Uint8Array, { zone, altZone, elsewhere }: ZonePair): Zone | undefined {
  const found = longestZone(name, zone, altZone);
  if (found === undefined || elsewhere === undefined) return found;
  return isElsewhere(name, elsewhere) ? undefined : found;
}

/** Is the name, though in one of our domains, one that others are asked for? */
export function isElsewhere(name: Uint8Array, elsewhere: readonly Elsewhere[]): boolean {
  return elsewhere.some((each) => suffixOffset(name, each.name) >= (each.belowOnly ? 1 : 0));
}

function longestZone(name: Uint8Array, zone: Zone, altZone: Zone | null): Zone | undefined {
  const inZone = suffixOffset(name, zone.wire) >= 0;
  if (altZone === null) return inZone ? zone : undefined;
  const inAlt = suffixOffset(name, altZone.wire) >= 0;
  if (!inAlt) return inZone ? zone : undefined;
  return inZone && zone.wire.length > altZone.wire.length ? zone : altZone;
}

type ZonePair = {
  zone: Zone;
  altZone: Zone | null;
  elsewhere?: readonly Elsewhere[] | undefined;
};

/** Records that follow a CNAME to `name`; empty if it leads nowhere, or too deep. */
export function chainBehind(reading: Reading, name: Uint8Array, levels: number): readonly Rr[] {
  const { settings } = reading;
  const zone = zoneOf(name, settings);
  if (reading.trace !== undefined) noteLink(reading.trace, name, { zone, levels, settings });
  if (zone === undefined) {
    if (!settings.recursorsConfigured) return [];
    const records = reading.foreign.records(name);
    const inward = settings.forwardCache ? inwardChain(name, records, settings) : undefined;
    if (inward === undefined) return records;
    return [...inward.records, ...chainBehind(reading, inward.target, levels)];
  }
  if (levels < 1) return [];
  return reading.ask({ qname: name, qtype: TYPE.ANY, edns: false, zone, levels: levels - 1 })
    .answers;
}

function noteLink(
  trace: Trace,
  name: Uint8Array,
  { zone, levels, settings }: { zone: Zone | undefined; levels: number; settings: Prepared },
): void {
  const target = formatName(name);
  const inside = levels < 1 ? "too deep" : "ours";
  const outside = settings.recursorsConfigured ? "foreign" : "no recursors";
  const leads = zone === undefined ? outside : inside;
  // Many instances may stand at one host name.
  if (!trace.notes.some((note) => note.step === "cname" && note.target === target))
    trace.add({ step: "cname", target, leads });
}

/** Records of an upstream up to where its chain enters one of our domains, and the name of ours. */
export type Inward = { records: Rr[]; target: Uint8Array };

/** The upstream's answer up to that name, then what the catalog says of it. */
export function endedHere(
  answer: Extract<ForwardAnswer, { ok: true }>,
  links: readonly Rr[],
  { rcode, answers, authority, additional }: Answer,
): ForwardAnswer {
  return {
    ...answer,
    rcode,
    ad: false,
    answers: [...links, ...answers],
    authority,
    additional,
    cacheableSeconds: 0,
    constant: false,
    spentMs: 0,
  };
}

/**
 * undefined if the chain from `qname` stays outside. What an upstream says about a name of ours is not
 * used, or it could answer for the catalog (so the cache poisonings known as MaginotDNS).
 */
export function inwardChain(
  qname: Uint8Array,
  answers: readonly Rr[],
  zones: ZonePair,
): Inward | undefined {
  const leadsIn = ({ type, data }: Rr): boolean =>
    type === TYPE.CNAME && zoneOf(data, zones) !== undefined;
  if (!answers.some(leadsIn)) return undefined;
  const owners = [qname];
  for (const owner of owners) {
    const link = answers.find((rr) => rr.type === TYPE.CNAME && equalNames(rr.owner, owner));
    // A chain has at most as many links as there are records: beyond, it is a loop.
    if (link === undefined || owners.length > answers.length) return undefined;
    if (leadsIn(link)) {
      const isOnChain = (rr: Rr): boolean => owners.some((name) => equalNames(rr.owner, name));
      const records = answers.filter((rr) => rr.type === TYPE.DNAME || isOnChain(rr));
      return { records, target: link.data };
    }
    owners.push(link.data);
  }
  return undefined;
}
