import type { Result } from "../base.ts";

/**
 * Records of the catalog and what may be read of them. Records are immutable: `apply` replaces a
 * record, it never changes one in place, so a reader (or a snapshot in progress) may keep it.
 * Every record carries createIndex and modifyIndex = index of the log entry that made it.
 * Field meanings follow Consul's HTTP API (spec of /v1/catalog and /v1/health), in camelCase.
 */
type Indexed = { readonly createIndex: number; readonly modifyIndex: number };

/** One node. Names are compared without case. */
export type NodeRecord = Indexed & {
  readonly node: string;
  /** Node UUID in lower case, "" when unknown. */
  readonly id: string;
  /** IP literal or host name, stored verbatim. */
  readonly address: string;
  readonly taggedAddresses: Readonly<Record<string, string>> | null;
  readonly meta: Readonly<Record<string, string>> | null;
};

/** Where an instance is reached by those whom the tag names (`lan`, `wan_ipv6`, ...). */
export type TaggedAddress = { readonly address: string; readonly port: number };

/** One instance of a service. */
export type ServiceRecord = Indexed & {
  /** Name of the node as stored in its record. */
  readonly node: string;
  readonly id: string;
  readonly service: string;
  readonly kind: string;
  readonly tags: readonly string[];
  /** "" means: the node's address. */
  readonly address: string;
  readonly taggedAddresses: Readonly<Record<string, TaggedAddress>> | null;
  readonly meta: Readonly<Record<string, string>> | null;
  readonly port: number;
  readonly socketPath: string;
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly enableTagOverride: boolean;
  /** Connect blocks: stored and echoed, nothing is done with them. */
  readonly proxy: unknown;
  readonly connect: unknown;
};

/** One health check, of a node (`serviceId` is "") or of an instance. */
export type CheckRecord = Indexed & {
  readonly node: string;
  readonly checkId: string;
  readonly name: string;
  /** passing | warning | critical, but the catalog stores any word that was sent. */
  readonly status: string;
  readonly notes: string;
  readonly output: string;
  /** "" for a node-level check. */
  readonly serviceId: string;
  readonly serviceName: string;
  readonly serviceTags: readonly string[];
  readonly type: string;
  readonly interval: string;
  readonly timeout: string;
  readonly exposedPort: number;
  /** As given at registration (PascalCase members, durations as Go strings), {} if none. */
  readonly definition: Readonly<Record<string, unknown>>;
};

/** A prepared query as stored; members as in /v1/query, camelCase. `null` lists and maps: not given. */
export type QueryRecord = Indexed & {
  readonly id: string;
  readonly name: string;
  readonly session: string;
  readonly token: string;
  readonly template: {
    readonly type: string;
    readonly regexp: string;
    readonly removeEmptyTags: boolean;
  };
  readonly service: {
    readonly service: string;
    readonly failover: {
      readonly nearestN: number;
      readonly datacenters: readonly string[] | null;
    };
    readonly onlyPassing: boolean;
    readonly ignoreCheckIds: readonly string[] | null;
    readonly near: string;
    readonly tags: readonly string[] | null;
    readonly nodeMeta: Readonly<Record<string, string>> | null;
    readonly serviceMeta: Readonly<Record<string, string>> | null;
    readonly connect: boolean;
  };
  readonly dns: { readonly ttl: string };
};

/** A place on the map of round-trip times; all numbers are seconds, `error` is a ratio. */
export type Coordinate = {
  readonly vec: readonly number[];
  readonly error: number;
  readonly adjustment: number;
  readonly height: number;
};

/** Where a node stands within a network segment; "" is the default segment. */
export type CoordinateRecord = {
  readonly node: string;
  readonly segment: string;
  readonly coordinate: Coordinate;
};

/** Segment → coordinate of one node; never empty. */
export type CoordinateSet = ReadonlyMap<string, CoordinateRecord>;

/** What is known of distances. Topic `coordinates`. */
export type CoordinateReader = {
  of(node: string): CoordinateSet | undefined;
  /** By node name, then by segment. */
  all(): readonly CoordinateRecord[];
};

/** One session: it ends with its node, with its checks, or when its TTL passes unrenewed. */
export type SessionRecord = Indexed & {
  readonly id: string;
  readonly name: string;
  readonly node: string;
  readonly lockDelayMs: number;
  readonly behavior: "release" | "delete";
  readonly ttl: string;
  readonly nodeChecks: readonly string[];
  readonly serviceChecks: readonly { readonly id: string; readonly namespace: string }[] | null;
  readonly checks: readonly string[] | null;
};

/** One entry of the KV store. */
export type KvRecord = Indexed & {
  readonly key: string;
  /** Standard base64 with padding; "" for no octets. */
  readonly value: string;
  /** Decimal digits of an unsigned 64-bit number. */
  readonly flags: string;
  /** How often the lock was taken since the key was set without it. */
  readonly lockIndex: number;
  /** Session that holds the lock, "" when none does. */
  readonly session: string;
};

/** What may be read of the KV store. Topics `kv:<key>` and `kv*<prefix>`. */
export type KvReader = {
  get(key: string): KvRecord | undefined;
  /** Records whose key starts with the prefix, in the byte order of the UTF-8 keys; live, as all lists. */
  list(prefix: string): Iterable<KvRecord>;
  readonly size: number;
  /** Keys whose lock the session holds, in order. */
  heldBy(session: string): readonly string[];
  /** Whether `kv-reap` would find anything at this log time. */
  isReapDue(timeMs: number): boolean;
};

/**
 * What a committed command touched. A topic names what a reader can have looked at:
 *   nodes            the node table            node:<lower-case name>      one node, its services and checks
 *   services         the service table         service:<lower-case name>   instances, their nodes' addresses and checks
 *   checks           the check table           addresses                   any node or service address (for PTR)
 *   queries          prepared queries          sessions                    sessions
 *   coordinates      network coordinates       session:<id>                one session, created or ended
 *   acl              tokens, policies          kv:<key>                    one key
 *   kv-tree:<prefix> all keys below it went at once
 * Readers of a prefix of keys wait for `kv*<prefix>`, which both of the last concern.
 * A change of a node (or of a node-level check) touches `service:` of every service on that node.
 * A `service:` topic is never touched by a change of another service.
 */
export type Topic = string;

/**
 * Read side of the catalog. Names of nodes and services are matched without regard to ASCII case;
 * service ids and check ids exactly. Lists are in storage order: nodes by name, then id; they are
 * live only until the next `apply`, so copy before an await.
 */
export type CatalogReader = {
  /** Index of the last applied command; 0 before the first. */
  readonly index: number;
  node(name: string): NodeRecord | undefined;
  /** By full UUID or by a unique prefix of at least 2 characters; undefined if ambiguous. */
  nodeById(idOrPrefix: string): NodeRecord | undefined;
  /** All nodes by name. */
  nodes(): Iterable<NodeRecord>;
  /** First node by name order whose address is exactly this IP literal. */
  nodeByAddress(ip: string): NodeRecord | undefined;
  /** First instance whose service address is exactly this IP literal. */
  serviceByAddress(ip: string): ServiceRecord | undefined;
  service(node: string, id: string): ServiceRecord | undefined;
  servicesOfNode(node: string): readonly ServiceRecord[];
  instancesOf(service: string): readonly ServiceRecord[];
  /** Service name as stored → distinct tags. */
  serviceNames(): ReadonlyMap<string, readonly string[]>;
  check(node: string, checkId: string): CheckRecord | undefined;
  /** All checks of a node: node-level ones first, then by service id and check id. */
  checksOfNode(node: string): readonly CheckRecord[];
  /** Node-level checks, then the checks of that one instance. Empty if none. */
  checksOfInstance(node: string, serviceId: string): readonly CheckRecord[];
  /** Checks whose serviceName is this service. */
  checksOfService(service: string): readonly CheckRecord[];
  /** status "any" = all. */
  checksInState(status: string): readonly CheckRecord[];
  query(id: string): QueryRecord | undefined;
  queries(): Iterable<QueryRecord>;
  /**
   * For execute and explain: by id, else by exact name (case ignored), else the template with the
   * longest prefix, rendered for that name (spelled as given). undefined: not found. The error is
   * the client's text (a template asked for by its id). Reads topic `queries`.
   */
  resolveQuery(idOrName: string): Result<QueryRecord | undefined, string>;
  readonly coordinates: CoordinateReader;
  readonly kv: KvReader;
  session(id: string): SessionRecord | undefined;
  sessions(): Iterable<SessionRecord>;
  /** Modify index that a blocking read of this topic compares with; rules of Consul's index (per service, per node, per table). */
  indexOf(topic: Topic): number;
};
