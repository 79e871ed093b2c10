/** Records of the KV store as clients of the HTTP API see them. Flags have 64 bits, which a number does not hold. */
import { fail, ok, type Result } from "../base.ts";
import { escapeAsGo } from "../go-json.ts";
import { decodeShape } from "./decode.ts";

/** One record. */
export type KvPair = {
  readonly key: string;
  /** Base64; "" for an empty value. */
  readonly value: string;
  readonly flags: bigint;
  /** Id of the session that holds it; "" for none. */
  readonly session: string;
  readonly lockIndex: number;
  readonly createIndex: number;
  readonly modifyIndex: number;
};

const pairsShape = {
  list: {
    struct: {
      Key: "string",
      Value: "string",
      Flags: "string",
      Session: "string",
      LockIndex: "int",
      CreateIndex: "int",
      ModifyIndex: "int",
    },
  },
} as const;

/**
 * Reads the body of `GET /v1/kv/…`. A quote inside a text is escaped, so `"Flags":` is a member's name
 * wherever it stands. The error is a sentence.
 */
export function parseKvPairs(json: string): Result<KvPair[], string> {
  let value: unknown;
  try {
    value = JSON.parse(json.replaceAll(/"Flags": *(\d+)/g, '"Flags":"$1"'));
  } catch {
    return fail("it is not JSON");
  }
  const decoded = decodeShape(pairsShape, value, { unknown: undefined });
  if (!decoded.ok) return decoded;
  const pairs = decoded.value ?? [];
  if (!pairs.every(({ Flags }) => /^\d{0,20}$/.test(Flags))) return fail("Flags is no number");
  return ok(
    pairs.map((each) => ({
      key: each.Key,
      value: each.Value,
      flags: BigInt(each.Flags),
      session: each.Session,
      lockIndex: each.LockIndex,
      createIndex: each.CreateIndex,
      modifyIndex: each.ModifyIndex,
    })),
  );
}

/** One record as Consul's Go client prints it (`api.KVPair`); the HTTP API has another order and leaves an empty session out. */
export function renderKvPair(pair: KvPair): string {
  const { key, createIndex, modifyIndex, lockIndex, flags, value, session } = pair;
  const text = (word: string) => escapeAsGo(JSON.stringify(word));
  return `{"Key":${text(key)},"CreateIndex":${createIndex},"ModifyIndex":${modifyIndex},"LockIndex":${lockIndex},"Flags":${flags},"Value":${
    value === "" ? "null" : text(value)
  },"Session":${text(session)}}`;
}
