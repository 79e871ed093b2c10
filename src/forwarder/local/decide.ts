/**
 * What is known of a name before any server is asked, in this order: records and hosts files, the
 * longest rule or entry of a blocklist, special names, private reverse zones, services by their short
 * names, search lists. Views come before what holds for all.
 */
import { covers, parseAddress, unmapped } from "../../address.ts";
import { EDE } from "../../dns/edns.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../../dns/rr.ts";
import type { Client } from "../../ports.ts";
import { createRuleTables, type RuleTable, type RuleTables, type Verdict } from "../rules.ts";
import {
  addressRecords,
  blockedAnswer,
  denial,
  denialRcode,
  denialWith,
  mxRecord,
  ownAnswer,
  type Good,
} from "./answers.ts";
import { createRecordSet, type RecordSet } from "./records.ts";
import { createSearchList, type SearchList } from "./search-list.ts";
import type { LayerSettings, LocalSettings, ViewSettings } from "./settings.ts";
import {
  createPrivateZones,
  isLoopbackReverse,
  LOCALHOST_NAME,
  mayBeSpecial,
  RESOLVER_ARPA,
  specialName,
  type SpecialName,
} from "./special.ts";
import { hashSuffixes, type HashKey } from "./suffix-hash.ts";
import { createSynthSet } from "./synth.ts";

/** Sets of names that are not answered; the octets of the longest entry that the name is at or below, -1 for none. */
export type Blocklist = {
  match(qname: Uint8Array): number;
  readonly path?: string;
};

/** What changes while the settings stay: files. */
export type LocalSources = {
  readonly records: readonly RecordSet[];
  readonly blocklists: readonly Blocklist[];
};

/** Which of them answered, for figures. */
export type Source =
  | "records"
  | "addresses"
  | "local zone"
  | "blocklist"
  | "special name"
  | "private reverse"
  | "search list"
  | "short name"
  | "domain needed";

/** `chain`: a CNAME of our own, to be followed. `general`: the answer is the same for every client. */
export type Decision = { readonly general: boolean } & (
  | {
      readonly kind: "answer";
      readonly source: Source;
      readonly answer: Good;
      /** What of the source it was: a file, or the zone of a rule. */
      readonly by?: string | Uint8Array | undefined;
    }
  | { readonly kind: "chain"; readonly link: Rr }
  /** `isKnown`: the name exists here, though not for what is asked. */
  | { readonly kind: "forward"; readonly group: string; readonly isKnown?: boolean }
);

/** See createDecider. */
export type Decider = {
  /** Class IN only. `short`: where the name leads if nothing is known of it here. */
  decide(qname: Uint8Array, qtype: number, client: Client, short?: Rr): Decision;
  /** Is there data of our own at the name or below it, of whatever type? Then it exists, though servers deny it. */
  exists(qname: Uint8Array, client: Client): boolean;
  /** The name of the view that a client sees; "" for none. */
  viewOf(client: Client): string;
  /** From here on with these files. */
  use(sources: LocalSources): void;
  /** false: of names that do not look special there is nothing to decide. */
  readonly isNeeded: boolean;
  readonly searchList: SearchList | null;
};

type Layer = { readonly rules: RuleTable | null; readonly records: readonly RecordSet[] };
type View = ViewSettings & { readonly layer: Layer };

/** Denials that no option gives a TTL: as long as the forwarder keeps those of others at most. */
const DENIAL_TTL_SECONDS = 300;

/** Puts settings and files together; made anew when the settings change, with `tables` that are prepared. */
export function createDecider(
  settings: LocalSettings,
  sources: LocalSources,
  key: HashKey,
  tables = createRuleTables(key),
): Decider {
  const { ttlSeconds, views: viewSettings, localise, hostMx } = settings;
  const own = createLayer(settings, key, tables);
  let { blocklists } = sources;
  const synth =
    settings.synthDomains.length > 0 ? [createSynthSet(settings.synthDomains, ttlSeconds)] : [];
  const together = ({ records }: LocalSources): Layer => ({
    rules: own.rules,
    records: [...own.records, ...records, ...synth],
  });
  let common = together(sources);
  const views: View[] = viewSettings.map((view) => ({
    ...view,
    layer: createLayer(view, key, tables),
  }));
  const privateZone = createPrivateZones(key, settings.specialNames);
  const searchList =
    settings.searchDomains.length > 0
      ? createSearchList(settings.searchDomains, settings.domains)
      : null;
  const hasRules = common.rules !== null || views.length > 0;

  /** The view of the client: of several that of the longest prefix. */
  function viewOf(client: Client): View | undefined {
    if (views.length === 0) return undefined;
    const parsed = parseAddress(client.address.split("%", 1)[0]!);
    if (parsed === undefined) return undefined;
    const address = unmapped(parsed);
    let best: View | undefined;
    let longest = -1;
    for (const view of views)
      for (const network of view.clients)
        if (network.prefixLength > longest && covers(network, address)) {
          best = view;
          longest = network.prefixLength;
        }
    return best;
  }

  function decide(qname: Uint8Array, qtype: number, client: Client, short?: Rr): Decision {
    const view = viewOf(client);
    const general = view === undefined;
    if (view !== undefined) {
      const found = fromRecords(view.layer.records, qname, qtype, client, false);
      if (found !== undefined) return found;
    }
    const found = fromRecords(common.records, qname, qtype, client, general);
    if (found !== undefined) return found;

    const rule = hasRules
      ? (view?.layer.rules?.find(qname, qtype) ?? common.rules?.find(qname, qtype))
      : undefined;
    const answer = (source: Source, answer: Good, by?: string | Uint8Array): Decision => ({
      kind: "answer",
      source,
      answer,
      by,
      general,
    });
    const hasName = (): boolean => hasLocalName(qname, view);
    if (blocklists.length > 0) {
      let longest = -1;
      let path: string | undefined;
      for (const list of blocklists) {
        const octets = list.match(qname);
        if (octets <= longest) continue;
        longest = octets;
        ({ path } = list);
      }
      if (longest > (rule?.octets ?? -1))
        return answer("blocklist", blocked(qname, qtype, hasName), path);
    }
    if (rule !== undefined && rule.kind !== "forward")
      return answer(
        rule.kind === "addresses" ? "addresses" : "local zone",
        ruleAnswer(rule, qname, { hasName, view }),
        rule.zone,
      );
    const isBare = isSingleLabel(qname);
    // A zone of its own goes before what a name is by itself.
    if (rule === undefined || rule.octets === 0) {
      const special = mayBeSpecial(qname) ? bySpecial(qname, qtype, client, hasName) : undefined;
      if (special !== undefined) return { ...special, general: general && special.general };
    }
    if (short !== undefined && isUnclaimed(rule) && !exists(qname, client)) {
      if (isOfZone(qtype))
        return { kind: "forward", group: rule?.group ?? "", general, isKnown: true };
      return qtype === TYPE.CNAME || qtype === TYPE.ANY
        ? answer("short name", ownAnswer([short], RCODE.NOERROR))
        : { kind: "chain", link: short, general };
    }
    const hasAddress = qtype === TYPE.A || qtype === TYPE.AAAA || qtype === TYPE.ANY;
    if (settings.domainNeeded && isBare && hasAddress)
      return answer("domain needed", denial(qname, denialRcode(hasName()), ttlSeconds));
    if (searchList !== null) {
      const zone = searchList.deniedBy(qname);
      if (zone !== undefined && zone.length - 1 >= (rule?.octets ?? 0)) {
        return answer(
          "search list",
          denial(zone, denialRcode(hasName()), DENIAL_TTL_SECONDS),
          zone,
        );
      }
    }
    return { kind: "forward", group: rule?.group ?? "", general };
  }

  function fromRecords(
    sets: readonly RecordSet[],
    qname: Uint8Array,
    qtype: number,
    client: Client,
    general: boolean,
  ): Decision | undefined {
    if (sets.length === 0) return undefined;
    hashSuffixes(qname, key);
    let found: Rr[] = [];
    let by: string | undefined;
    for (const set of sets) {
      set.find(qname, qtype, found);
      if (found.length > 0) by ??= set.path ?? "forwarder.records";
      // An address has one name: that of the first who gives it one.
      if (qtype === TYPE.PTR && found.length > 0) break;
    }
    if (hostMx !== null && (qtype === TYPE.MX || qtype === TYPE.ANY))
      by = addHostMx(sets, hostMx === "self" ? qname : hostMx, { qname, found }) ?? by;
    if (found.length === 0) return undefined;
    if (qtype !== TYPE.CNAME && qtype !== TYPE.ANY) {
      const link = found.find(({ type }) => type === TYPE.CNAME);
      if (link !== undefined) return { kind: "chain", link, general };
    }
    let isGeneral = general;
    const mayHoldA = qtype === TYPE.A || qtype === TYPE.ANY;
    if (localise !== null && mayHoldA && found.length > 1) {
      found = nearest(found, client);
      isGeneral = false;
    }
    return {
      kind: "answer",
      source: "records",
      answer: ownAnswer(found, RCODE.NOERROR),
      by,
      general: isGeneral,
    };
  }

  /** For a name with addresses and without an MX of its own; gives back what has the addresses (dnsmasq `localmx`, `selfmx`). */
  function addHostMx(
    sets: readonly RecordSet[],
    target: Uint8Array,
    { qname, found }: { qname: Uint8Array; found: Rr[] },
  ): string | undefined {
    if (found.some(({ type }) => type === TYPE.MX || type === TYPE.CNAME)) return undefined;
    const addresses: Rr[] = [];
    for (const set of sets) {
      set.find(qname, TYPE.A, addresses);
      set.find(qname, TYPE.AAAA, addresses);
      if (addresses.length === 0) continue;
      found.push(mxRecord(qname, target, ttlSeconds));
      return set.path ?? "forwarder.records";
    }
    return undefined;
  }

  /** Those in the network of ours that the client is in; all if there is none (dnsmasq `localise-queries`). */
  function nearest(records: Rr[], client: Client): Rr[] {
    const address = parseAddress(client.address);
    const network = address && localise?.find((each) => covers(each, unmapped(address)));
    if (network === undefined) return records;
    const isFar = ({ type, data }: Rr): boolean => type === TYPE.A && !covers(network, data);
    const near = records.filter((rr) => !isFar(rr));
    return near.some(({ type }) => type === TYPE.A) ? near : records;
  }

  function hasLocalName(qname: Uint8Array, view: View | undefined): boolean {
    hashSuffixes(qname, key);
    return (
      common.records.some((set) => set.hasName(qname)) ||
      (view?.layer.records.some((set) => set.hasName(qname)) ?? false)
    );
  }

  function exists(qname: Uint8Array, client: Client): boolean {
    const view = viewOf(client);
    if (hasLocalName(qname, view)) return true;
    const rule = view?.layer.rules?.find(qname, TYPE.ANY) ?? common.rules?.find(qname, TYPE.ANY);
    return rule?.kind === "addresses";
  }

  function ruleAnswer(
    rule: Exclude<Verdict, { kind: "forward" }>,
    qname: Uint8Array,
    { hasName, view }: { hasName: () => boolean; view: View | undefined },
  ): Good {
    if (rule.kind === "addresses")
      return ownAnswer(addressRecords(qname, rule.addresses, ttlSeconds), RCODE.NOERROR);
    const rcode = denialRcode(rule.hasData || hasName());
    const sets = view === undefined ? common.records : [...view.layer.records, ...common.records];
    const soa = soaOf(rule.zone, sets);
    return soa === undefined ? denial(rule.zone, rcode, ttlSeconds) : denialWith(soa, rcode);
  }

  /** The zone's own SOA record, where one is configured. */
  function soaOf(zone: Uint8Array, sets: readonly RecordSet[]): Rr | undefined {
    if (sets.length === 0) return undefined;
    hashSuffixes(zone, key);
    const found: Rr[] = [];
    for (const set of sets) set.find(zone, TYPE.SOA, found);
    return found.find(({ type }) => type === TYPE.SOA);
  }

  function blocked(qname: Uint8Array, qtype: number, hasName: () => boolean): Good {
    const error = { code: EDE.BLOCKED, text: "" };
    switch (settings.blocklistAnswer) {
      case "refused":
        return blockedAnswer(ownAnswer([], RCODE.REFUSED), error);
      case "null": {
        const octets = qtype === TYPE.A ? 4 : qtype === TYPE.AAAA ? 16 : 0;
        const records = addressRecords(qname, [new Uint8Array(octets)], ttlSeconds);
        return octets === 0
          ? blockedAnswer(denial(qname, RCODE.NOERROR, ttlSeconds), error)
          : blockedAnswer(ownAnswer(records, RCODE.NOERROR), error);
      }
      case "nxdomain":
        return blockedAnswer(denial(qname, denialRcode(hasName()), ttlSeconds), error);
    }
  }

  function bySpecial(
    qname: Uint8Array,
    qtype: number,
    client: Client,
    hasName: () => boolean,
  ): Decision | undefined {
    const here = (source: Source, answer: Good, general = true): Decision => ({
      kind: "answer",
      source,
      answer,
      general,
    });
    if (settings.specialNames) {
      const kind = specialName(qname);
      if (kind !== undefined)
        return here("special name", specialAnswer(qname, qtype, kind, hasName));
      if (qtype === TYPE.PTR && isLoopbackReverse(qname)) {
        const data = LOCALHOST_NAME;
        const record = { owner: qname, type: TYPE.PTR, class: CLASS_IN, ttl: ttlSeconds, data };
        return here("special name", ownAnswer([record], RCODE.NOERROR));
      }
    }
    const { privateReverse } = settings;
    if (privateReverse === "forward") return undefined;
    const at = privateZone(qname);
    // DS is the parent's, which says that the zone is not signed (RFC 8375 section 4).
    if (at < 0 || (at === 0 && qtype === TYPE.DS)) return undefined;
    if (privateReverse !== "local")
      return { kind: "forward", group: privateReverse.group, general: true };
    const isTranslated = qtype === TYPE.PTR ? settings.isTranslated?.(qname, client) : undefined;
    if (isTranslated === true) return undefined;
    const zone = qname.subarray(at);
    const rcode = denialRcode(at === 0 || hasName());
    const answer = denial(zone, rcode, DENIAL_TTL_SECONDS);
    // Others are told otherwise, who get it translated.
    return here("private reverse", answer, isTranslated === undefined);
  }

  function specialAnswer(
    qname: Uint8Array,
    qtype: number,
    kind: SpecialName,
    hasName: () => boolean,
  ): Good {
    if (kind === "empty") return denial(RESOLVER_ARPA, RCODE.NOERROR, DENIAL_TTL_SECONDS);
    const zone = lastLabel(qname);
    if (kind === "none") return denial(zone, denialRcode(hasName()), DENIAL_TTL_SECONDS);
    const addresses = [Uint8Array.of(127, 0, 0, 1), loopback6].filter(
      ({ length }) => qtype === TYPE.ANY || qtype === (length === 4 ? TYPE.A : TYPE.AAAA),
    );
    if (addresses.length === 0) return denial(zone, RCODE.NOERROR, DENIAL_TTL_SECONDS);
    return ownAnswer(addressRecords(qname, addresses, ttlSeconds), RCODE.NOERROR);
  }

  return {
    decide,
    exists,
    searchList,
    use(next) {
      ({ blocklists } = next);
      common = together(next);
    },
    viewOf: (client) => viewOf(client)?.name ?? "",
    get isNeeded() {
      return (
        hasRules ||
        common.records.length > 0 ||
        blocklists.length > 0 ||
        settings.domainNeeded ||
        searchList !== null
      );
    },
  };
}

const loopback6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

function createLayer({ rules, records }: LayerSettings, key: HashKey, tables: RuleTables): Layer {
  return {
    rules: rules.length > 0 ? tables.of(rules) : null,
    records: records.length > 0 ? [createRecordSet(records, key)] : [],
  };
}

/** No zone has the name as its own: not even that for names of one label. */
function isUnclaimed(rule: Verdict | undefined): boolean {
  return rule === undefined || rule.zone.length === 1;
}

/** Asked of a zone, be it a TLD with the name of a service: delegation and keys are for its servers to tell. */
function isOfZone(qtype: number): boolean {
  const DNSKEY = 48;
  return qtype === TYPE.NS || qtype === TYPE.SOA || qtype === TYPE.DS || qtype === DNSKEY;
}

function isSingleLabel(qname: Uint8Array): boolean {
  return qname[0]! > 0 && qname[qname[0]! + 1] === 0;
}

function lastLabel(name: Uint8Array): Uint8Array {
  let at = 0;
  while (at + name[at]! + 1 < name.length - 1) at += name[at]! + 1;
  return name.subarray(at);
}
