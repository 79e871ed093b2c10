/**
 * Where a host name as address leads: to another name of ours (answered from the catalog, a bounded
 * number of times) or to a foreign one (asked of the upstreams). Consul 1.10 `resolveCNAME`.
 */
import type { Forward } from "./answer.ts";
import { nameKey, suffixOffset } from "./name.ts";
import type { Reading } from "./reading.ts";
import { CLASS_IN, TYPE, type Rr } from "./rr.ts";
import type { Zone } from "./settings.ts";
import type { Client } from "../ports.ts";

/** Lookups inside our domains for one question (Consul `maxRecursionLevelDefault`). */
export const CHAIN_LEVELS = 3;
/** Foreign names asked for one question; further ones stay bare. Bounds what one packet can cause. */
export const MAX_FOREIGN_NAMES = 20;

/** The records behind host names outside our domains. */
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

/**
 * Asks each name once. `whenAll` runs when the last answer of those under way has come, never while
 * `records` is running.
 */
export function createForeignNames(
  forward: Forward,
  client: Client,
  whenAll: () => void,
): ForeignNames {
  const chains = new Map<string, Chain>();
  let pendingCount = 0;
  let freshSeconds = Infinity;

  function ask(name: Uint8Array): Chain {
    let answered: Chain | undefined;
    let isAsking = true;
    const key = nameKey(name);
    forward(addressQuestion(name, client), (answer) => {
      const chain: Chain = answer.ok
        ? { records: answer.answers, freshSeconds: answer.tc ? 0 : answer.cacheableSeconds }
        : UNKNOWN;
      chains.set(key, chain);
      answered = chain;
      if (isAsking) return;
      pendingCount--;
      if (pendingCount === 0) whenAll();
    });
    isAsking = false;
    if (answered !== undefined) return answered;
    pendingCount++;
    chains.set(key, UNKNOWN);
    return UNKNOWN;
  }

  return {
    records(name) {
      const held = chains.get(nameKey(name));
      const chain = held ?? (chains.size < MAX_FOREIGN_NAMES ? ask(name) : UNKNOWN);
      freshSeconds = Math.min(freshSeconds, chain.freshSeconds);
      return chain.records;
    },
    get pendingCount() {
      return pendingCount;
    },
    get freshSeconds() {
      return freshSeconds;
    },
  };
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
  const zone = zoneOf(name, reading.settings);
  if (zone === undefined)
    return reading.settings.recursorsConfigured ? reading.foreign.records(name) : [];
  if (levels < 1) return [];
  return reading.ask({ qname: name, qtype: TYPE.ANY, edns: false, zone, levels: levels - 1 })
    .answers;
}
