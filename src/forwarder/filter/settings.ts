/** What is changed in answers of upstream servers on their way to clients, and which questions are not asked. */
import type { Network } from "../../address.ts";
import type { Dns64Settings } from "./dns64.ts";

/** Addresses from `first` to `last` (numbers of 32 bits) get those bits of `to` that are set in `mask`. */
export type Alias = {
  readonly first: number;
  readonly last: number;
  readonly to: number;
  readonly mask: number;
};

/** Protection against rebinding: names of others that lead to addresses inside. */
export type RebindSettings = {
  /** 127.0.0.0/8, 0.0.0.0/8, ::1 and :: are let through: some blocklists answer so. */
  readonly localhostOk: boolean;
  /** Names at or below these (in lower case) may lead inside; the root stands for all names of one label. */
  readonly domainsOk: readonly Uint8Array[];
  /** The catalog's own domains: a chain of names that ends there leads inside. */
  readonly ownDomains: readonly Uint8Array[];
};

/** All filters, in the order in which they are applied. */
export type FilterSettings = {
  /** ANY over UDP is answered with one HINFO record (RFC 8482), without asking anybody. */
  readonly minimalAny: boolean;
  /** SOA, SRV, and ANY for names with an underscore are answered without data (dnsmasq `filterwin2k`). */
  readonly win2k: boolean;
  /** An answer with one of these addresses becomes NXDOMAIN. */
  readonly bogusNxdomain: readonly Network[];
  /** The first that fits an IPv4 address rewrites it. */
  readonly alias: readonly Alias[];
  readonly rebind: RebindSettings | null;
  /** Records of these types are left out; ANY: of answers to ANY, all but A, AAAA, MX and CNAME. */
  readonly types: readonly number[];
  readonly dns64: Dns64Settings | null;
};

/** Nothing is changed, but for ANY. */
export const filterDefaults: FilterSettings = {
  minimalAny: true,
  win2k: false,
  bogusNxdomain: [],
  alias: [],
  rebind: null,
  types: [],
  dns64: null,
};

/** How often each filter has changed something; counts since the start. */
export type FilterCounts = {
  minimalAny: number;
  win2k: number;
  bogusNxdomain: number;
  alias: number;
  rebind: number;
  types: number;
  dns64: number;
};

/** Counts that start at zero. */
export function createFilterCounts(): FilterCounts {
  return { minimalAny: 0, win2k: 0, bogusNxdomain: 0, alias: 0, rebind: 0, types: 0, dns64: 0 };
}
