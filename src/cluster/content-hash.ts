/**
 * Content hash of a local service as /v1/agent/service/<id> shows it: 16 hexadecimal digits, equal
 * for equal values whatever the order of their members, the same on every machine and after every
 * restart. 64-bit FNV-1a (IETF draft-eastlake-fnv) over a canonical text of the value.
 */
export function contentHash(value: unknown): string {
  let hash = 0xcbf29ce484222325n;
  for (const octet of new TextEncoder().encode(canonical(value)))
    hash = ((hash ^ BigInt(octet)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(16).padStart(16, "0");
}

/** JSON with the members of objects in order of their names. */
function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(",")}}`;
}
