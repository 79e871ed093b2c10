/**
 * `limits.http_max_conns_per_client`. Bun.serve accepts connections by itself and tells nobody, so the
 * kernel's list of them is read: before a request is handled, as far as time allows, and once a second
 * for those who connect and say nothing. With few descriptors in all there is nothing to list.
 */
import { unmappedText } from "../address.ts";
import type { SocketAddress } from "../ports.ts";
import type { Libc } from "./libc.ts";
import type { OwnSocket, OwnSockets } from "./own-sockets.ts";

/** Shortest time between two looks at the number of descriptors, milliseconds. */
const LOOK_MS = 0.25;
/** Part of the time that may go into lists of connections; what may be saved up and borrowed, milliseconds. */
const LIST_SHARE = 1 / 16;
const LIST_SAVED_MS = 20;
/** Borrowed only when descriptors have become more. */
const LIST_BORROWED_MS = 200;
/** Longest time between two looks. */
export const IDLE_LOOK_MS = 1000;

const SHUT_RDWR = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** Consul's text (go-connlimit). */
export const TOO_MANY =
  "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
const answer = new TextEncoder().encode(
  "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\n" +
    `Content-Length: ${TOO_MANY.length}\r\nConnection: close\r\n\r\n${TOO_MANY}`,
);

/** Looks after the number of connections per client. */
export type ConnectionWatch = {
  /** Whether the connection of a request is one too many; `client` is asked only when some are. */
  refuses: (client: () => SocketAddress | null) => boolean;
  /** Counts now. */
  look: () => void;
};

/**
 * `plain` and `tls`: ports of our listeners at this moment. `limit`: connections per address; 0: none is
 * too many. The youngest of a client that has too many are answered 429 and cut; a TLS connection gets
 * its 429 with its next request, or is cut a look later.
 */
export function watchConnections(
  libc: Libc,
  options: {
    plain(): ReadonlySet<number>;
    tls(): ReadonlySet<number>;
    limit(): number;
    sockets: OwnSockets;
  },
): ConnectionWatch {
  let lookedMs = 0;
  let allowanceMs = LIST_SAVED_MS;
  /** Descriptors at the last list. */
  let listed = 0;
  let tooMany: ReadonlySet<string> = new Set();
  /** Connections of the last full count in the order they were first seen. */
  let known = new Map<string, true>();

  /** Cuts what is too many; gives the number of connections cut. */
  function list(limit: number): number {
    const plain = options.plain();
    const tls = options.tls();
    const connections = new Map<string, OwnSocket>();
    for (const socket of options.sockets.list())
      if (socket.peer !== null && (plain.has(socket.port) || tls.has(socket.port)))
        connections.set(keyOf(socket.peer), socket);
    const ordered = [
      ...[...known.keys()].filter((key) => connections.has(key)),
      ...[...connections.keys()].filter((key) => !known.has(key)),
    ];
    known = new Map(ordered.map((key) => [key, true]));
    const perClient = new Map<string, number>();
    const refused = new Set<string>();
    let cut = 0;
    for (const key of ordered) {
      const { fd, port, peer } = connections.get(key)!; // `ordered` holds its keys
      const ordinal = (perClient.get(peer!.address) ?? 0) + 1;
      perClient.set(peer!.address, ordinal);
      if (ordinal <= limit) continue;
      refused.add(key);
      if (plain.has(port)) libc.send(fd, answer, answer.length, MSG_DONTWAIT | MSG_NOSIGNAL);
      else if (!tooMany.has(key)) continue; // its request may be under way
      libc.shutdown(fd, SHUT_RDWR);
      cut++;
    }
    tooMany = refused;
    return cut;
  }

  function look(): void {
    const nowMs = performance.now();
    allowanceMs = Math.min(LIST_SAVED_MS, allowanceMs + (nowMs - lookedMs) * LIST_SHARE);
    lookedMs = nowMs;
    const limit = options.limit();
    const count = limit === 0 ? 0 : options.sockets.count();
    if (count <= limit) {
      if (listed === 0) return;
      known = new Map();
      tooMany = new Set();
      listed = 0;
    } else if (allowanceMs > (count > listed ? -LIST_BORROWED_MS : 0)) {
      listed = count - list(limit);
      allowanceMs -= performance.now() - nowMs;
    }
  }

  return {
    refuses(client) {
      if (performance.now() >= lookedMs + LOOK_MS) look();
      if (tooMany.size === 0) return false;
      const at = client();
      return at !== null && tooMany.has(keyOf({ ...at, address: unmappedText(at.address) }));
    },
    look,
  };
}

const keyOf = ({ address, port }: SocketAddress): string => `${address}|${port}`;
