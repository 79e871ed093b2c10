/** The gate's owner on the main thread: networks to ranges of rights, and what the main thread asks of it. */
import { mapped, readSourceText, type Network } from "../address.ts";
import {
  COOKIE_GOOD,
  COOKIE_MALFORMED,
  COOKIE_OCTETS,
  CLIENT_COOKIE_OCTETS,
  judgeCookie,
  OPTION_COOKIE,
  writeCookie,
} from "./cookie.ts";
import {
  ANSWERED,
  COOKIES,
  createGateMemory,
  EXEMPT,
  LOOKS_AT_LOOPBACK,
  LOOPBACK,
  openGate,
  PAYLOAD,
  RATE,
  rightsOf,
  SECRETS,
  SLIP,
  VIEWED,
  writeRanges,
  type Gate,
} from "./gate.ts";
import { readUint16 } from "./message.ts";
import type { BadRequest, Request } from "./request.ts";

/** Who may ask, how much, and with what. */
export type GateRules = {
  /** Of networks that hold an address the longest prefix decides; of equal ones `deny`. */
  allow: readonly Network[];
  deny: readonly Network[];
  /** Networks that are answered unless `deny` says otherwise, and never counted. */
  local: readonly Network[];
  /** What becomes of everybody else. */
  othersAnswered: boolean;
  /** Networks that no rate holds up. */
  exempt: readonly Network[];
  /** Networks whose clients the main thread answers. */
  views: readonly Network[];
  /** Answers per second to one address, 0: any number. */
  ratePerSecond: number;
  /** Of so many answers withheld one is sent as TC; 0: none. */
  slip: number;
  /** Largest UDP payload beyond loopback, in octets. */
  payloadOctets: number;
  cookies: boolean;
  /** One or two secrets of 16 octets: the first one makes cookies, both are accepted. */
  secrets: readonly Uint8Array[];
};

/** The gate as the main thread holds it. */
export type GateOwner = {
  /** For workers. */
  readonly memory: SharedArrayBuffer;
  /** Holds from the next question on. */
  write(rules: GateRules): void;
  /** Whether an IP literal may ask at all; for what comes over connections. */
  isAnswered: (address: string) => boolean;
  /**
   * What a client beyond loopback gets otherwise: the request's payload is cut to what is sent there, its
   * cookie is replaced by the reply's. An error if the cookie is malformed (RFC 7873 section 5.2.2).
   */
  receive(request: Request, address: string): BadRequest | undefined;
};

/**
 * A gate that lets nobody but this machine pass until it is written. `wallSeconds`: since 1970; `seed`: 32
 * bits that no client may know.
 */
export function createGateOwner(wallSeconds: () => number, seed: number): GateOwner {
  const memory = createGateMemory();
  const gate = openGate(memory, seed);
  const { words } = gate;
  words[PAYLOAD] = 512;
  gate.buckets.seed[0] = seed;

  const rightsAt = (address: string): number =>
    readSourceText(address, gate.source) ? rightsOf(gate) : 0;

  return {
    memory,
    write(rules) {
      words[RATE] = rules.ratePerSecond;
      words[SLIP] = rules.slip;
      words[PAYLOAD] = rules.payloadOctets;
      const [first, second = first] = rules.secrets;
      // Never a cookie by a secret that is not there yet.
      if (first !== undefined && second !== undefined) writeSecrets(words, [first, second]);
      Atomics.store(words, COOKIES, rules.cookies && first !== undefined ? 1 : 0);
      words[LOOKS_AT_LOOPBACK] = rules.views.some(holdsLoopback) ? 1 : 0;
      writeRanges(words, rangesOf(rules));
    },
    isAnswered: (address) => (rightsAt(address) & ANSWERED) !== 0,
    receive(request, address) {
      const { opt } = request;
      request.isGuest = (rightsAt(address) & LOOPBACK) === 0;
      if (opt === null || !request.isGuest) return undefined;
      const payload = Math.min(opt.payload, words[PAYLOAD]!);
      if (payload < opt.payload) request.opt = { ...opt, payload };
      return words[COOKIES] === 0
        ? undefined
        : answerCookie(request, opt.options, gate, wallSeconds());
    },
  };
}

/** Puts the cookie for the reply into the request. */
function answerCookie(
  request: Request,
  options: Uint8Array,
  gate: Gate,
  nowSeconds: number,
): BadRequest | undefined {
  for (let at = 0; at < options.length; at += 4 + readUint16(options, at + 2)) {
    if (readUint16(options, at) !== OPTION_COOKIE) continue;
    const length = readUint16(options, at + 2);
    const { secrets, source } = gate;
    const judgement = judgeCookie(secrets, options, at + 4, length, source, nowSeconds);
    if (judgement === COOKIE_MALFORMED)
      return { rcode: 1, question: request.question, problem: "cookie" };
    if (judgement === COOKIE_GOOD) request.cookie = options.slice(at + 4, at + 4 + COOKIE_OCTETS);
    else {
      request.cookie = new Uint8Array(COOKIE_OCTETS);
      const client = options.subarray(at + 4, at + 4 + CLIENT_COOKIE_OCTETS);
      writeCookie(secrets, client, 0, source, nowSeconds, request.cookie, 0);
    }
    return undefined;
  }
  return undefined;
}

function writeSecrets(words: Int32Array, secrets: readonly Uint8Array[]): void {
  secrets.forEach((secret, i) => {
    const view = new DataView(secret.buffer, secret.byteOffset, 16);
    for (let k = 0; k < 4; k++) words[SECRETS + 4 * i + k] = view.getInt32(4 * k, true);
  });
}

const loopbackNetworks: readonly Network[] = [
  { octets: Uint8Array.of(127, 0, 0, 0), prefixLength: 8 },
  { octets: new Uint8Array(16).fill(1, 15), prefixLength: 128 },
];

function holdsLoopback(network: Network): boolean {
  const prefix = prefixOf(network);
  return loopbackNetworks.some((loopback) => {
    const other = prefixOf(loopback);
    const bits = BigInt(128 - Math.min(prefix.length, other.length));
    return prefix.first >> bits === other.first >> bits;
  });
}

/** A network among all addresses of 128 bits: its first address, bits beyond the prefix clear. */
type Prefix = { first: bigint; length: number };

function prefixOf({ octets, prefixLength }: Network): Prefix {
  const length = octets.length === 4 ? prefixLength + 96 : prefixLength;
  const bits = BigInt(128 - length);
  const address = mapped(octets).reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
  return { first: (address >> bits) << bits, length };
}

/** Prefixes by their length, longest first, so that the longest one that holds an address is found at once. */
type PrefixSet = { length: number; firsts: ReadonlySet<bigint> }[];

function prefixSet(prefixes: readonly Prefix[]): PrefixSet {
  const byLength = new Map<number, Set<bigint>>();
  for (const { first, length } of prefixes)
    byLength.set(length, (byLength.get(length) ?? new Set()).add(first));
  return [...byLength]
    .map(([length, firsts]) => ({ length, firsts }))
    .toSorted((a, b) => b.length - a.length);
}

/** ::ffff:0:0/96, where IPv4 lies; no network of IPv6 around it holds what is in there. */
const IPV4_FIRST = 0xffffn << 32n;
const IPV4_LENGTH = 96;

/** Length of the longest prefix that holds the address; -1 if none does. */
function longestOf(set: PrefixSet, address: bigint): number {
  const least = address >> 32n === 0xffffn ? IPV4_LENGTH : 0;
  for (const { length, firsts } of set) {
    if (length < least) return -1;
    const bits = BigInt(128 - length);
    if (firsts.has((address >> bits) << bits)) return length;
  }
  return -1;
}

/** The ranges as gate.ts wants them. */
function rangesOf(rules: GateRules): number[] {
  const lists = [rules.allow, rules.deny, rules.local, rules.exempt, rules.views, loopbackNetworks];
  const prefixes = lists.map((list) => list.map(prefixOf));
  const [allow, deny, local, exempt, views, loopback] = prefixes.map(prefixSet);
  const borders = new Set<bigint>([0n, IPV4_FIRST, IPV4_FIRST + (1n << 32n)]);
  for (const { first, length } of prefixes.flat()) {
    borders.add(first);
    const next = first + (1n << BigInt(128 - length));
    if (next < 1n << 128n) borders.add(next);
  }
  const rightsAt = (address: bigint): number => {
    const viewed = longestOf(views!, address) < 0 ? 0 : VIEWED;
    if (longestOf(loopback!, address) >= 0) return ANSWERED | EXEMPT | LOOPBACK | viewed;
    const isLocal = longestOf(local!, address) >= 0;
    const allowed = longestOf(allow!, address);
    const denied = longestOf(deny!, address);
    const isAnswered =
      allowed < 0 && denied < 0 ? isLocal || rules.othersAnswered : allowed > denied;
    const isExempt = isLocal || longestOf(exempt!, address) >= 0;
    return (isAnswered ? ANSWERED : 0) | (isExempt ? EXEMPT : 0) | viewed;
  };
  const ranges: number[] = [];
  let last = -1;
  for (const first of [...borders].toSorted((a, b) => (a < b ? -1 : 1))) {
    const rights = rightsAt(first);
    if (rights === last) continue;
    last = rights;
    for (let i = 3n; i >= 0n; i--)
      ranges.push(Number((first >> (32n * i)) & 0xffffffffn) ^ -0x80000000);
    ranges.push(rights);
  }
  return ranges;
}
