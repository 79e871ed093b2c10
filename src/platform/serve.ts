/** HTTP and HTTPS listeners: Bun.serve around a fetch function, on several addresses and Unix sockets. */
import http from "node:http";
import { assert } from "../base.ts";
import type { RequestEnv } from "../http/call.ts";
import type { HttpListeners, HttpStart } from "../http/listen.ts";
import { cannotListen } from "../listening.ts";
import type { HttpAddress, HttpsIdentity, SocketAddress } from "../ports.ts";
import { IDLE_LOOK_MS, TOO_MANY, watchConnections, type ConnectionWatch } from "./connections.ts";
import { createDescriptorGate } from "./descriptor-gate.ts";
import { descriptorLimit, openLibc } from "./libc.ts";
import { createOwnSockets } from "./own-sockets.ts";
import { bindWithRights } from "./socket-rights.ts";
import { beginTakeover } from "./takeover.ts";
import { createUnixPath, removeStale, type UnixPath } from "./unix-path.ts";
import { afterBody } from "./unread-body.ts";

/**
 * What the listener takes at most. Snapshots are streamed to the disk; whoever holds a body in memory
 * has a bound of its own (http/body.ts), and nothing is taken from the connection unless it is read.
 */
const maxRequestBodyOctets = 1024 ** 4;
/**
 * Seconds after which Bun closes a connection that is silent or sends less than 16 KiB in that time.
 * Longer than Go's clients keep idle connections (90 s), or they would run into closed ones. A new
 * connection has 8 to 12 s for the handshake and the first header, which is Bun's own and fixed.
 * Requests that wait are exempt (`keepOpen`): a blocking query is silent for up to ten minutes.
 */
const idleTimeoutSeconds = 120;
/** How long `stop` lets running requests finish. */
const drainMs = 5_000;
/** So often in a row no request may be left until `stop` no longer waits for connections. */
const quietLooks = 5;
const quietLookMs = 100;

/** Replaced HTTPS servers that keep their idle connections too; of an older one those are closed. */
const maxOlderServers = 8;

/** Segments of a target among which `.` and `..` are seen; further down they are resolved unseen. */
const maxDotDepth = 16;

const nobody = { address: "", port: 0 };

type Server = Bun.Server<undefined>;
type UnixOptions = Parameters<typeof Bun.serve<undefined>>[0];
type Handler = (request: Request, server: Server) => Response | Promise<Response>;

/** Asks the server only when somebody wants to know: most requests do not. */
class BunRequest implements RequestEnv {
  readonly #request: Request;
  readonly #server: Server;

  readonly hadDotSegments: boolean;

  constructor(request: Request, server: Server, hadDotSegments: boolean) {
    this.#request = request;
    this.#server = server;
    this.hadDotSegments = hadDotSegments;
  }

  get client(): SocketAddress {
    return this.#server.requestIP(this.#request) ?? nobody;
  }

  keepOpen(): void {
    this.#server.timeout(this.#request, 0);
  }

  letIdle(): void {
    this.#server.timeout(this.#request, idleTimeoutSeconds);
  }
}

/**
 * Serves `fetch` on all addresses, or on none: the error names address, port and reason. The caller
 * ends waiting requests (Waiters.close) before `stop`, so that draining is short.
 */
export async function startHttp(options: HttpStart): Promise<HttpListeners> {
  const { identity, isShared = () => false } = options;
  const unixPaths: UnixPath[] = [];
  assert(identity !== undefined || options.https.length === 0, "HTTPS has a certificate");
  // Bun has it as a setting of the process, which the types of Node call read-only.
  (http as { maxHeaderSize: number }).maxHeaderSize = options.maxHeaderOctets;
  const plain: Server[] = [];
  const tls: Server[] = [];
  const ports = (servers: readonly Server[]) => new Set(servers.map(({ port }) => port ?? -1));
  const watch = startWatch(options, { plain: () => ports(plain), tls: () => ports(tls) });
  const start = (at: HttpAddress, among: readonly HttpAddress[], secure?: HttpsIdentity) =>
    startServer(at, { ...options, among, identity: secure, refuses: watch.refuses, unixPaths });
  try {
    // What takes a while comes first: nobody is served until all can listen.
    for (const at of [...options.http, ...options.https])
      if ("path" in at) await removeStale(at.path, isShared(at));
    const claim = (at: HttpAddress, who: "HTTP" | "HTTPS", among: readonly HttpAddress[]) =>
      isShared(at) ? at : claimed(at, who, among);
    const clear: HttpAddress[] = [];
    const secure: HttpAddress[] = [];
    for (const at of options.http) clear.push(await claim(at, "HTTP", options.http));
    for (const at of options.https) secure.push(await claim(at, "HTTPS", options.https));
    for (const at of clear) plain.push(start(at, options.http));
    for (const at of secure) tls.push(start(at, options.https, identity));
    for (const { path, take } of unixPaths) if (!isShared({ path })) take();
  } catch (error) {
    for (const server of [...plain, ...tls]) void server.stop(true);
    watch.stop();
    throw error;
  }
  let current = identity;
  /** Servers with older certificates, the newest last: their connections live on. */
  const older: Server[] = [];
  return {
    http: options.http.map((at, i) => boundAt(at, plain[i]!)),
    https: options.https.map((at, i) => boundAt(at, tls[i]!)),
    succeed() {
      for (const { path, take } of unixPaths)
        try {
          take();
        } catch (error) {
          options.log("error", "a Unix socket cannot take its path", {
            path,
            error: String(error),
          });
        }
    },
    renew(next) {
      if (JSON.stringify(next) === JSON.stringify(current)) return;
      // Bun's reload keeps the certificate; a second listener on the port takes over instead.
      const takeover = beginTakeover(ports(tls), options.log);
      const successors = new Map<number, Server>();
      try {
        for (const [i, at] of options.https.entries())
          if ("path" in at)
            options.log("warn", "the certificate of a Unix socket changes at the next start", at);
          else successors.set(i, start({ ...at, port: tls[i]!.port ?? 0 }, options.https, next));
      } catch (error) {
        for (const server of successors.values()) void server.stop(true);
        options.log("error", "the old certificate stays", { reason: String(error) });
        return;
      }
      current = next;
      for (const [i, server] of successors) {
        older.push(tls[i]!);
        if (takeover === null) void tls[i]!.stop(false);
        tls[i] = server;
      }
      takeover?.complete();
      while (older.length > maxOlderServers) void older.shift()!.stop(false);
    },
    async stop() {
      watch.stop();
      for (const { release } of unixPaths) release();
      await drain([...plain, ...tls, ...older], options);
    },
  };
}

function boundAt(at: HttpAddress, { port = 0 }: Server): HttpAddress {
  return "path" in at ? at : { address: at.address, port };
}

async function drain(servers: readonly Server[], { log }: HttpStart): Promise<void> {
  const pending = () => servers.reduce((sum, server) => sum + server.pendingRequests, 0);
  const drained = Promise.all(servers.map((server) => server.stop(false)));
  const waited = Promise.withResolvers<"none left" | "late">();
  const handle = setTimeout(() => waited.resolve("late"), drainMs);
  // After an upload in chunks that was refused halfway Bun waits for ever, with no request left.
  let looks = 0;
  const look = setInterval(() => {
    looks = pending() === 0 ? looks + 1 : 0;
    if (looks === quietLooks) waited.resolve("none left");
  }, quietLookMs);
  const first = await Promise.race([drained, waited.promise]);
  clearTimeout(handle);
  clearInterval(look);
  if (typeof first !== "string") return;
  if (first === "late") log("warn", "HTTP requests are cut off", { requests: pending() });
  await Promise.all(servers.map((server) => server.stop(true)));
}

type Watch = Pick<ConnectionWatch, "refuses"> & { stop(): void };

/** Where the system's calls cannot be had, connections are not counted. */
function startWatch(
  { log, maxConnectionsPerClient }: HttpStart,
  ports: { plain(): ReadonlySet<number>; tls(): ReadonlySet<number> },
): Watch {
  const libc = openLibc();
  if (libc === null) return { refuses: () => false, stop() {} };
  const sockets = createOwnSockets(libc);
  const connections = watchConnections(libc, { ...ports, limit: maxConnectionsPerClient, sockets });
  const gate = createDescriptorGate(libc, { limit: descriptorLimit(libc), sockets, log });
  const timer = setInterval(() => {
    connections.look();
    gate.look();
  }, IDLE_LOOK_MS);
  return {
    refuses: connections.refuses,
    stop() {
      clearInterval(timer);
      sockets.close();
    },
  };
}

/** A listener that shares its port with its successor must not share it with another program. */
async function claimed(
  at: HttpAddress,
  who: "HTTP" | "HTTPS",
  among: readonly HttpAddress[],
): Promise<HttpAddress> {
  if ("path" in at) return at;
  try {
    const probe = Bun.serve({
      hostname: at.address,
      port: at.port,
      ipv6Only: isIpv6Only(among),
      fetch: () => new Response(),
    });
    const { port = at.port } = probe;
    await probe.stop(true);
    return { address: at.address, port };
  } catch (error) {
    throw new Error(cannotListen(who, at, error), { cause: error });
  }
}

/** :: takes both families, unless IPv4 has listeners of its own. */
const isIpv6Only = (among: readonly HttpAddress[]): boolean =>
  among.some((at) => "port" in at && !at.address.includes(":"));

function startServer(
  at: HttpAddress,
  options: HttpStart & {
    among: readonly HttpAddress[];
    identity: HttpsIdentity | undefined;
    refuses: ConnectionWatch["refuses"];
    unixPaths: UnixPath[];
  },
): Server {
  const { among, identity, fetch, refuses, log, sockets } = options;
  const handler =
    (hadDotSegments: boolean): Handler =>
    (request, server) =>
      refuses(() => server.requestIP(request))
        ? tooMany()
        : afterBody(request, fetch(request, new BunRequest(request, server, hadDotSegments)));
  const common = {
    maxRequestBodySize: maxRequestBodyOctets,
    idleTimeout: idleTimeoutSeconds,
    routes: dotRoutes(handler(true)),
    fetch: handler(false),
    error(error: Error) {
      log("error", "HTTP request failed", { error: error.message });
      return new Response("Internal server error", { status: 500 });
    },
    ...(identity === undefined ? {} : { tls: tlsOptions(identity) }),
  };
  try {
    if ("path" in at) {
      const unixPath = createUnixPath(at.path);
      const server = bindWithRights(unixPath.bindTo, sockets, {
        // Its types know idleTimeout for addresses only; it holds here too.
        bind: () => Bun.serve({ unix: unixPath.bindTo, ...common } as object as UnixOptions),
        undo: (bound) => void bound.stop(true),
      });
      options.unixPaths.push(unixPath);
      return server;
    }
    const { address: hostname, port } = at;
    const ipv6Only = isIpv6Only(among);
    return Bun.serve({ hostname, port, ipv6Only, reusePort: true, ...common });
  } catch (error) {
    const who = identity === undefined ? "HTTP" : "HTTPS";
    throw new Error(cannotListen(who, at, error), { cause: error });
  }
}

function tlsOptions({ cert, key, ca, verifyIncoming, minVersion, ciphers }: HttpsIdentity) {
  return {
    cert,
    key,
    minVersion,
    ...(verifyIncoming ? { ca: [...ca], requestCert: true, rejectUnauthorized: true } : {}),
    ...(ciphers === undefined ? {} : { ciphers }),
  };
}

function tooMany(): Response {
  const headers = { "Content-Type": "text/plain", Connection: "close" };
  return new Response(TOO_MANY, { status: 429, headers });
}

const dotSpellings = [".", "%2e", "%2E"];
/** Segments that are resolved as `.` or `..` (URL standard), whose dots may be escaped. */
const dotSegments = dotSpellings.flatMap((dot) => ["", ...dotSpellings].map((more) => dot + more));

/**
 * Targets with a `.` or `..` segment. The URL of a request comes with such segments resolved, but the
 * routes of Bun match the target as it was sent. Every other request takes 0.2 µs more for it (of 7.5,
 * a bare server with these routes against one without the escaped spellings, wrk, 32 connections).
 */
function dotRoutes<H>(handler: H): Record<string, H> {
  const routes: Record<string, H> = {};
  for (let depth = 0; depth < maxDotDepth; depth++) {
    const before = Array.from({ length: depth }, (_, i) => `/:segment${i}`).join("");
    for (const dots of dotSegments) {
      routes[`${before}/${dots}`] = handler;
      routes[`${before}/${dots}/*`] = handler;
    }
  }
  return routes;
}
