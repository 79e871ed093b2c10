/**
 * The union of log commands. A command carries everything that is not deterministic: UUIDs and wall
 * time are drawn by the proposer. `decode(encode(c))` is deeply equal to `c` (undefined members do
 * not exist in commands; use null or leave the key out).
 *
 * Result of a command: `ok(true)`, or the id for query-set and session-create, or the record for the
 * ACL commands; the error is the text that a client sees, prefix included ("apply failed: Missing
 * node registration"), so that the HTTP layer passes it on unchanged with status 500.
 */
import type {
  CheckRecord,
  NodeRecord,
  QueryRecord,
  ServiceRecord,
  SessionRecord,
} from "./model.ts";

type Plain<T> = Omit<T, "createIndex" | "modifyIndex">;
export type NodeFields = Plain<NodeRecord>;
/** `node` comes from the command. */
export type ServiceFields = Omit<Plain<ServiceRecord>, "node">;
/** serviceName and serviceTags are filled in by `apply` from the service. */
export type CheckFields = Omit<Plain<CheckRecord>, "node" | "serviceName" | "serviceTags">;
export type QueryFields = Plain<QueryRecord>;
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

export type AclPolicyFields = {
  id: string;
  name: string;
  description: string;
  rules: string;
  datacenters: readonly string[] | null;
};
export type AclTokenFields = {
  accessorId: string;
  secretId: string;
  description: string;
  policies: readonly { id: string; name: string }[];
  local: boolean;
  createTimeMs: number;
};

export type Command =
  | RegisterCommand
  | DeregisterCommand
  | { type: "query-set"; query: QueryFields; create: boolean }
  | { type: "query-delete"; id: string }
  | { type: "session-create"; session: SessionFields; timeMs: number }
  | { type: "session-destroy"; id: string; timeMs: number }
  | { type: "acl-policy-set"; policy: AclPolicyFields }
  | { type: "acl-policy-delete"; id: string }
  | { type: "acl-token-set"; token: AclTokenFields }
  | { type: "acl-token-delete"; accessorId: string }
  /** First entry of a leader's term: fences commands of older epochs. */
  | { type: "epoch"; epoch: number; timeMs: number };
