/** One good body for everything that can be written, by its route. */
const session = "10000000-0000-4000-8000-000000000001";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const service = {
  ID: "web-1",
  Name: "web",
  Tags: ["a", "b"],
  Address: "10.0.0.1",
  Port: 80,
  Meta: { version: "1" },
  TaggedAddresses: { lan: { Address: "10.0.0.1", Port: 80 } },
  Weights: { Passing: 10, Warning: 1 },
  EnableTagOverride: true,
  Checks: [
    { CheckID: "c1", TTL: "10s", Status: "passing" },
    { HTTP: "http://127.0.0.1/", Interval: "10s", Header: { A: ["b"] }, Timeout: "1s" },
    { AliasService: "web", DeregisterCriticalServiceAfter: "1m" },
  ],
};
const catalog = {
  Datacenter: "dc1",
  ID: "aaaaaaaa-0000-4000-8000-00000000000a",
  Node: "n1",
  Address: "10.0.0.1",
  TaggedAddresses: { lan: "10.0.0.1" },
  NodeMeta: { rack: "1" },
  Service: {
    ID: "web-1",
    Service: "web",
    Port: 80,
    Tags: ["a"],
    Weights: { Passing: 1, Warning: 1 },
  },
  Check: {
    CheckID: "c",
    Name: "c",
    Status: "passing",
    ServiceID: "web-1",
    Definition: { TCP: "x:1", Interval: "10s" },
  },
  Checks: [{ Name: "node", Status: "warning" }],
  SkipNodeUpdate: false,
};
const query = {
  Name: "q1",
  Session: "",
  Token: "",
  Template: { Type: "name_prefix_match", Regexp: "^(.*)$", RemoveEmptyTags: true },
  Service: {
    Service: "web",
    Failover: { NearestN: 1, Datacenters: ["dc2"] },
    OnlyPassing: true,
    IgnoreCheckIDs: ["c"],
    Near: "_agent",
    Tags: ["a", "!b"],
    NodeMeta: { rack: "1" },
    ServiceMeta: { version: "1" },
  },
  DNS: { TTL: "10s" },
};
const policy = {
  Name: "p1",
  Description: "d",
  Rules: 'key_prefix "a" { policy = "write" } service "web" { policy = "read" }',
  Datacenters: ["dc1"],
};
const links = {
  Policies: [{ Name: "p1" }, { ID: session }],
  Roles: [{ Name: "r1" }],
  ServiceIdentities: [{ ServiceName: "web", Datacenters: ["dc1"] }],
  NodeIdentities: [{ NodeName: "n1", Datacenter: "dc1" }],
};

/** By path, longest first match wins. */
export const bodies: readonly [path: string, body: Json][] = [
  ["/v1/agent/service/register", service],
  [
    "/v1/agent/check/register",
    { ID: "own", Name: "own", TTL: "10s", ServiceID: "web-1", Notes: "n" },
  ],
  ["/v1/agent/check/update", { Status: "passing", Output: "fine" }],
  ["/v1/agent/token", { Token: session }],
  ["/v1/catalog/register", catalog],
  ["/v1/catalog/deregister", { Datacenter: "dc1", Node: "n1", ServiceID: "web-1", CheckID: "c" }],
  [
    "/v1/session/create",
    {
      Node: "n1",
      Name: "s",
      LockDelay: "1s",
      Behavior: "delete",
      TTL: "10s",
      NodeChecks: ["c"],
      ServiceChecks: [{ ID: "c1" }],
      Checks: ["c"],
    },
  ],
  ["/v1/query", query],
  [
    "/v1/txn",
    [
      { KV: { Verb: "set", Key: "a/b", Value: "YQ==", Flags: 1 } },
      { KV: { Verb: "cas", Key: "a/b", Value: "YQ==", Index: 3, Session: session } },
      { KV: { Verb: "get-tree", Key: "a" } },
      {
        Node: { Verb: "set", Node: { ID: "", Node: "n1", Address: "10.0.0.1", Meta: { a: "b" } } },
      },
      { Service: { Verb: "set", Node: "n1", Service: { ID: "web-1", Service: "web", Port: 80 } } },
      {
        Check: {
          Verb: "cas",
          Check: {
            Node: "n1",
            CheckID: "c",
            Name: "c",
            Status: "passing",
            ModifyIndex: 2,
            Definition: { HTTP: "http://x", Interval: "10s" },
          },
        },
      },
    ],
  ],
  [
    "/v1/coordinate/update",
    {
      Node: "n1",
      Segment: "",
      Coord: { Vec: [0, 0.1, 0, 0, 0, 0, 0, 0], Error: 1.5, Adjustment: 0, Height: 0.00001 },
    },
  ],
  ["/v1/acl/policy", policy],
  [
    "/v1/acl/token",
    {
      AccessorID: session,
      SecretID: session,
      Description: "d",
      ExpirationTTL: "1h",
      Local: false,
      ...links,
    },
  ],
  ["/v1/acl/role", { Name: "r1", Description: "d", ...links }],
  ["/v1/acl/rules/translate", 'key "a" { policy = "write" }'],
  [
    "/v1/operator/autopilot/configuration",
    {
      CleanupDeadServers: true,
      LastContactThreshold: "200ms",
      MaxTrailingLogs: 250,
      MinQuorum: 0,
      ServerStabilizationTime: "10s",
    },
  ],
  ["/v1/operator/keyring", { Key: "cg8StVXbQJ0gPvMd9o7yrg==" }],
  ["/v1/event/fire", "payload"],
  ["/v1/kv/", "value"],
  ["/v1/", { a: 1 }],
];

/** What an endpoint is meant to get. */
export function bodyFor(path: string): Json {
  return bodies.find(([start]) => path.startsWith(start))?.[1] ?? null;
}
