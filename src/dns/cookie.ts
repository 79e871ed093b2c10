/**
 * DNS cookies of the interoperable form (RFC 7873, RFC 9018): a client that shows ours has received an
 * answer at its address before. Hot: no allocation; the state of SipHash-2-4 is a scratch array.
 *
 * COOKIE option: client cookie (8 octets) | server cookie: version 1, 3 reserved octets, time (4), hash (8).
 */

/** Option code and octets of the parts. */
export const OPTION_COOKIE = 10;
export const CLIENT_COOKIE_OCTETS = 8;
const SERVER_COOKIE_OCTETS = 16;
/** Whole option data of a reply. */
export const COOKIE_OCTETS = CLIENT_COOKIE_OCTETS + SERVER_COOKIE_OCTETS;
/** Longest that a server cookie may be (RFC 7873 section 4), client cookie included. */
const COOKIE_OCTETS_MAX = 40;
const VERSION = 1;

/** RFC 9018 section 4.3: how old and how far ahead a time may be, and when it is renewed. */
const AGE_MAX_SECONDS = 3600;
const AHEAD_MAX_SECONDS = 300;
const RENEW_SECONDS = 1800;

/** Of the option data of a question: no server cookie, or none of ours (any more). */
export const COOKIE_UNPROVEN = 0;
/** A server cookie of ours for this address, which may be given again. */
export const COOKIE_GOOD = 1;
/** The same, old enough to be replaced. */
export const COOKIE_OLD = 2;
/** Not of a length that an option may have: FORMERR (RFC 7873 section 5.2.2). */
export const COOKIE_MALFORMED = -1;

/** Secrets and what hashing needs. */
export type Secrets = {
  /** Two secrets of 4 words; the first one makes cookies, both are accepted. */
  words: Int32Array;
  /** v0..v3 of SipHash as low and high words, in host order. */
  state: Int32Array;
};

/** `words`: 8 of them, written by the owner. */
export function createSecrets(words: Int32Array): Secrets {
  return { words, state: new Int32Array(8) };
}

/**
 * Judges the option data of `length` octets at `at`. `source`: the client's address in four words as they
 * lie in a packet, IPv4 mapped. `nowSeconds`: wall time.
 */
export function judgeCookie(
  secrets: Secrets,
  octets: Uint8Array,
  at: number,
  length: number,
  source: Int32Array,
  nowSeconds: number,
): number {
  const isShort = length < CLIENT_COOKIE_OCTETS;
  const isBetween = length > CLIENT_COOKIE_OCTETS && length < 2 * CLIENT_COOKIE_OCTETS;
  if (isShort || isBetween || length > COOKIE_OCTETS_MAX) return COOKIE_MALFORMED;
  if (length !== COOKIE_OCTETS || octets[at + 8] !== VERSION) return COOKIE_UNPROVEN;
  // Serial number arithmetic (RFC 1982).
  const age = (nowSeconds - readWord(octets, at + 12)) | 0;
  if (age > AGE_MAX_SECONDS || age < -AHEAD_MAX_SECONDS) return COOKIE_UNPROVEN;
  for (let secret = 0; secret < 8; secret += 4) {
    hash(secrets, secret, octets, at, at + 8, source);
    const { state } = secrets;
    if ((littleWord(octets, at + 16) ^ state[0]!) | (littleWord(octets, at + 20) ^ state[1]!))
      continue;
    return secret > 0 || age > RENEW_SECONDS || age < 0 ? COOKIE_OLD : COOKIE_GOOD;
  }
  return COOKIE_UNPROVEN;
}

/** Writes the data of a reply's option at `to`: the client cookie at `client` and a fresh server cookie. */
export function writeCookie(
  secrets: Secrets,
  octets: Uint8Array,
  client: number,
  source: Int32Array,
  nowSeconds: number,
  out: Uint8Array,
  to: number,
): void {
  for (let i = 0; i < CLIENT_COOKIE_OCTETS; i++) out[to + i] = octets[client + i]!;
  out[to + 8] = VERSION;
  out[to + 9] = out[to + 10] = out[to + 11] = 0;
  out[to + 12] = nowSeconds >>> 24;
  out[to + 13] = nowSeconds >>> 16;
  out[to + 14] = nowSeconds >>> 8;
  out[to + 15] = nowSeconds;
  hash(secrets, 0, out, to, to + 8, source);
  for (let i = 0; i < 8; i++) out[to + 16 + i] = secrets.state[i >> 2]! >>> ((i & 3) << 3);
}

function readWord(octets: Uint8Array, at: number): number {
  return (octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!;
}

function littleWord(octets: Uint8Array, at: number): number {
  return octets[at]! | (octets[at + 1]! << 8) | (octets[at + 2]! << 16) | (octets[at + 3]! << 24);
}

const MAPPED = -0x10000;

/**
 * SipHash-2-4 of client cookie | version, reserved, time | address (RFC 9018 section 4.4) into words 0 and 1
 * of the state.
 */
function hash(
  { words, state }: Secrets,
  secret: number,
  octets: Uint8Array,
  client: number,
  server: number,
  source: Int32Array,
): void {
  const k0 = words[secret]!;
  const k1 = words[secret + 1]!;
  const k2 = words[secret + 2]!;
  const k3 = words[secret + 3]!;
  state[0] = k0 ^ 0x70736575;
  state[1] = k1 ^ 0x736f6d65;
  state[2] = k2 ^ 0x6e646f6d;
  state[3] = k3 ^ 0x646f7261;
  state[4] = k0 ^ 0x6e657261;
  state[5] = k1 ^ 0x6c796765;
  state[6] = k2 ^ 0x79746573;
  state[7] = k3 ^ 0x74656462;
  compress(state, littleWord(octets, client), littleWord(octets, client + 4));
  compress(state, littleWord(octets, server), littleWord(octets, server + 4));
  // ::ffff:0:0/96 as it lies in a packet.
  if (source[0] === 0 && source[1] === 0 && source[2] === MAPPED)
    compress(state, source[3]!, 20 << 24);
  else {
    compress(state, source[0]!, source[1]!);
    compress(state, source[2]!, source[3]!);
    compress(state, 0, 32 << 24);
  }
  state[4]! ^= 0xff;
  for (let i = 0; i < 4; i++) round(state);
  state[0]! ^= state[2]! ^ state[4]! ^ state[6]!;
  state[1]! ^= state[3]! ^ state[5]! ^ state[7]!;
}

function compress(state: Int32Array, low: number, high: number): void {
  state[6]! ^= low;
  state[7]! ^= high;
  round(state);
  round(state);
  state[0]! ^= low;
  state[1]! ^= high;
}

/** SipRound (Aumasson, Bernstein 2012, figure 2.1). */
function round(state: Int32Array): void {
  add(state, 0, 2);
  rotate(state, 2, 13);
  mix(state, 2, 0);
  swap(state, 0);
  add(state, 4, 6);
  rotate(state, 6, 16);
  mix(state, 6, 4);
  add(state, 0, 6);
  rotate(state, 6, 21);
  mix(state, 6, 0);
  add(state, 4, 2);
  rotate(state, 2, 17);
  mix(state, 2, 4);
  swap(state, 4);
}

function add(state: Int32Array, to: number, from: number): void {
  const low = (state[to]! >>> 0) + (state[from]! >>> 0);
  state[to] = low;
  state[to + 1] = state[to + 1]! + state[from + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** By less than 32 bits to the left. */
function rotate(state: Int32Array, at: number, bits: number): void {
  const low = state[at]!;
  const high = state[at + 1]!;
  state[at] = (low << bits) | (high >>> (32 - bits));
  state[at + 1] = (high << bits) | (low >>> (32 - bits));
}

function mix(state: Int32Array, to: number, from: number): void {
  state[to]! ^= state[from]!;
  state[to + 1]! ^= state[from + 1]!;
}

/** By 32 bits. */
function swap(state: Int32Array, at: number): void {
  const low = state[at]!;
  state[at] = state[at + 1]!;
  state[at + 1] = low;
}
