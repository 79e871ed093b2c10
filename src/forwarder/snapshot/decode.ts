/** Reads back what encode.ts wrote. Nothing in the octets is believed before it was checked. */
import { fail, ok, type Result } from "../../base.ts";
import { crc32 } from "../../crc32.ts";
import { MAX_MESSAGE_OCTETS } from "../../dns/encode.ts";
import { parseMessage } from "../../dns/message.ts";
import { equalNames } from "../../dns/name.ts";
import { TYPE } from "../../dns/rr.ts";
import type { Cache, Entry } from "../cache.ts";
import { groupIdOf, inGroup, parseKey } from "../key.ts";
import { FORMAT, HEAD_OCTETS, type GroupPrint } from "./encode.ts";

/** No TTL is longer (RFC 2181 section 8). */
const MAX_LIFE_MS = 2 ** 31 * 1000;

export type SnapshotTarget = {
  /** Of the groups in use now. */
  groups: readonly GroupPrint[];
  nowMs: number;
  /** What to add to monotonic times to get wall time. */
  wallOffsetMs: number;
  /** How long after its end an entry is of use yet. */
  staleMs: number;
  restore: Cache["restore"];
};

/** Entries that were put back, and those that were too old or of servers that are no more. */
export type Restored = { entries: number; leftOut: number };

/**
 * Puts the entries back, if the octets are whole; undefined after every block, where the caller may
 * pause. An error says what is wrong with them.
 */
export function* decodeSnapshot(
  octets: Uint8Array,
  target: SnapshotTarget,
): Generator<undefined, Result<Restored, string>> {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < octets.length; at += HEAD_OCTETS + blocks.at(-1)!.length) {
    const block = blockAt(octets, at);
    if (!block.ok) return block;
    blocks.push(block.value);
    yield undefined;
  }
  const [first, last] = [blocks.shift(), blocks.pop()];
  if (first === undefined || last === undefined) return fail("it ends too early");
  const ids = parseHeader(first, target.groups);
  if (!ids.ok) return ids;
  const { entries } = parseJson(last);
  if (typeof entries !== "number") return fail("it ends too early");
  const restored: Restored = { entries: 0, leftOut: 0 };
  for (const block of blocks) {
    const done = restoreBlock(block, ids.value, target, restored);
    if (!done.ok) return done;
    yield undefined;
  }
  return ok(restored);
}

function blockAt(octets: Uint8Array, at: number): Result<Uint8Array, string> {
  if (at + HEAD_OCTETS > octets.length) return fail("it ends too early");
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const end = at + HEAD_OCTETS + view.getUint32(at);
  if (end > octets.length) return fail("it ends too early");
  const block = octets.subarray(at + HEAD_OCTETS, end);
  return crc32(block) === view.getUint32(at + 4) ? ok(block) : fail(`damage at octet ${at}`);
}

function parseJson(block: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(new TextDecoder().decode(block))) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Ids of the groups in the octets → ids of the same groups now. */
function parseHeader(
  block: Uint8Array,
  groups: readonly GroupPrint[],
): Result<Map<number, number>, string> {
  const { format, groups: written } = parseJson(block);
  if (format !== FORMAT || !Array.isArray(written)) return fail(`its format is not ${FORMAT}`);
  const now = new Map(groups.map(({ id, print }) => [print, id]));
  const ids = new Map<number, number>();
  for (const group of written) {
    const { id, print } = Object(group) as Partial<GroupPrint>;
    const same = print === undefined ? undefined : now.get(print);
    if (id !== undefined && same !== undefined) ids.set(id, same);
  }
  return ok(ids);
}

function restoreBlock(
  block: Uint8Array,
  ids: ReadonlyMap<number, number>,
  target: SnapshotTarget,
  restored: Restored,
): Result<void, string> {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  let at = 0;
  while (at < block.length) {
    if (at + 28 > block.length) return fail("an entry is cut");
    const keyAt = at + 28;
    const serverAt = keyAt + view.getUint16(at);
    const wireAt = serverAt + view.getUint8(at + 23);
    const end = wireAt + view.getUint32(at + 24);
    if (end > block.length) return fail("an entry is cut");
    const key = text(block.subarray(keyAt, serverAt));
    const groupId = ids.get(groupIdOf(key));
    const kept = {
      // A copy: the whole file would stay in memory else.
      wire: block.slice(wireAt, end),
      storedAtMs: view.getFloat64(at + 2) - target.wallOffsetMs,
      expiresAtMs: view.getFloat64(at + 10) - target.wallOffsetMs,
      denialSeconds: view.getInt32(at + 18),
      server: text(block.subarray(serverAt, wireAt)),
      hits: view.getUint8(at + 22),
    };
    const zone = groupId === undefined ? undefined : zoneOf(key, kept, target);
    if (groupId === undefined || zone === undefined) restored.leftOut++;
    else {
      target.restore(inGroup(key, groupId), kept, zone);
      restored.entries++;
    }
    at = end;
  }
  return ok(undefined);
}

function text(octets: Uint8Array): string {
  let characters = "";
  for (const octet of octets) characters += String.fromCharCode(octet);
  return characters;
}

/**
 * Owner of the SOA of a denial, null for answers; undefined: the entry is of no use. A clock that was
 * set back makes entries of the future: how old they are cannot be told.
 */
function zoneOf(
  key: string,
  kept: Omit<Entry, "earlyForMs">,
  { nowMs, staleMs }: SnapshotTarget,
): Uint8Array | null | undefined {
  if (!(kept.storedAtMs <= nowMs && kept.expiresAtMs > kept.storedAtMs)) return undefined;
  if (kept.expiresAtMs + staleMs <= nowMs || key.length < 8) return undefined;
  if (kept.expiresAtMs - kept.storedAtMs > MAX_LIFE_MS) return undefined;
  if (kept.wire.length > MAX_MESSAGE_OCTETS) return undefined;
  const parsed = parseMessage(kept.wire);
  if (!parsed.ok) return undefined;
  const { question, authority } = parsed.value;
  if (question.length < 5 || !equalNames(question.subarray(0, -4), parseKey(key).name))
    return undefined;
  if (kept.denialSeconds < 0) return null;
  return authority.find(({ type }) => type === TYPE.SOA)?.owner ?? null;
}
