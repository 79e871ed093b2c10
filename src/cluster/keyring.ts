/**
 * The ring of keys that gossip is encrypted with: the first one is the primary, which encrypts; all
 * decrypt. Texts are those of memberlist and Serf, which Consul's API passes on.
 */
import { fail, ok, type Result } from "../base.ts";

/** Keys in base64, the primary first; empty: no encryption. */
export type Keyring = readonly string[];

/** What may be done with one key. */
export type KeyringOperation = "install" | "use" | "remove";

/** AES-128, AES-192, AES-256. */
const KEY_OCTETS: readonly number[] = [16, 24, 32];
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const NO_KEYRING = "No keyring to modify (encryption not enabled)";

/** The ring afterwards; the same one if nothing was to be done. The key has been checked. */
export function applyKey(
  ring: Keyring,
  operation: KeyringOperation,
  key: string,
): Result<Keyring, string> {
  if (ring.length === 0) return fail(NO_KEYRING);
  const isThere = ring.includes(key);
  switch (operation) {
    case "install":
      return ok(isThere ? ring : [...ring, key]);
    case "use":
      if (!isThere) return fail("Requested key is not in the keyring");
      return ok(ring[0] === key ? ring : [key, ...ring.filter((other) => other !== key)]);
    case "remove":
      if (ring[0] === key) return fail("Removing the primary key is not allowed");
      return ok(isThere ? ring.filter((other) => other !== key) : ring);
  }
}

/** The key in its one spelling, if it is base64 of 16, 24 or 32 octets. */
export function parseKey(text: string): Result<string, string> {
  if (!BASE64.test(text)) return fail("illegal base64 data: the key is not in standard base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  if (!KEY_OCTETS.includes((text.length / 4) * 3 - padding))
    return fail("key size must be 16, 24 or 32 bytes");
  return ok(text);
}

/** A keyring file as Serf writes it: a JSON list of keys. */
export function parseKeyring(text: string): Result<Keyring, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail("it is not JSON");
  }
  if (!Array.isArray(value)) return fail("it is not a list of keys");
  if (value.length === 0) return fail("it holds no keys");
  const ring: string[] = [];
  for (const [i, item] of value.entries()) {
    const key = typeof item === "string" ? parseKey(item) : fail("it is not a text");
    if (!key.ok) return fail(`key ${i + 1}: ${key.error}`);
    if (!ring.includes(key.value)) ring.push(key.value);
  }
  return ok(ring);
}

/** Text of a keyring file. */
export const formatKeyring = (ring: Keyring): string => JSON.stringify(ring, null, 2);
