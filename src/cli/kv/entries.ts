/** Entries of the KV store as `/v1/kv` shows them. */
import { posix } from "node:path";
import { fail, ok, type Result } from "../../base.ts";
import { decodeShape } from "../../cluster/decode.ts";
import { parseKvPairs } from "../../cluster/kv-pair.ts";
import { understood } from "../answer.ts";
import { HttpFailure, type Answer, type HttpClient } from "../client.ts";
import { attempt } from "../command.ts";

/** One entry; `flags` is the decimal text of a number of 64 bits, `session` "" where no lock is held. */
export type Entry = {
  key: string;
  value: Uint8Array;
  flags: string;
  lockIndex: number;
  session: string;
  createIndex: number;
  modifyIndex: number;
};

/** JSON whose members `flags` are texts, so that no number of 64 bits is rounded. Throws what JSON.parse throws. */
export function parseWithExactFlags(json: string): unknown {
  // Inside a text of JSON the quotes are escaped, so this finds members only.
  return JSON.parse(json.replaceAll(/("flags"\s*:\s*)(\d+)(?=\s*[,}])/gi, '$1"$2"'));
}

/** The entry at a key, or those below a prefix; none if there is no such key. Ends the command if it is not told. */
export async function readEntries(
  http: HttpClient,
  key: string,
  { recurse }: { recurse: boolean },
): Promise<Entry[]> {
  const query = recurse ? { recurse: "" } : {};
  const answer = await attempt("Error querying Consul agent", found(http, key, query));
  return answer === undefined ? [] : toEntries(answer);
}

/** Names below a prefix, cut after the separator. Ends the command if they are not told. */
export async function readKeys(http: HttpClient, prefix: string, separator: string) {
  const query = { keys: "", ...(separator === "" ? {} : { separator }) };
  const answer = await attempt("Error querying Consul agent", found(http, prefix, query));
  return understood(decodeShape({ list: "string" }, answer?.json())) ?? [];
}

async function found(
  http: HttpClient,
  key: string,
  query: Record<string, string>,
): Promise<Answer | undefined> {
  try {
    return await http.request("GET", keyPath(key), { query });
  } catch (error) {
    if (error instanceof HttpFailure && error.status === 404) return undefined;
    throw error;
  }
}

function toEntries({ text }: Answer): Entry[] {
  return understood(parseKvPairs(text)).map((pair) => ({
    ...pair,
    value: Buffer.from(pair.value, "base64"),
    flags: String(pair.flags),
  }));
}

/** Path of a key; its slashes stay. Halves of surrogate pairs become U+FFFD, as in Go. */
export function keyPath(key: string): string {
  return `/v1/kv/${key.toWellFormed().split("/").map(encodeURIComponent).join("/")}`;
}

/** Users write `/foo`, but no key begins with a slash; reads and deletions take one off, as Consul's. */
export function withoutSlash(key: string): string {
  return key.startsWith("/") ? key.slice(1) : key;
}

/**
 * What a user writes as folder of further keys, without `//` and `.` and slashes in front, which the API
 * does not take. undefined: it leads out of the store.
 */
export function cleanFolder(text: string): string | undefined {
  const clean = posix.normalize(text).replace(/^\/+/, "");
  if (/^\.\.(\/|$)/.test(clean)) return undefined;
  return /^\.\/?$/.test(clean) ? "" : clean;
}

/** Why a key cannot be written; undefined if nothing is wrong. The sentence of Consul's client. */
export function keyProblem(key: string): string | undefined {
  return key.startsWith("/") ? `Invalid key. Key must not begin with a '/': ${key}` : undefined;
}

/** Standard base64, line ends left out; the error is that of Go's encoding/base64. */
export function parseBase64(text: string): Result<Uint8Array, string> {
  const plain = text.replaceAll(/[\r\n]/g, "");
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(plain))
    return ok(Buffer.from(plain, "base64"));
  const foreign = text.search(/[^A-Za-z0-9+/=\r\n]/);
  const end = plain.search(/=|$/);
  return fail(`illegal base64 data at input byte ${foreign >= 0 ? foreign : end - (end % 4)}`);
}
