/**
 * Where a host name as address leads: to another name of ours (answered from the catalog, a bounded
 * number of times) or to a foreign one (asked of the upstreams). Consul 1.10 `resolveCNAME`.
 */
import type { Forward } from "./answer.ts";
import { equalNames, nameKey, suffixOffset } from "./name.ts";
import type { Reading } from "./reading.ts";
import { CLASS_IN, TYPE, type Rr } from "./rr.ts";
import type { Zone } from "./settings.ts";
import type { Client } from "../ports.ts";

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
};

type Chain = { records: readonly Rr[]; freshSeconds: number };
const UNKNOWN: Chain = { records: [], freshSeconds: 0 };

export type ForeignOptions = {
  forward: Forward;
  client: Client;
  /** Runs when the last answer of those under way has come, never while `records` is running. */
  whenAll: () => void;
};

/** Asks each name once. A class because one is made per question, and mostly nothing is asked of it. */
export class UpstreamNames implements ForeignNames {
  readonly #options: ForeignOptions;
  #chains: Map<string, Chain> | undefined;
  pendingCount = 0;
  freshSeconds = Infinity;

  constructor(options: ForeignOptions) {
    this.#options = options;
  }

  records(name: Uint8Array): readonly Rr[] {
    this.#chains ??= new Map();
    const key = nameKey(name);
    const isRoom = this.#chains.size < MAX_FOREIGN_NAMES;
    const chain = this.#chains.get(key) ?? (isRoom ? this.#ask(this.#chains, key, name) : UNKNOWN);
    this.freshSeconds = Math.min(this.freshSeconds, chain.freshSeconds);
    return chain.records;
  }

  #ask(chains: Map<string, Chain>, key: string, name: Uint8Array): Chain {
    const { forward, client, whenAll } = this.#options;
    let isAsking = true;
    chains.set(key, UNKNOWN);
    this.pendingCount++;
    forward(addressQuestion(name, client), (answer) => {
      if (answer.ok) {
        const freshSeconds = answer.tc ? 0 : answer.cacheableSeconds;
        chains.set(key, { records: answer.answers, freshSeconds });
      }
      this.pendingCount--;
      if (isAsking || this.pendingCount > 0) return;
      // The next round uses what has come, not what was missing.
      this.freshSeconds = Infinity;
      whenAll();
    });
    isAsking = false;
    return chains.get(key)!;
  }
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
};

/** The zone of ours that `name` lies in, the longer one if in both. */
export function zoneOf(name: Uint8Array, { zone, altZone }: ZonePair): Zone | undefined {
  const inZone = suffixOffset(name, zone.wire) >= 0;
  if (altZone === null) return inZone ? zone : undefined;
  const inAlt = suffixOffset(name, altZone.wire) >= 0;
  if (!inAlt) return inZone ? zone : undefined;
  return inZone && zone.wire.length > altZone.wire.length ? zone : altZone;
}

type ZonePair = { zone: Zone; altZone: Zone | null };

/** Records that follow a CNAME to `name`; empty if it leads nowhere, or too deep. */
export function chainBehind(reading: Reading, name: Uint8Array, levels: number): readonly Rr[] {
  const { settings } = reading;
  const zone = zoneOf(name, settings);
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

/** Records of an upstream up to where its chain enters one of our domains, and the name of ours. */
export type Inward = { records: Rr[]; target: Uint8Array };

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
