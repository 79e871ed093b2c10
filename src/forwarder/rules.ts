/**
 * Which names a rule is for, and the table that finds the rule of a name: the longest match wins, as in
 * dnsmasq 2.90's `--server`, `--address` and `--local`, whose `lookup_domain` this follows.
 */
import { TYPE } from "../dns/rr.ts";
import { atOnce, type Slices } from "../slices.ts";
import { createNameIndex, type NameIndex } from "./local/name-index.ts";
import type { PlainNames } from "./local/name-list.ts";
import { reverseNames } from "./local/reverse-names.ts";
import { hashSuffixes, suffixes, visitLabelEnds, type HashKey } from "./local/suffix-hash.ts";

/**
 * `suffix`: the name itself and everything below it (the root: every name). `below`: what is below it
 * only. `text`: names whose text ends so, also inside a label: `google.com` for www.google.com and
 * supergoogle.com. `single label`: names without a dot. `reverse`: names of addresses in this network,
 * whose prefix may have any length; `address` has 4 or 16 octets, and no bit set behind the first `bits`.
 * `suffixes`: many names that are suffixes. Names are wire names in lower case.
 */
export type NameMatch =
  | { readonly kind: "suffix" | "below" | "text"; readonly name: Uint8Array }
  | { readonly kind: "suffixes"; readonly names: PlainNames; readonly count: number }
  | { readonly kind: "single label" }
  | { readonly kind: "reverse"; readonly address: Uint8Array; readonly bits: number };

/** What a rule does with its names; several of them may stand at the same names. */
export type RuleAction =
  /** A and AAAA are these (4 or 16 octets); other questions go on to the next shorter rule. */
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[] }
  /** A is 0.0.0.0, AAAA is ::, unless there are addresses of that family. */
  | { readonly kind: "unspecified" }
  /** Asked of this group of servers; of "" as if no rule longer than the root were there. */
  | { readonly kind: "forward"; readonly group: string }
  /** Never forwarded: NXDOMAIN, NODATA where there is other data for the name. */
  | { readonly kind: "deny" };

export type Rule = { readonly match: NameMatch; readonly action: RuleAction };

/** What holds for one question. `octets`: how much of the name matched, to compare lengths of matches. */
export type Verdict = { readonly zone: Uint8Array; readonly octets: number } & (
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[] }
  | { readonly kind: "forward"; readonly group: string }
  /** `hasData`: the same rule holds addresses, if only for other types. */
  | { readonly kind: "deny"; readonly hasData: boolean }
);

/** See createRuleTable. */
export type RuleTable = {
  /** undefined: no rule, so the servers of names without a zone. `qname` in any case of letters. */
  find(qname: Uint8Array, qtype: number): Verdict | undefined;
  /** Octets held beside the actions. */
  readonly octets: number;
};

/** All that rules say of the same names, in the order in which it counts. */
type Node = {
  v6: readonly Uint8Array[];
  v4: readonly Uint8Array[];
  unspecified: boolean;
  /** Goes on at the root. */
  defaults: boolean;
  group: string | null;
  denies: boolean;
};

const NOTHING: Node = {
  v6: [],
  v4: [],
  unspecified: false,
  defaults: false,
  group: null,
  denies: false,
};

type Nodes = { index: NameIndex; nodes: Node[] };

const ZERO4: readonly Uint8Array[] = [new Uint8Array(4)];
const ZERO6: readonly Uint8Array[] = [new Uint8Array(16)];
const ZEROS: readonly Uint8Array[] = [...ZERO4, ...ZERO6];

/** A table of these rules, made in one go; of two groups for the same names the first is taken. */
export function createRuleTable(rules: readonly Rule[], key: HashKey): RuleTable {
  return atOnce(makeRuleTable(rules, key));
}

/** Rules or names between two chances to stop. */
const AT_ONCE = 256;

/** A table of these rules. Of two groups for the same names the first is taken: lists of servers are merged before. */
function* makeRuleTable(rules: readonly Rule[], key: HashKey): Slices<RuleTable> {
  const suffix = newNodes(key);
  const below = newNodes(key);
  const text = newNodes(key);
  let single: Node | undefined;
  const share = createShare();
  // At once: what is there already would have to be moved.
  suffix.index.reserve(
    rules.reduce((sum, { match }) => sum + (match.kind === "suffixes" ? match.count : 0), 0),
  );

  let count = 0;
  for (const { match, action } of rules) {
    if (++count % AT_ONCE === 0) yield;
    const add = ({ index, nodes }: Nodes, name: Uint8Array): void => {
      const number = index.add(name);
      nodes[number] = share(withAction(nodes[number] ?? NOTHING, action));
    };
    switch (match.kind) {
      case "suffix":
        add(suffix, match.name);
        break;
      case "suffixes":
        yield* addAll(suffix, match, action);
        break;
      case "below":
        add(below, match.name);
        break;
      case "text":
        add(text, match.name);
        break;
      case "single label":
        single = withAction(single ?? NOTHING, action);
        break;
      case "reverse":
        for (const name of reverseNames(match.address, match.bits)) add(suffix, name);
        break;
    }
  }

  function find(qname: Uint8Array, qtype: number): Verdict | undefined {
    const count = hashSuffixes(qname, key);
    let found: Verdict | undefined;
    for (let label = 0; label <= count; label++) {
      const offset = suffixes.offsets[label]!;
      const zone = qname.subarray(offset);
      const octets = zone.length - 1;
      const exact = nodeAt(suffix, qname, label);
      found = exact && verdict(exact, qtype, zone, octets);
      if (found === undefined && label < count && text.index.size > 0)
        visitLabelEnds(qname, label, (low, high, taken) => {
          const number = text.index.findEnd(qname, offset, { low, high, octets: taken });
          const shorter = qname[offset]! - taken;
          if (number >= 0) found = verdict(text.nodes[number]!, qtype, zone, octets - shorter);
          return found !== undefined;
        });
      if (found === undefined && label < count && below.index.size > 0) {
        const next = qname.subarray(suffixes.offsets[label + 1]!);
        const node = nodeAt(below, qname, label + 1);
        // One more than the name that it is below: the dot in front of it belongs to the match.
        found = node && verdict(node, qtype, next, next.length);
      }
      if (found === undefined) continue;
      // "As usual": what holds for every name, or nothing.
      if (found.kind === "forward" && found.group === "" && label < count) {
        const root = nodeAt(suffix, qname, count);
        found = root && verdict(root, qtype, qname.subarray(qname.length - 1), 0);
        found ??= { kind: "forward", group: "", zone, octets };
      }
      break;
    }
    if (single !== undefined && count === 1 && (found === undefined || found.octets === 0))
      return verdict(single, qtype, qname, 0) ?? found;
    return found;
  }

  return {
    find,
    octets: suffix.index.octets + below.index.octets + text.index.octets,
  };
}

/** Of most of many names nothing was said before, or the same. */
function* addAll(
  { index, nodes }: Nodes,
  { names }: NameMatch & { kind: "suffixes" },
  action: RuleAction,
): Slices<void> {
  const changed = new Map<Node, Node>();
  let added = 0;
  for (const name of names) {
    const number = index.add(name);
    const before = nodes[number] ?? NOTHING;
    let node = changed.get(before);
    if (node === undefined) changed.set(before, (node = withAction(before, action)));
    nodes[number] = node;
    // Not before the name was taken, which is valid until somebody asks for the next one of any list.
    if (++added % AT_ONCE === 0) yield;
  }
}

function newNodes(key: HashKey): Nodes {
  return { index: createNameIndex(key), nodes: [] };
}

function nodeAt({ index, nodes }: Nodes, qname: Uint8Array, label: number): Node | undefined {
  return nodes[index.findSuffix(qname, label)];
}

function withAction(node: Node, action: RuleAction): Node {
  switch (action.kind) {
    case "addresses": {
      const of = (octets: number) => action.addresses.filter(({ length }) => length === octets);
      return { ...node, v4: [...node.v4, ...of(4)], v6: [...node.v6, ...of(16)] };
    }
    case "unspecified":
      return { ...node, unspecified: true };
    case "forward":
      return action.group === ""
        ? { ...node, defaults: true }
        : { ...node, group: node.group ?? action.group };
    case "deny":
      return { ...node, denies: true };
  }
}

/** One object for all names that nothing but the same group, or a denial, is said of: long lists are mostly such. */
function createShare(): (node: Node) => Node {
  const shared = new Map<string, Node>();
  return (node) => {
    if (node.v4.length + node.v6.length > 0) return node;
    const text = `${node.unspecified} ${node.defaults} ${node.denies} ${node.group}`;
    const known = shared.get(text);
    if (known === undefined) shared.set(text, node);
    return known ?? node;
  };
}

/** The order of dnsmasq 2.90's `order_qsort` and `filter_servers`; undefined: nothing for this type. */
function verdict(
  { v4, v6, unspecified, defaults, group, denies }: Node,
  qtype: number,
  zone: Uint8Array,
  octets: number,
): Verdict | undefined {
  const is6 = qtype === TYPE.AAAA || qtype === TYPE.ANY;
  const is4 = qtype === TYPE.A || qtype === TYPE.ANY;
  if (is6 && v6.length > 0) return { kind: "addresses", addresses: v6, zone, octets };
  if (is4 && v4.length > 0) return { kind: "addresses", addresses: v4, zone, octets };
  if (unspecified && (is4 || is6)) {
    const one = is4 ? ZERO4 : ZERO6;
    return { kind: "addresses", addresses: is4 && is6 ? ZEROS : one, zone, octets };
  }
  if (defaults) return { kind: "forward", group: "", zone, octets };
  if (group !== null) return { kind: "forward", group, zone, octets };
  if (!denies) return undefined;
  return { kind: "deny", hasData: v4.length + v6.length > 0 || unspecified, zone, octets };
}

/** Tables by what they are made of, for as long as that is in use. */
export type RuleTables = {
  /** Of a list that was prepared the table is there. */
  of(rules: readonly Rule[]): RuleTable;
  prepare(rules: readonly Rule[]): Slices<void>;
};

/** No table yet. */
export function createRuleTables(key: HashKey): RuleTables {
  const tables = new WeakMap<readonly Rule[], RuleTable>();
  function* prepare(rules: readonly Rule[]): Slices<void> {
    if (!tables.has(rules)) tables.set(rules, yield* makeRuleTable(rules, key));
  }
  return {
    prepare,
    of(rules) {
      atOnce(prepare(rules));
      return tables.get(rules)!; // prepared
    },
  };
}
