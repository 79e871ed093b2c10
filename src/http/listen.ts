/** What the HTTP side asks of the runtime's listeners. */
import type { HttpAddress, HttpsIdentity, Log } from "../ports.ts";
import type { RequestEnv } from "./call.ts";

/** Where and how HTTP listens. */
export type HttpStart = {
  http: readonly HttpAddress[];
  /** Empty: `identity` is not needed. */
  https: readonly HttpAddress[];
  identity: HttpsIdentity | undefined;
  /** `unix_sockets`: mode in octal, owner and group by name or number; empty: the system's. */
  sockets: { mode: string; user: string; group: string };
  /** A longer header is refused with 431. */
  maxHeaderOctets: number;
  /** Connections that one address may have; 0: any number. */
  maxConnectionsPerClient: () => number;
  /** Another process of ours listens there and is about to leave (`succeed`). */
  isShared?: (at: HttpAddress) => boolean;
  fetch: (request: Request, env: RequestEnv) => Response | Promise<Response>;
  log: Log;
};

/** HTTP listeners that accept connections. */
export type HttpListeners = {
  /** Where they listen; a port 0 has become the real one. */
  readonly http: readonly HttpAddress[];
  readonly https: readonly HttpAddress[];
  /** The other process leaves: Unix sockets take the place of its own. */
  succeed(): void;
  /** New connections get this certificate; those that stand keep theirs. */
  renew(identity: HttpsIdentity): void;
  /** Accepts no more connections, lets running requests finish for some seconds, then cuts them. */
  stop(): Promise<void>;
};

/** Listens on all addresses, or rejects and listens on none. */
export type StartHttp = (options: HttpStart) => Promise<HttpListeners>;
