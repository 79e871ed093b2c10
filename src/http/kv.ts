/** /v1/kv. Consul 1.10 agent/kvs_endpoint.go; spec/http.md section 8. */
import type { Authorizer } from "../cluster/acl.ts";
import type { KvOperation } from "../cluster/kv-apply.ts";
import type { KvRecord } from "../cluster/model.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { createListTexts, type ListTexts } from "./kv-json.ts";
import { answerRead, parseReadOptions, type ReadOptions } from "./read.ts";
import { requireRight } from "./rights.ts";
import { parseUint64 } from "./uint64.ts";

/** GET, PUT, DELETE /v1/kv/<key>. */
export function kvRoutes(): readonly Route[] {
  const texts = createListTexts();
  return [route(["GET", "PUT", "DELETE"], "/v1/kv/", (call) => serveKey(call, texts))];
}

function serveKey(call: Call, texts: ListTexts): Reply {
  const options = parseReadOptions(call);
  switch (call.method) {
    case "PUT":
      return put(call);
    case "DELETE":
      return remove(call);
    default:
      return read(call, options, texts);
  }
}

const notFound = Symbol("not found");

function read(call: Call, options: ReadOptions, texts: ListTexts): Reply {
  if (call.parameters.length > 0) {
    if (call.has("keys")) return readKeys(call, options);
    if (call.has("recurse")) return readTree(call, options, texts);
  }
  const key = requireKey(call);
  call.requireDatacenter();
  const { reader } = call.deps;
  const isRaw = call.parameters.length > 0 && call.has("raw");
  return answerRead(call, options, {
    topics: [`kv:${key}`],
    showsConsistency: false,
    look(rights) {
      requireRight(rights.keyRead(key));
      const record = reader.kv.get(key);
      return record === undefined
        ? { value: notFound, absent: true }
        : { value: record, index: record.modifyIndex };
    },
    answer(value) {
      if (value === notFound) return call.empty(404);
      const record = value as KvRecord; // what `look` has found
      return isRaw ? answerRaw(call, record) : call.json(texts([record]));
    },
  });
}

function readTree(call: Call, options: ReadOptions, texts: ListTexts): Reply {
  call.requireDatacenter();
  const prefix = call.argument;
  return answerRead(call, options, {
    topics: [`kv*${prefix}`],
    showsConsistency: false,
    look: (rights) => ({ value: readable(call, rights) }),
    answer(value) {
      const records = value as readonly KvRecord[]; // what `look` has found
      return records.length === 0 ? call.empty(404) : call.json(texts(records));
    },
  });
}

function readKeys(call: Call, options: ReadOptions): Reply {
  call.requireDatacenter();
  const prefix = call.argument;
  const separator = call.query(call.has("separator") ? "separator" : "seperator");
  return answerRead(call, options, {
    topics: [`kv*${prefix}`],
    showsConsistency: false,
    look: (rights) => ({ value: cutKeys(readable(call, rights), prefix, separator) }),
    answer(value) {
      const keys = value as readonly string[]; // what `look` has found
      return keys.length === 0 && prefix !== "" ? call.empty(404) : call.json(keys);
    },
  });
}

/** Throws 403 where lists need a right of their own. */
function readable(call: Call, rights: Authorizer): KvRecord[] {
  const { acl, reader } = call.deps;
  requireRight(!acl.enableKeyListPolicy || rights.keyList(call.argument));
  const found: KvRecord[] = [];
  for (const record of reader.kv.list(call.argument))
    if (rights.keyRead(record.key)) found.push(record);
  return found;
}

/** Names up to and with the first separator after the prefix, each once, in order. */
function cutKeys(records: readonly KvRecord[], prefix: string, separator: string): string[] {
  if (separator === "") return records.map((record) => record.key);
  const keys = new Set<string>();
  for (const { key } of records) {
    const at = key.indexOf(separator, prefix.length);
    keys.add(at < 0 ? key : key.slice(0, at + separator.length));
  }
  return [...keys];
}

/** With headers that keep a browser from running what somebody stored. */
function answerRaw(call: Call, record: KvRecord): Reply {
  call.setHeader("X-Content-Type-Options", "nosniff");
  call.setHeader("Content-Security-Policy", "sandbox");
  return call.octets(new Uint8Array(Buffer.from(record.value, "base64")), "text/plain");
}

async function put(call: Call): Promise<Response> {
  const key = requireKey(call);
  const hasParameters = call.parameters.length > 0;
  if (hasParameters) refuseConflicts(call, ["cas", "acquire", "release"]);
  const flags = hasParameters && call.has("flags") ? readUint64(call, "flags").toString() : "0";
  const index = hasParameters && call.has("cas") ? readIndex(call) : undefined;
  requireFitting(call);
  const value = Buffer.from(await call.readOctets()).toString("base64");
  const fields = { key, value, flags };
  if (index !== undefined) return write(call, { verb: "cas", index, ...fields });
  if (hasParameters) {
    // Consul takes the last of them, and only one can be there.
    if (call.has("acquire"))
      return write(call, { verb: "lock", session: call.query("acquire"), ...fields });
    if (call.has("release"))
      return write(call, { verb: "unlock", session: call.query("release"), ...fields });
  }
  return write(call, { verb: "set", ...fields });
}

function remove(call: Call): Reply {
  refuseConflicts(call, ["recurse", "cas"]);
  if (call.has("recurse")) return write(call, { verb: "delete-tree", key: call.argument });
  const key = requireKey(call);
  if (call.has("cas")) return write(call, { verb: "delete-cas", key, index: readIndex(call) });
  return write(call, { verb: "delete", key });
}

async function write(call: Call, operation: KvOperation): Promise<Response> {
  call.requireDatacenter();
  const rights = call.authorizer();
  const isAllowed =
    operation.verb === "delete-tree"
      ? rights.keyWritePrefix(operation.key)
      : rights.keyWrite(operation.key);
  requireRight(isAllowed);
  return call.json(await call.propose({ type: "kv", operation }));
}

function requireKey(call: Call): string {
  if (call.argument === "") throw new HttpError(400, "Missing key name");
  return call.argument;
}

/** Throws 400 with all parameters as Go's url.Values.Encode prints them, when two of these are there. */
function refuseConflicts(call: Call, names: readonly string[]): void {
  if (names.filter((name) => call.has(name)).length < 2) return;
  const parameters = [...call.parameters].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const encoded = parameters.map((pair) => pair.map(escapeQuery).join("=")).join("&");
  throw new HttpError(400, `Conflicting flags: ${encoded}`);
}

/** Go's url.QueryEscape. */
function escapeQuery(text: string): string {
  return encodeURIComponent(text)
    .replaceAll("%20", "+")
    .replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function readUint64(call: Call, name: string): bigint {
  const parsed = parseUint64(call.query(name));
  if (!parsed.ok) throw new HttpError(500, parsed.error);
  return parsed.value;
}

/** Indexes of ours are far below 2^53: one that is not is no record's. */
function readIndex(call: Call): number {
  return Number(readUint64(call, "cas"));
}

/** Consul looks at the length that the client announces, and so takes more than this in chunks. */
function requireFitting(call: Call): void {
  const announced = Number(call.header("Content-Length") ?? 0);
  const most = call.settings.kvMaxValueOctets;
  if (announced > most)
    throw new HttpError(
      413,
      `Request body(${announced} bytes) too large, max size: ${most} bytes. ` +
        "See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
    );
}
