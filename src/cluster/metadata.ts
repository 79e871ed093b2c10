/** Limits of Consul 1.10 for the metadata of nodes and services, and for prepared queries. */
const PAIRS_MAX = 64;
const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 512;
const KEY = /^[A-Za-z0-9_-]+$/;

/** Consul's text for the first thing wrong with the pairs; undefined if they are fine. */
export function metadataProblem(
  meta: Readonly<Record<string, string>> | null,
  allowConsulPrefix = false,
): string | undefined {
  if (meta === null) return undefined;
  const keys = Object.keys(meta);
  if (keys.length > PAIRS_MAX)
    return `Node metadata cannot contain more than ${PAIRS_MAX} key/value pairs`;
  for (const key of keys) {
    const problem = pairProblem(key, meta[key]!, allowConsulPrefix);
    if (problem !== undefined)
      return `Couldn't load metadata pair ('${key}', '${meta[key]!}'): ${problem}`;
  }
  return undefined;
}

function pairProblem(key: string, value: string, allowConsulPrefix: boolean): string | undefined {
  if (key === "") return "Key cannot be blank";
  if (!KEY.test(key)) return "Key contains invalid characters";
  if (key.length > KEY_LENGTH_MAX) return `Key is too long (limit: ${KEY_LENGTH_MAX} characters)`;
  if (!allowConsulPrefix && key.startsWith("consul-"))
    return "Key prefix 'consul-' is reserved for internal use";
  if (octetsOf(value) > VALUE_LENGTH_MAX)
    return `Value is too long (limit: ${VALUE_LENGTH_MAX} characters)`;
  return undefined;
}

/** Go measures texts in octets, whatever its message says. */
function octetsOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
