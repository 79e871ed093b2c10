/** HTTP listeners: Bun.serve around a fetch function, on several addresses and Unix sockets. */
import { lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { RequestEnv } from "../http/call.ts";
import { cannotListen } from "../listening.ts";
import type { HttpAddress, Log, SocketAddress } from "../ports.ts";

/**
 * What the listener takes at most. Snapshots are streamed to the disk; whoever holds a body in memory
 * has a bound of its own (http/body.ts), and nothing is taken from the connection unless it is read.
 */
const maxRequestBodyOctets = 1024 ** 4;
/**
 * Seconds without traffic after which a connection is closed. Requests that wait are exempt
 * (`keepOpen`): a blocking query is silent for up to ten minutes.
 */
const idleTimeoutSeconds = 120;
/** How long `stop` lets running requests finish. */
const drainMs = 5_000;

/** Segments of a target among which `.` and `..` are seen; further down they are resolved unseen. */
const maxDotDepth = 16;

const nobody = { address: "", port: 0 };

/** Asks the server only when somebody wants to know: most requests do not. */
class BunRequest implements RequestEnv {
  readonly #request: Request;
  readonly #server: Bun.Server<undefined>;

  readonly hadDotSegments: boolean;

  constructor(request: Request, server: Bun.Server<undefined>, hadDotSegments: boolean) {
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
}

/** Listeners that accept connections. */
export type HttpListeners = {
  /** Where they listen; a port 0 has become the real one. */
  readonly listening: readonly HttpAddress[];
  /** Accepts no more connections, lets running requests finish for at most `drainMs`, then cuts them. */
  stop(): Promise<void>;
};

/**
 * Serves `fetch` on all addresses, or on none: the error names address, port and reason. The caller
 * ends waiting requests (Waiters.close) before `stop`, so that draining is short.
 */
export async function startHttp(options: {
  listen: readonly HttpAddress[];
  fetch: (request: Request, env: RequestEnv) => Response | Promise<Response>;
  log: Log;
}): Promise<HttpListeners> {
  const servers: Bun.Server<undefined>[] = [];
  try {
    for (const at of options.listen) {
      if ("path" in at) await removeStale(at.path);
      servers.push(startServer(at, options));
    }
  } catch (error) {
    for (const server of servers) void server.stop(true);
    throw error;
  }
  return {
    listening: servers.map((server, i) => {
      const at = options.listen[i]!;
      return "path" in at ? at : { address: at.address, port: server.port ?? 0 };
    }),
    async stop() {
      const drained = Promise.all(servers.map((server) => server.stop(false)));
      const late = Symbol("late");
      const timer = Promise.withResolvers<typeof late>();
      const handle = setTimeout(() => timer.resolve(late), drainMs);
      const first = await Promise.race([drained, timer.promise]);
      clearTimeout(handle);
      if (first !== late) return;
      const left = servers.reduce((sum, server) => sum + server.pendingRequests, 0);
      options.log("warn", "HTTP requests are cut off", { requests: left });
      await Promise.all(servers.map((server) => server.stop(true)));
    },
  };
}

/** A socket file that nobody listens on is what a killed process leaves behind. */
async function removeStale(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true)).on("error", () => resolve(false));
    probe.on("connect", () => probe.destroy());
  });
  if (isAlive) throw new Error(cannotListen("HTTP", { path }, "EADDRINUSE"));
  rmSync(path);
}

function startServer(
  at: HttpAddress,
  { listen, fetch, log }: Parameters<typeof startHttp>[0],
): Bun.Server<undefined> {
  try {
    const handler =
      (hadDotSegments: boolean) => (request: Request, server: Bun.Server<undefined>) =>
        fetch(request, new BunRequest(request, server, hadDotSegments));
    const common = {
      maxRequestBodySize: maxRequestBodyOctets,
      routes: dotRoutes(handler(true)),
      fetch: handler(false),
      error(error: Error) {
        log("error", "HTTP request failed", { error: error.message });
        return new Response("Internal server error", { status: 500 });
      },
    };
    if ("path" in at) return Bun.serve({ unix: at.path, ...common });
    const { address: hostname, port } = at;
    // :: takes both families, unless IPv4 has listeners of its own.
    const ipv6Only = listen.some((other) => "port" in other && !other.address.includes(":"));
    return Bun.serve({ hostname, port, ipv6Only, idleTimeout: idleTimeoutSeconds, ...common });
  } catch (error) {
    throw new Error(cannotListen("HTTP", at, error), { cause: error });
  }
}

/**
 * Targets with a `.` or `..` segment. The URL of a request comes with such segments resolved, but the
 * routes of Bun match the target as it was sent. Other requests do not become slower by any measure.
 */
function dotRoutes<H>(handler: H): Record<string, H> {
  const routes: Record<string, H> = {};
  for (let depth = 0; depth < maxDotDepth; depth++) {
    const before = Array.from({ length: depth }, (_, i) => `/:segment${i}`).join("");
    for (const dots of [".", ".."]) {
      routes[`${before}/${dots}`] = handler;
      routes[`${before}/${dots}/*`] = handler;
    }
  }
  return routes;
}
