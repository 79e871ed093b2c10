/** What is said about names before any server is asked. The configuration layer maps its keys to these records. */
import type { Network } from "../../address.ts";
import type { Elsewhere } from "../../dns/settings.ts";
import type { Client } from "../../ports.ts";
import type { Rule } from "../rules.ts";
import type { LocalRecord } from "./records.ts";
import type { SynthDomain } from "./synth.ts";

/** Rules and records that belong together: those of all clients, or of one view. */
export type LayerSettings = {
  readonly rules: readonly Rule[];
  readonly records: readonly LocalRecord[];
};

/** Clients with rules and records of their own, in front of those of all. */
export type ViewSettings = LayerSettings & {
  readonly name: string;
  readonly clients: readonly Network[];
};

/**
 * Reverse zones of private addresses (RFC 6303), with `specialNames` also home.arpa (RFC 8375), that
 * nothing else is known of. `forward`: asked like any other name. `local`: answered here. A group: asked of
 * these servers, which are private themselves.
 */
export type PrivateReverse = "forward" | "local" | { readonly group: string };

export type LocalSettings = LayerSettings & {
  readonly views: readonly ViewSettings[];
  /** RFC 6761, RFC 7686, RFC 9462: localhost, invalid, onion, resolver.arpa. */
  readonly specialNames: boolean;
  readonly privateReverse: PrivateReverse;
  /**
   * Is the name that of an address that DNS64 makes, and is the client one that gets it translated?
   * undefined: it is none of these. Such names are not denied as private. null: DNS64 is off.
   */
  readonly isTranslated: ((qname: Uint8Array, client: Client) => boolean | undefined) | null;
  /** A and AAAA of names of one label are not forwarded. */
  readonly domainNeeded: boolean;
  /** `*.com.<one of these>` is not forwarded, and their misses are counted. Wire names in lower case. */
  readonly searchDomains: readonly Uint8Array[];
  /** Our own domains, which the catalog answers for; and names below them that others are asked for. */
  readonly domains: readonly Uint8Array[];
  readonly elsewhere: readonly Elsewhere[];
  /** The same for clients of a view alone, by its name. */
  readonly viewElsewhere: ReadonlyMap<string, readonly Elsewhere[]>;
  /** Of records of our own that say nothing else (dnsmasq `local-ttl`). */
  readonly ttlSeconds: number;
  readonly blocklistAnswer: "nxdomain" | "null" | "refused";
  /** Addresses in the client's network come alone, if a name has any there. Networks of this host's interfaces. */
  readonly localise: readonly Network[] | null;
  readonly synthDomains: readonly SynthDomain[];
  /** What MX records of names that have an address here and no MX lead to: a wire name, or the name itself. null: there are none. */
  readonly hostMx: "self" | Uint8Array | null;
};

/** Nothing is known of any name. */
export const localDefaults: LocalSettings = {
  rules: [],
  records: [],
  views: [],
  specialNames: true,
  privateReverse: "local",
  isTranslated: null,
  domainNeeded: false,
  searchDomains: [],
  domains: [],
  elsewhere: [],
  viewElsewhere: new Map(),
  ttlSeconds: 0,
  blocklistAnswer: "nxdomain",
  localise: null,
  synthDomains: [],
  hostMx: null,
};
