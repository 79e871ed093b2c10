/** One request as handlers see it, what the HTTP side needs of the rest, and tables of routes. */
import type { Result } from "../base.ts";
import type { Acl, Authorizer } from "../cluster/acl.ts";
import type { AclReader } from "../cluster/acl-state.ts";
import type { Command } from "../cluster/command.ts";
import type { Engine, Leadership, Outcome } from "../cluster/engine.ts";
import type { EventBus } from "../cluster/events.ts";
import type { CatalogReader, CoordinateRecord } from "../cluster/model.ts";
import type { SessionExpiry } from "../cluster/session-expiry.ts";
import type { Clock, Log, Random, SocketAddress } from "../ports.ts";
import { decodeShape, type Decoded, type DecodeOptions, type Shape } from "../cluster/decode.ts";
import type { Waiters } from "./blocking.ts";
import { BODY_OCTETS_MAX, parseFirstJson, readBounded } from "./body.ts";
import type { Edge } from "./edge.ts";
import { noHeaders, type HeaderSet } from "./header-stock.ts";
import { noteRefusals } from "./noted.ts";
import { gzipBody, isGzipWanted, renderJson } from "./json.ts";

/** Options that a reload may change; hand out the same object until it does. */
export type HttpSettings = {
  /** `translate_wan_addrs`. */
  translateWanAddrs: boolean;
  /** `http_config.response_headers`: added to every answer. */
  responseHeaders: Readonly<Record<string, string>>;
  /** `http_config.block_endpoints`: path prefixes that answer 403. */
  blockEndpoints: readonly string[];
  /** `http_config.allow_write_http_from`: networks in CIDR form; empty: everybody may write. */
  allowWriteHttpFrom: readonly string[];
  /** `http_config.allowed_hosts`. */
  allowedHosts: readonly string[];
  /** `http_config.allowed_origins`. */
  allowedOrigins: readonly string[];
  /** Names of this agent that a Host may give, lower case. */
  ownNames: readonly string[];
  /** Domains of the discovery names, with a final dot. */
  domains: readonly string[];
  /** `http_config.use_cache`: whether `?cached` means anything. */
  useCache: boolean;
  /** `disable_http_unprintable_char_filter`. */
  disableUnprintableCharFilter: boolean;
  /** `discovery_max_stale` in milliseconds; 0: off. */
  discoveryMaxStaleMs: number;
  /** `disable_coordinates`. */
  disableCoordinates: boolean;
  /** `session_ttl_min` in milliseconds (Consul: 10 s). */
  sessionTtlMinMs: number;
  /** `default_query_time`: hold of a blocking query without `?wait`, in milliseconds. */
  defaultQueryTimeMs: number;
  /** `max_query_time`: the longest hold, whatever the client asks for. */
  maxQueryTimeMs: number;
  /** `limits.kv_max_value_size`: octets of a value in the KV store. */
  kvMaxValueOctets: number;
  /** `limits.txn_max_req_len`: octets of the body of a transaction. */
  txnMaxRequestOctets: number;
};

/** Who this agent is. */
export type AgentInfo = {
  datacenter: string;
  nodeName: string;
  nodeId: string;
  version: string;
  /** `ip:port` of this server's RPC port as `/v1/status/peers` shows it. */
  serverAddress: string;
};

/** What the HTTP side needs of the rest; agent.ts fills it in. */
export type HttpDeps = {
  reader: CatalogReader;
  /** Encodes the command and proposes it; resolves after it is durable and applied here. */
  propose(command: Command): Promise<Outcome>;
  barrier: Engine["barrier"];
  leadership(): Leadership;
  acl: Acl;
  /** Policies and tokens, for /v1/acl. */
  aclReader: AclReader;
  /** Index in the file that allows another ACL bootstrap, 0 if there is none; gone once it was used. */
  bootstrapReset: { read(): Promise<number>; remove(): Promise<void> };
  /** The leader's book of session deadlines: PUT /v1/session/renew writes into it. */
  sessionExpiry: Pick<SessionExpiry, "renew">;
  events: EventBus;
  /** Takes a node's coordinate; it reaches the log within seconds. */
  updateCoordinate(update: CoordinateRecord): void;
  /** createWaiters(); agent.ts calls `wake` with the topics of each applied command. */
  waiters: Waiters;
  random: Random;
  clock: Clock;
  info: AgentInfo;
  settings(): HttpSettings;
  log: Log;
  /** Text of GET /metrics (Prometheus exposition format 0.0.4). */
  exposition(): Promise<string>;
  /**
   * Told once per answered request, with the time until its answer was made; `route` is the table's
   * path, so its values are few.
   */
  onAnswer(route: string, method: string, status: number, elapsedMs: number): void;
};

/** What the listener hands to `app.fetch(request, env)`. */
export type RequestEnv = {
  readonly client: SocketAddress;
  /** Exempts the connection from idle timeouts while this request is answered. */
  keepOpen(): void;
  /** Ends that exemption: the usual idle timeout runs again. */
  letIdle(): void;
  /** The target had `.` or `..` segments, which the listener resolved: `request.url` lacks them. */
  readonly hadDotSegments?: boolean;
};
/** Types of the router's environment. */
export type HttpEnv = { Bindings: RequestEnv };

/** What a handler gives back. */
export type Reply = Response | Promise<Response>;

/** Methods that some route takes. */
export type Method = "GET" | "PUT" | "POST" | "DELETE";

/** One row of a routing table. A path that ends in "/" is a subtree: the rest is `call.argument`. */
export type Route = {
  methods: readonly Method[];
  path: string;
  handle(call: Call): Reply;
  /** Where the methods depend on the argument; then `Allow` on a 405 lacks OPTIONS (Consul 1.10, /v1/query/). */
  methodsOf?: (argument: string) => readonly Method[];
};

/** A row: `route(["GET"], "/v1/agent/service/", (call) => call.json(...))`. */
export function route(
  methods: readonly Method[],
  path: string,
  handle: (call: Call) => Reply,
): Route {
  return { methods, path, handle };
}

/** Ends a handler with this status and text; a text with "Permission denied" or "ACL not found" becomes 403. */
export class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Words before the problem in the error, and what an empty body is. */
export type BodyOptions = DecodeOptions & { prefix?: string; whenEmpty?: "zero" | "error" };

/** `read` takes a body of known length in one go; one of unknown length is counted as it comes. */
async function readWhole<T>(
  request: Request,
  read: () => Promise<T>,
  convert: (octets: Uint8Array<ArrayBuffer>) => T,
): Promise<T> {
  const announced = request.headers.get("Content-Length");
  let octets: Uint8Array<ArrayBuffer> | "too large";
  try {
    if (announced !== null && Number(announced) <= BODY_OCTETS_MAX) return await read();
    octets = announced === null ? await readBounded(request.body) : "too large";
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpError(400, `Request body cannot be read: ${reason}`);
  }
  if (octets === "too large") throw new HttpError(413, "Request body too large");
  return convert(octets);
}

const decodeText = (octets: Uint8Array): string => new TextDecoder().decode(octets);

/** decodeShape without its type arithmetic, which the compiler cannot do for a type parameter. */
const decode = decodeShape as unknown as (
  shape: Shape,
  value: unknown,
  options: DecodeOptions | undefined,
) => Result<never, string>;

/** One request under way. */
export class Call {
  readonly deps: HttpDeps;
  readonly request: Request;
  readonly method: string;
  /** Decoded path. */
  readonly path: string;
  /** Decoded rest of a subtree path, "" for an exact one. */
  readonly argument: string;
  readonly env: RequestEnv;
  readonly #edge: Edge;
  #parameters: readonly (readonly [string, string])[];
  #headers: Record<string, string> | null = null;
  #headerSet: HeaderSet = noHeaders;
  #index = 0;
  #authorizer: Authorizer | null = null;
  #isFiltered = false;

  constructor(
    deps: HttpDeps,
    edge: Edge,
    request: Request,
    at: { path: string; argument: string },
    env: RequestEnv,
    parameters: readonly (readonly [string, string])[],
  ) {
    this.deps = deps;
    this.#edge = edge;
    this.request = request;
    this.method = request.method;
    this.path = at.path;
    this.argument = at.argument;
    this.env = env;
    this.#parameters = parameters;
  }

  get settings(): HttpSettings {
    return this.#edge.settings;
  }

  /** Remembers that this `?cached` read was answered; true if it had been before. */
  markSeen(key: string): boolean {
    const seen = this.#edge.seenReads.has(key);
    this.#edge.seenReads.set(key, true);
    return seen;
  }

  /** First value of a query parameter, "" when absent. */
  query(name: string): string {
    for (const [key, value] of this.#parameters) if (key === name) return value;
    return "";
  }

  /** Is the parameter there at all, with or without a value? */
  has(name: string): boolean {
    return this.#parameters.some(([key]) => key === name);
  }

  queryAll(name: string): readonly string[] {
    if (this.#parameters.length === 0) return [];
    return this.#parameters.filter(([key]) => key === name).map(([, value]) => value);
  }

  /** All query parameters in order, decoded. */
  get parameters(): readonly (readonly [string, string])[] {
    return this.#parameters;
  }

  header(name: string): string | null {
    return this.request.headers.get(name);
  }

  /** The caller's secret: `?token=`, else X-Consul-Token, else `Authorization: Bearer`; undefined if none. */
  token(): string | undefined {
    if (this.#parameters.length > 0) {
      const given = this.query("token");
      if (given !== "") return given;
    }
    const plain = this.header("X-Consul-Token");
    if (plain) return plain;
    const [scheme, secret] = (this.header("Authorization") ?? "").trim().split(/ +/);
    return scheme?.toLowerCase() === "bearer" && secret ? secret : undefined;
  }

  /** What the caller may do; not to be kept over a wait. Throws 403 `ACL not found` for an unknown secret. */
  authorizer(): Authorizer {
    this.#authorizer ??= this.#resolveAuthorizer();
    return this.#authorizer;
  }

  /** To be called after every wait: the token's rights, or the token, may be gone. The next look asks again. */
  forgetAuthorizer(): void {
    this.#authorizer = null;
    this.#isFiltered = false;
  }

  /** Consul tells that a list was filtered only to those who come with a token. */
  #resolveAuthorizer(): Authorizer {
    const { acl } = this.deps;
    if (!acl.enabled) return this.authorizerOf(undefined);
    const secret = this.token() ?? acl.defaultToken;
    const rights = this.authorizerOf(secret);
    if (secret === "" || this.method !== "GET") return rights;
    return noteRefusals(rights, () => (this.#isFiltered = true));
  }

  /** What the holder of another secret may do. Throws 403 `ACL not found` for an unknown one. */
  authorizerOf(secretId: string | undefined): Authorizer {
    const found = this.deps.acl.authorizer(secretId);
    if (found === "ACL not found") throw new HttpError(403, found);
    return found;
  }

  /** Refuses any other datacenter than ours, named by `?dc=` or in a body: 500 `No path to datacenter`. */
  requireDatacenter(name: string = this.query("dc")): void {
    if (name !== "" && name.toLowerCase() !== this.deps.info.datacenter.toLowerCase())
      throw new HttpError(500, "No path to datacenter");
  }

  /** The whole body; throws 413 when it is longer than the listener takes, 400 when the client breaks off. */
  readText(): Promise<string> {
    return readWhole(this.request, () => this.request.text(), decodeText);
  }

  /** The whole body as it came; throws like `readText`. */
  readOctets(): Promise<Uint8Array> {
    const read = async () => new Uint8Array(await this.request.arrayBuffer());
    return readWhole(this.request, read, (octets) => octets);
  }

  /**
   * The body's first JSON value; throws 400 `<prefix><what is wrong>`. `whenEmpty`: "zero" takes an
   * empty body for null, the default is an error.
   */
  async readJson({
    prefix = "Request decode failed: ",
    whenEmpty = "error",
  }: BodyOptions = {}): Promise<unknown> {
    const text = await this.readText();
    if (text === "" && whenEmpty === "zero") return null;
    const parsed = parseFirstJson(text);
    if (!parsed.ok) throw new HttpError(400, prefix + parsed.error);
    return parsed.value;
  }

  /** The same decoded by a shape; null is the zero value. */
  readBody<const S extends Shape>(shape: S, options: BodyOptions = {}): Promise<Decoded<S>> {
    return this.#decodeBody(shape, options);
  }

  async #decodeBody(
    shape: Shape,
    { prefix = "Request decode failed: ", whenEmpty = "error", ...options }: BodyOptions,
  ): Promise<never> {
    const value = await this.readJson({ prefix, whenEmpty });
    const decoded = decode(shape, value, "unknown" in options ? options : undefined);
    if (!decoded.ok) throw new HttpError(400, prefix + decoded.error);
    return decoded.value;
  }

  /**
   * Proposes a command and gives back the value of its result. An error of the state machine (the
   * client's text already), a refused or an unknown outcome end the request with 500.
   */
  async propose(command: Command): Promise<unknown> {
    const outcome = await this.deps.propose(command);
    if (outcome.outcome !== "committed")
      throw new HttpError(
        500,
        outcome.reason === "no leader" ? "No cluster leader" : outcome.reason,
      );
    // Every command of ours ends in a Result, as command.ts says.
    const result = outcome.result as Result<unknown, string>;
    if (!result.ok) throw new HttpError(500, result.error);
    return result.value;
  }

  /** Adds a header to the answer that `json`, `text` or `empty` will make. */
  setHeader(name: string, value: string): void {
    this.#headers ??= {};
    this.#headers[name] = value;
  }

  /** The same for headers that many answers have: one constant set, the last one counts. */
  setHeaders(set: HeaderSet): void {
    this.#headerSet = set;
  }

  /** X-Consul-Index of the answer; a positive number. */
  setIndex(index: number): void {
    this.#index = index;
  }

  /** `value` (also a JsonText) as JSON, with Go's escapes; `?pretty` indents by four. */
  json(value: unknown, status = 200): Reply {
    const pretty = this.#parameters.length > 0 && this.has("pretty");
    return this.#finish(status, renderJson(value, pretty), "application/json");
  }

  /** Octets as they are. */
  octets(body: Uint8Array<ArrayBuffer>, type: string): Reply {
    return this.#finish(200, body, type);
  }

  /** Text, as errors are. */
  text(status: number, body: string, type = "text/plain; charset=utf-8"): Reply {
    return this.#finish(status, body, type);
  }

  /** No body and no Content-Type. */
  empty(status = 200): Response {
    return this.#respond(status, null, "");
  }

  #finish(status: number, body: string | Uint8Array<ArrayBuffer>, type: string): Reply {
    if (!isGzipWanted(body, this.request)) return this.#respond(status, body, type);
    this.setHeader("Content-Encoding", "gzip");
    this.setHeader("Vary", "Accept-Encoding");
    return gzipBody(body).then((octets) => this.#respond(status, octets, type));
  }

  #respond(status: number, body: string | Uint8Array<ArrayBuffer> | null, type: string): Response {
    if (this.#isFiltered && (status === 200 || status === 404))
      this.setHeader("X-Consul-Results-Filtered-By-ACLs", "true");
    const response = new Response(body, {
      status,
      headers: this.#edge.stock(type, this.#headerSet, this.#index),
    });
    if (this.#headers !== null)
      for (const name of Object.keys(this.#headers))
        response.headers.set(name, this.#headers[name]!);
    return response;
  }
}
