/** Node metadata as TXT records. */
import type { NodeRecord } from "../cluster/model.ts";
import { record } from "./rrset.ts";
import { TYPE, type Rr } from "./rr.ts";

const utf8 = new TextEncoder();
/** RFC 1035 3.3. */
const MAX_STRING_OCTETS = 255;

/** One TXT record per pair, in the order of the stored map. */
export function nodeTxt(node: NodeRecord, owner: Uint8Array, ttl: number): Rr[] {
  if (node.meta === null) return [];
  const records: Rr[] = [];
  for (const key in node.meta)
    records.push(record(owner, TYPE.TXT, ttl, encodeStrings(txtOf(key, node.meta[key]!))));
  return records;
}

/** The value alone for keys with the prefix `rfc1035-`, else `key=value` as RFC 1464 quotes it. */
export function txtOf(key: string, value: string): string {
  if (key.slice(0, 8).toLowerCase() === "rfc1035-") return value;
  const quotedKey = key
    .replaceAll("`", "``")
    .replaceAll("=", "`=")
    .replaceAll(/^ +| +$/g, (spaces) => "` ".repeat(spaces.length));
  return `${quotedKey}=${value.replaceAll("`", "``")}`;
}

function encodeStrings(text: string): Uint8Array {
  const octets = utf8.encode(text);
  const count = Math.max(1, Math.ceil(octets.length / MAX_STRING_OCTETS));
  const data = new Uint8Array(octets.length + count);
  for (let i = 0; i < count; i++) {
    const part = octets.subarray(i * MAX_STRING_OCTETS, (i + 1) * MAX_STRING_OCTETS);
    data[i * (MAX_STRING_OCTETS + 1)] = part.length;
    data.set(part, i * (MAX_STRING_OCTETS + 1) + 1);
  }
  return data;
}
