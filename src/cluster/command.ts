/**
 * The union of log commands. A command carries everything that is not deterministic, such as UUIDs;
 * the time is that of its log entry. `decode(encode(c, t))` is deeply equal to `c` and `t` (undefined
 * members do not exist in commands; use null or leave the key out).
 *
 * Result of a command: `ok(true)`, `ok(false)` for a KV write that was not done, or the id for query-set and session-create, or the record for the
 * ACL commands; the error is the text that a client sees, prefix included ("apply failed: Missing
 * node registration"), so that the HTTP layer passes it on unchanged with status 500.
 */
import { assert, fail, ok, type Result } from "../base.ts";
import type { AutopilotFields } from "./autopilot.ts";
import { commandShapes } from "./command-shapes.ts";
import type { KvOperation } from "./kv-apply.ts";
import type { TxnOperation } from "./txn.ts";
import type {
  CheckRecord,
  CoordinateRecord,
  NodeRecord,
  QueryRecord,
  ServiceRecord,
  SessionRecord,
} from "./model.ts";

type Plain<T> = Omit<T, "createIndex" | "modifyIndex">;
/** A node as it is registered: the record without its indexes. */
export type NodeFields = Plain<NodeRecord>;
/** `node` comes from the command. */
export type ServiceFields = Omit<Plain<ServiceRecord>, "node">;
/** serviceName and serviceTags are filled in by `apply` from the service. */
export type CheckFields = Omit<Plain<CheckRecord>, "node" | "serviceName" | "serviceTags">;
/** A prepared query as it is set. */
export type QueryFields = Plain<QueryRecord>;
/** A session as it is created. */
export type SessionFields = Plain<SessionRecord>;

/** One transaction: node, then service, then checks; a failure of any part leaves all untouched. */
export type RegisterCommand = {
  type: "register";
  node: NodeFields;
  skipNodeUpdate: boolean;
  service: ServiceFields | null;
  checks: readonly CheckFields[];
};

/** serviceId: that service and its checks; checkId: that check; both "": the node and all it has. */
export type DeregisterCommand = {
  type: "deregister";
  node: string;
  serviceId: string;
  checkId: string;
};

/** A policy as it is set; `rules` is HCL or JSON, `datacenters` null for all. */
export type AclPolicyFields = {
  id: string;
  name: string;
  description: string;
  rules: string;
  datacenters: readonly string[] | null;
};
/** A link to a policy or a role: in a command one of the two may be "", in a record both are there. */
export type AclLink = { readonly id: string; readonly name: string };
/** Rights on a service of this name; no datacenters: in all. */
export type AclServiceIdentity = { serviceName: string; datacenters: readonly string[] };
/** Rights on a node of this name in one datacenter. */
export type AclNodeIdentity = { nodeName: string; datacenter: string };
/** Where a role or a token has its rights from; a member that is absent means none. */
export type AclGrants = {
  policies: readonly AclLink[];
  serviceIdentities?: readonly AclServiceIdentity[];
  nodeIdentities?: readonly AclNodeIdentity[];
};
/** A role as it is set. */
export type AclRoleFields = AclGrants & { id: string; name: string; description: string };
/** A token as it is set; times are ms of wall time since 1970, without the second it never expires. */
export type AclTokenFields = AclGrants & {
  accessorId: string;
  secretId: string;
  description: string;
  roles?: readonly AclLink[];
  local: boolean;
  createTimeMs: number;
  expirationTimeMs?: number;
};

/** What a log entry may ask the state machine for. */
export type Command =
  | RegisterCommand
  | DeregisterCommand
  | { type: "query-set"; query: QueryFields; create: boolean }
  | { type: "query-delete"; id: string }
  | { type: "session-create"; session: SessionFields }
  | { type: "session-destroy"; id: string }
  /** All settings of autopilot; with `cas` only if they were last changed at that index. */
  | { type: "autopilot-set"; config: AutopilotFields; cas: number | null }
  | { type: "acl-policy-set"; policy: AclPolicyFields }
  | { type: "acl-policy-delete"; id: string }
  /** `mustExist`: a change of a token, which brings back none that was deleted meanwhile. */
  | { type: "acl-token-set"; token: AclTokenFields; mustExist?: boolean }
  | { type: "acl-token-delete"; accessorId: string }
  | { type: "acl-role-set"; role: AclRoleFields }
  | { type: "acl-role-delete"; id: string }
  /** Tokens whose time was over at `expiredMs`; those among them that expire later stay. */
  | { type: "acl-tokens-reap"; accessorIds: readonly string[]; expiredMs: number }
  /** The first management token; again only with the reset index that the refusal named. */
  | { type: "acl-bootstrap"; token: AclTokenFields; resetIndex: number }
  /** Coordinates of nodes; of those that do not exist they are dropped. */
  | { type: "coordinates"; updates: readonly CoordinateRecord[] }
  /** One write of the KV store; the result says whether it was done. */
  | { type: "kv"; operation: KvOperation }
  /** Forgets the tombstones and lock delays whose time has passed. */
  | { type: "kv-reap" }
  /** All or nothing; the result's value is a TxnOutcome. */
  | { type: "txn"; operations: readonly TxnOperation[] }
  /** First entry of a leader's term: fences commands of older epochs. */
  | { type: "epoch"; epoch: number };

/**
 * What a log entry holds. `timeMs` is log time: milliseconds since 1970 as the leader that proposed
 * it counts them, never less than that of an entry before.
 */
export type LoggedCommand = { command: Command; timeMs: number };

/**
 * Layout of an entry: octet 0 version, octet 1 kind, then log time in decimal digits and the body, a
 * JSON object. Kinds are never used again for anything else. Version 1 had no time.
 */
const VERSION = 2;
const VERSION_WITHOUT_TIME = 1;
const KINDS: Readonly<Record<Command["type"], number>> = {
  register: 1,
  deregister: 2,
  "query-set": 3,
  "query-delete": 4,
  "session-create": 5,
  "session-destroy": 6,
  "acl-policy-set": 7,
  "acl-policy-delete": 8,
  "acl-token-set": 9,
  "acl-token-delete": 10,
  "acl-bootstrap": 11,
  "acl-role-set": 30,
  "acl-role-delete": 31,
  "acl-tokens-reap": 32,
  epoch: 12,
  "autopilot-set": 40,
  coordinates: 13,
  kv: 14,
  "kv-reap": 15,
  txn: 16,
};
const TYPES = new Map(Object.entries(KINDS).map(([type, kind]) => [kind, type]));
assert(TYPES.size === Object.keys(KINDS).length, "every command has a number of its own");
const HEADER_OCTETS = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Whether `decode` will read what `encode` makes of it. An entry that nobody can read stops every
 * server that comes to it, for ever, so whoever proposes asks first.
 */
export function isReadable(command: Command): boolean {
  return commandShapes[command.type](command);
}

/** Octets of a command for the log; `timeMs` is log time, an integer. */
export function encode(command: Command, timeMs: number): Uint8Array {
  // Version and kind are below 128, so they are themselves in UTF-8.
  const header = String.fromCharCode(VERSION, KINDS[command.type]);
  return encoder.encode(`${header}${timeMs}${JSON.stringify(command)}`);
}

/** The command in an entry; the error says what is wrong with octets that hold none. */
export function decode(octets: Uint8Array): Result<LoggedCommand, string> {
  if (octets.length < HEADER_OCTETS) return fail("command too short");
  if (octets[0] !== VERSION && octets[0] !== VERSION_WITHOUT_TIME)
    return fail(`command of unknown version ${octets[0]}`);
  const type = TYPES.get(octets[1]!);
  if (type === undefined) return fail(`command of unknown kind ${octets[1]}`);
  let body: unknown;
  let timeMs: number;
  try {
    const text = decoder.decode(octets.subarray(HEADER_OCTETS));
    const start = Math.max(0, text.indexOf("{"));
    timeMs = Number(text.slice(0, start));
    body = JSON.parse(text.slice(start));
  } catch {
    return fail(`${type} command is not JSON`);
  }
  if (!Number.isSafeInteger(timeMs) || timeMs < 0) return fail(`${type} command has a wrong time`);
  return isCommand(body, type)
    ? ok({ command: body, timeMs })
    : fail(`${type} command has a wrong member`);
}

function isCommand(body: unknown, type: string): body is Command {
  if (typeof body !== "object" || body === null) return false;
  // TYPES holds nothing but the keys of KINDS.
  return "type" in body && body.type === type && commandShapes[type as Command["type"]](body);
}
