/**
 * What each route needs, written from spec/http.md section 17.10, not from the program: a route
 * that is not here fails the matrix.
 *
 * `needs`:
 *   nothing              the token is not looked at, not even whether it exists
 *   a token              any, also none; `empty` is what somebody without rights is shown
 *   `service:read:m-web` that rule, exact; without a name it is one of the scalars
 */
export type Need = {
  needs: string;
  /** What stands for the argument of a subtree, the query with it; made anew for each request. */
  argument?: string | ((admin: Admin) => Promise<string>);
  body?: unknown;
  empty?: unknown;
  /** Refusals that are not 403 `Permission denied`. */
  refusal?: { status?: number; text: RegExp };
  /** What comes after `Permission denied: ` for those who lack the right. */
  cause?: string;
  /** Ends the program: asked last, and allowed once. */
  isEnd?: true;
};

/** A request with the management token; rejects unless it is answered with 200. */
export type Admin = (method: string, path: string, body?: unknown) => Promise<unknown>;

const nothing: Need = { needs: "nothing" };
const coordinate = { Vec: [0, 0, 0, 0, 0, 0, 0, 0], Error: 1, Adjustment: 0, Height: 0 };
const member = (value: unknown, name: string): string => {
  const found = Object(value)[name];
  if (typeof found !== "string") throw new Error(`no ${name} in ${JSON.stringify(value)}`);
  return found;
};

const newSession = async (admin: Admin): Promise<string> =>
  member(await admin("PUT", "/v1/session/create", { Node: "m-node" }), "ID");
let drawn = 0;
const newQuery = async (admin: Admin): Promise<string> => {
  // Names are unique: the right is one on a prefix that all of them share.
  const body = { Name: `m-query-${++drawn}`, Service: { Service: "m-web" } };
  return member(await admin("POST", "/v1/query", body), "ID");
};
const newCheck = async (admin: Admin): Promise<string> => {
  const body = { ID: "m-ttl", Name: "m-ttl", TTL: "1h", ServiceID: "m-web" };
  await admin("PUT", "/v1/agent/check/register", body);
  return "m-ttl";
};
const newService = async (admin: Admin): Promise<string> => {
  await admin("PUT", "/v1/agent/service/register", { Name: "m-gone" });
  return "m-gone";
};
const unknown = "99999999-0000-4000-8000-000000000009";
const serviceCause = "Missing service:write on m-web";

/** `METHOD path` → need. A path that ends in "/" is a subtree. */
export const needs: Record<string, Need> = {
  "GET /metrics": nothing,
  "GET /health": nothing,
  "GET /ready": nothing,
  "GET /v1/status/leader": nothing,
  "GET /v1/status/peers": nothing,
  "GET /v1/catalog/datacenters": nothing,
  "GET /v1/coordinate/datacenters": nothing,

  "PUT /v1/catalog/register": {
    needs: "node:write:m-new",
    // A node that is there already, just so, needs no right.
    argument: async (admin) => {
      await admin("PUT", "/v1/catalog/deregister", { Node: "m-new" });
      return "";
    },
    body: { Node: "m-new", Address: "10.0.0.9" },
  },
  "PUT /v1/catalog/deregister": { needs: "node:write:m-new", body: { Node: "m-new" } },
  "GET /v1/catalog/nodes": { needs: "a token", empty: [] },
  "GET /v1/catalog/services": { needs: "a token", empty: {} },
  "GET /v1/catalog/service/": { needs: "a token", argument: "m-web", empty: [] },
  "GET /v1/catalog/connect/": { needs: "a token", argument: "m-web" },
  "GET /v1/catalog/node/": { needs: "a token", argument: "m-node", empty: null },
  "GET /v1/catalog/node-services/": {
    needs: "a token",
    argument: "m-node",
    empty: { Node: null, Services: null },
  },
  "GET /v1/health/node/": { needs: "a token", argument: "m-node", empty: [] },
  "GET /v1/health/checks/": { needs: "a token", argument: "m-web", empty: [] },
  "GET /v1/health/state/": { needs: "a token", argument: "any", empty: [] },
  "GET /v1/health/service/": { needs: "a token", argument: "m-web", empty: [] },
  "GET /v1/health/connect/": { needs: "a token", argument: "m-web" },

  "GET /v1/kv/": { needs: "key:read:m/k", argument: "m/k" },
  "PUT /v1/kv/": { needs: "key:write:m/k", argument: "m/k", body: "v" },
  "DELETE /v1/kv/": { needs: "key:write:m/gone", argument: "m/gone" },
  "PUT /v1/txn": {
    needs: "key:write:m/k",
    body: [{ KV: { Verb: "set", Key: "m/k", Value: "dg==" } }],
    refusal: { status: 409, text: /"What":"Permission denied"/ },
  },
  "PUT /v1/session/create": { needs: "session:write:m-node", body: { Node: "m-node" } },
  "PUT /v1/session/destroy/": { needs: "session:write:m-node", argument: newSession },
  "PUT /v1/session/renew/": { needs: "session:write:m-node", argument: newSession },
  "GET /v1/session/info/": { needs: "a token", argument: newSession, empty: [] },
  "GET /v1/session/node/": { needs: "a token", argument: "m-node", empty: [] },
  "GET /v1/session/list": { needs: "a token", empty: [] },
  "PUT /v1/event/fire/": { needs: "event:write:m-event", argument: "m-event" },
  "GET /v1/event/list": { needs: "a token", empty: [] },

  "GET /v1/query": { needs: "a token", empty: [] },
  "POST /v1/query": {
    needs: "query:write:m-made",
    body: { Name: "m-made", Service: { Service: "m-web" } },
  },
  "GET /v1/query/": { needs: "query_prefix:read:m-query-", argument: newQuery },
  "PUT /v1/query/": {
    needs: "query:write:m-fixed",
    argument: async (admin) => {
      await admin("PUT", "/v1/query/{{fixedQuery}}", {
        Name: "m-fixed",
        Service: { Service: "m-web" },
      });
      return "{{fixedQuery}}";
    },
    body: { Name: "m-fixed", Service: { Service: "m-web" } },
  },
  "DELETE /v1/query/": { needs: "query_prefix:write:m-query-", argument: newQuery },
  "GET /v1/query/execute": { needs: "a token", argument: "{{fixedQuery}}/execute" },
  "GET /v1/query/explain": { needs: "query:read:m-fixed", argument: "{{fixedQuery}}/explain" },

  "GET /v1/coordinate/nodes": { needs: "a token", empty: [] },
  "GET /v1/coordinate/node/": { needs: "node:read:m-node", argument: "m-node" },
  "PUT /v1/coordinate/update": {
    needs: "node:write:m-node",
    body: { Node: "m-node", Coord: coordinate },
  },
  "GET /v1/snapshot": { needs: "acl:write" },
  "PUT /v1/snapshot": { needs: "acl:write", body: "no snapshot" },

  "GET /v1/agent/self": { needs: "agent:read:n1" },
  "GET /v1/agent/version": { needs: "agent:read:n1" },
  "GET /v1/agent/metrics": { needs: "agent:read:n1" },
  "GET /v1/agent/monitor": { needs: "agent:read:n1" },
  "GET /v1/agent/members": { needs: "a token", empty: [] },
  "GET /v1/agent/host": { needs: "operator:read" },
  "PUT /v1/agent/reload": { needs: "agent:write:n1" },
  "PUT /v1/agent/leave": { needs: "agent:write:n1", isEnd: true },
  "PUT /v1/agent/join/": { needs: "agent:write:n1", argument: "127.0.0.1" },
  "PUT /v1/agent/force-leave/": { needs: "operator:write", argument: "nobody" },
  "PUT /v1/agent/token/": {
    needs: "agent:write:n1",
    argument: "replication",
    body: { Token: "r" },
  },
  "PUT /v1/agent/maintenance": { needs: "node:write:n1", argument: "?enable=false" },
  "GET /v1/agent/services": { needs: "a token", empty: {} },
  "GET /v1/agent/checks": { needs: "a token", empty: {} },
  "GET /v1/agent/service/": { needs: "service:read:m-web", argument: "m-web" },
  "GET /v1/agent/health/service/id/": { needs: "service:read:m-web", argument: "m-web" },
  "GET /v1/agent/health/service/name/": { needs: "service:read:m-web", argument: "m-web" },
  "PUT /v1/agent/service/register": {
    needs: "service:write:m-web",
    body: { Name: "m-web" },
    cause: serviceCause,
  },
  "PUT /v1/agent/service/deregister/": {
    needs: "service:write:m-gone",
    argument: newService,
    cause: "Missing service:write on m-gone",
  },
  "PUT /v1/agent/service/maintenance/": {
    needs: "service:write:m-web",
    argument: "m-web?enable=false",
    cause: serviceCause,
  },
  "PUT /v1/agent/check/register": {
    needs: "node:write:n1",
    body: { Name: "m-node-check", TTL: "1h" },
    cause: "Missing node:write on n1",
  },
  "PUT /v1/agent/check/deregister/": {
    needs: "service:write:m-web",
    argument: newCheck,
    cause: serviceCause,
  },
  "PUT /v1/agent/check/pass/": {
    needs: "service:write:m-web",
    argument: newCheck,
    cause: serviceCause,
  },
  "PUT /v1/agent/check/warn/": {
    needs: "service:write:m-web",
    argument: newCheck,
    cause: serviceCause,
  },
  "PUT /v1/agent/check/fail/": {
    needs: "service:write:m-web",
    argument: newCheck,
    cause: serviceCause,
  },
  "PUT /v1/agent/check/update/": {
    needs: "service:write:m-web",
    argument: newCheck,
    body: { Status: "passing" },
    cause: serviceCause,
  },

  "GET /v1/waypost/dns/query": { needs: "agent:read:n1", argument: "?name=consul.service.consul" },
  "GET /v1/waypost/dns/upstreams": { needs: "agent:read:n1" },
  "GET /v1/waypost/dns/local": { needs: "agent:read:n1" },
  "GET /v1/waypost/dns/cache": { needs: "operator:read" },
  "DELETE /v1/waypost/dns/cache": { needs: "operator:write" },
  "GET /v1/operator/raft/configuration": { needs: "operator:read" },
  "DELETE /v1/operator/raft/peer": { needs: "operator:write", argument: "?id=nobody" },
  "POST /v1/operator/raft/transfer-leader": { needs: "operator:write" },
  "GET /v1/operator/usage": { needs: "operator:read" },
  "GET /v1/operator/autopilot/configuration": {
    needs: "operator:read",
    cause: "Missing operator:read permissions",
  },
  "PUT /v1/operator/autopilot/configuration": {
    needs: "operator:write",
    body: {},
    cause: "Missing operator:write permissions",
  },
  "GET /v1/operator/autopilot/health": {
    needs: "operator:read",
    cause: "Missing operator:read permissions",
  },
  "GET /v1/operator/autopilot/state": {
    needs: "operator:read",
    cause: "Missing operator:read permissions",
  },
  ...Object.fromEntries(
    ["GET", "POST", "PUT", "DELETE"].map((method): [string, Need] => [
      `${method} /v1/operator/keyring`,
      {
        needs: method === "GET" ? "keyring:read" : "keyring:write",
        refusal: { status: 500, text: /keyring denied/ },
        ...(method === "GET" ? {} : { body: { Key: "AQEBAQEBAQEBAQEBAQEBAQ==" } }),
      },
    ]),
  ),

  // Over since the start: the answer is the same for everybody.
  "PUT /v1/acl/bootstrap": nothing,
  "GET /v1/acl/replication": nothing,
  "GET /v1/acl/policies": { needs: "acl:read" },
  "PUT /v1/acl/policy": { needs: "acl:write", body: {} },
  "GET /v1/acl/policy/": { needs: "acl:read", argument: "00000000-0000-0000-0000-000000000001" },
  "PUT /v1/acl/policy/": { needs: "acl:write", argument: unknown, body: { Name: "m" } },
  "DELETE /v1/acl/policy/": { needs: "acl:write", argument: unknown },
  "GET /v1/acl/policy/name/": { needs: "acl:read", argument: "global-management" },
  "GET /v1/acl/tokens": { needs: "acl:read" },
  "PUT /v1/acl/token": { needs: "acl:write", body: {} },
  "GET /v1/acl/token/": { needs: "acl:read", argument: "00000000-0000-0000-0000-000000000002" },
  "PUT /v1/acl/token/": { needs: "acl:write", argument: unknown, body: {} },
  "DELETE /v1/acl/token/": { needs: "acl:write", argument: unknown },
  "PUT /v1/acl/token/clone": {
    needs: "acl:write",
    argument: "00000000-0000-0000-0000-000000000002/clone",
    body: {},
  },
  // One's own token; those who show none have none.
  "GET /v1/acl/token/self": { needs: "its own token" },
  "GET /v1/acl/roles": { needs: "acl:read" },
  "PUT /v1/acl/role": { needs: "acl:write", body: {} },
  "GET /v1/acl/role/": { needs: "acl:read", argument: unknown },
  "PUT /v1/acl/role/": { needs: "acl:write", argument: unknown, body: { Name: "m" } },
  "DELETE /v1/acl/role/": { needs: "acl:write", argument: unknown },
  "GET /v1/acl/role/name/": { needs: "acl:read", argument: "nobody" },
  "POST /v1/acl/rules/translate": { needs: "acl:read", body: "" },
  "GET /v1/acl/rules/translate/": {
    needs: "acl:read",
    argument: "00000000-0000-0000-0000-000000000002",
  },
  // Removed: 410 for everybody.
  "PUT /v1/acl/create": nothing,
  "PUT /v1/acl/update": nothing,
  "PUT /v1/acl/destroy/": { needs: "nothing", argument: "x" },
  "GET /v1/acl/info/": { needs: "nothing", argument: "x" },
  "PUT /v1/acl/clone/": { needs: "nothing", argument: "x" },
  "GET /v1/acl/list": nothing,
};

/** Rows above that are a part of a subtree with rights of its own. */
export const partsOfSubtrees = [
  "GET /v1/query/execute",
  "GET /v1/query/explain",
  "PUT /v1/acl/token/clone",
];
