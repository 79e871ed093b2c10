import { isUnspecified } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import {
  addressNumber,
  inNetwork,
  inRfc,
  isForwardable,
  isSpecial,
  type InterfaceAddress,
} from "./interface-address.ts";

type List = readonly InterfaceAddress[];

/** One property of an address, for `attr` and `join`; "" without an address. */
export function attribute(
  item: InterfaceAddress | undefined,
  what: string,
): Result<string, string> {
  const { address, name, family, prefixLength } = item ?? sample;
  const found = attributeOf({ address, name, family, prefixLength }, what);
  return found.ok && item === undefined ? ok("") : found;
}

type Shown = Pick<InterfaceAddress, "address" | "name" | "family" | "prefixLength">;

function attributeOf(item: Shown, what: string): Result<string, string> {
  switch (what.toLowerCase()) {
    case "address":
    case "host":
      return ok(item.address);
    case "name":
      return ok(item.name);
    case "type":
      return ok(`IPv${item.family}`);
    case "mask_bits":
      return ok(String(item.prefixLength));
    case "string":
      return ok(`${item.address}/${item.prefixLength}`);
    case "port":
      return ok("0");
    default:
      return fail(`unknown attribute ${what}; known: address, host, name, type, mask_bits, string`);
  }
}

/** Keeps (or, unless `wanted`, drops) what fits one filter of `include` and `exclude`. */
export function select(
  list: List,
  { what, value }: { what: string; value: string },
  wanted: boolean,
): Result<List, string> {
  const checked = matches(sample, what.toLowerCase(), value); // also where there is nothing to filter
  if (!checked.ok) return checked;
  return ok(
    list.filter((item) => {
      const hit = matches(item, what.toLowerCase(), value);
      return hit.ok && hit.value === wanted;
    }),
  );
}

const sample: InterfaceAddress = {
  name: "lo",
  address: "127.0.0.1",
  family: 4,
  prefixLength: 8,
  loopback: true,
  isDefault: false,
};

function matches(item: InterfaceAddress, what: string, value: string): Result<boolean, string> {
  switch (what) {
    case "address":
      return matchesPattern(item.address, value);
    case "name":
      return matchesPattern(item.name, value);
    case "type":
    case "types":
      return anyOf(value, (word) => isType(item, word.toLowerCase()));
    case "flag":
    case "flags":
      return allOf(value, (word) => hasFlag(item, word.toLowerCase()));
    case "network":
      return anyOf(value, (network) => inNetwork(item.address, network));
    case "rfc":
    case "rfcs":
      return anyOf(value, (rfc) => inRfc(item.address, rfc));
    case "size":
      return ok(String(item.prefixLength) === value.replace(/^\//, ""));
    case "port":
      return ok(value === "0");
    default:
      return fail(
        `unknown filter ${what}; known: address, flag, name, network, port, rfc, size, type`,
      );
  }
}

function matchesPattern(text: string, pattern: string): Result<boolean, string> {
  try {
    return ok(new RegExp(pattern, "u").test(text));
  } catch {
    return fail(`"${pattern}" is not a regular expression`);
  }
}

function anyOf(words: string, test: (word: string) => Result<boolean, string>) {
  let any = false;
  for (const word of words.split("|")) {
    const hit = test(word);
    if (!hit.ok) return hit;
    any ||= hit.value;
  }
  return ok(any);
}

function allOf(words: string, test: (word: string) => Result<boolean, string>) {
  let every = true;
  for (const word of words.split("|")) {
    const hit = test(word);
    if (!hit.ok) return hit;
    every &&= hit.value;
  }
  return ok(every);
}

function isType(item: InterfaceAddress, word: string): Result<boolean, string> {
  if (word === "ip") return ok(true);
  if (word === "ipv4" || word === "ipv6") return ok(word === `ipv${item.family}`);
  return word === "unix" ? ok(false) : fail(`unknown type ${word}; known: ip, ipv4, ipv6, unix`);
}

function hasFlag(item: InterfaceAddress, word: string): Result<boolean, string> {
  const linkLocal = inNetwork(item.address, item.family === 4 ? "169.254.0.0/16" : "fe80::/10");
  const isLinkLocal = linkLocal.ok && linkLocal.value;
  switch (word) {
    case "up":
      return ok(true); // the system lists no address of an interface that is down
    case "down":
      return ok(false);
    case "loopback":
      return ok(item.loopback);
    case "forwardable":
      return ok(isForwardable(item.address));
    case "link-local unicast":
      return ok(isLinkLocal);
    case "global unicast":
      return ok(!item.loopback && !isLinkLocal);
    case "unspecified":
      return ok(isUnspecified(item.address));
    default:
      return fail(
        `unknown flag ${word}; known: up, down, loopback, forwardable, link-local unicast, ` +
          "global unicast, unspecified",
      );
  }
}

type Order = (a: InterfaceAddress, b: InterfaceAddress) => number;

const orders: Readonly<Record<string, Order>> = {
  address: (a, b) => compare(addressNumber(a.address), addressNumber(b.address)),
  default: (a, b) => Number(b.isDefault) - Number(a.isDefault),
  name: (a, b) => compare(a.name, b.name),
  port: () => 0,
  private: (a, b) => Number(isSpecial(b.address)) - Number(isSpecial(a.address)),
  size: (a, b) => hostBits(b) - hostBits(a),
  type: (a, b) => a.family - b.family,
};

function compare<T extends string | bigint>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function hostBits({ family, prefixLength }: InterfaceAddress): number {
  return (family === 4 ? 32 : 128) - prefixLength;
}

/** Sorts by an order such as `default,-type,size`. */
export function sortChecked(list: List, order: string): Result<List, string> {
  for (const word of order.split(","))
    if (!Object.hasOwn(orders, word.replace(/^[+-]/, "")))
      return fail(`unknown order ${word}; known: ${Object.keys(orders).join(", ")}`);
  return ok(sortBy(list, order));
}

/** The same for an order that is known to be right. */
export function sortBy(list: List, order: string): List {
  const terms = order.split(",").map((word) => ({
    by: orders[word.replace(/^[+-]/, "")]!,
    sign: word.startsWith("-") ? -1 : 1,
  }));
  return list.toSorted((a, b) => {
    for (const { by, sign } of terms) {
      const difference = by(a, b) * sign;
      if (difference !== 0) return difference;
    }
    return 0;
  });
}

/** Keeps the first of those with the same address or name. */
export function unique(list: List, what: string): Result<List, string> {
  if (what !== "address" && what !== "name") return fail('unique takes "address" or "name"');
  const seen = new Set<string>();
  return ok(list.filter((item) => !seen.has(item[what]) && seen.add(item[what])));
}
