/**
 * Exchanges with servers that have to be asked from one fixed port (dnsmasq's query-port): all questions to
 * a server share a socket, and replies find their question by id. Every other server is asked as before.
 */
import type { Cancel, Exchange, Exchanges, Timers, Upstream } from "../ports.ts";

/** Without a question, then the socket is closed. */
const IDLE_MS = 10_000;
/** Questions on one socket; one more fails with TOO_MANY_SOCKETS. */
const MAX_ASKING = 4096;
/** Ids of questions that are over, whose replies may still come; the oldest is forgotten. */
const MAX_LATE = 4096;

type Listener = Parameters<Exchanges["open"]>[1];

/** One socket. */
type Shared = {
  socket: Exchange;
  /** By id; two questions may have drawn the same. */
  asking: Map<number, Set<Listener>>;
  count: number;
  late: Set<number>;
  /** Why it could not be opened; "": it was. */
  problem: string;
  cancelIdle: Cancel;
};

/** `inner` opens the sockets, each bound to the port of its server's `source`. */
export function createSharedPorts(inner: Exchanges, timers: Timers): Exchanges {
  const sockets = new Map<Upstream, Shared>();

  function end(server: Upstream, shared: Shared): void {
    if (sockets.get(server) === shared) sockets.delete(server);
    shared.cancelIdle();
    shared.socket.close();
  }

  function openShared(server: Upstream): Shared {
    const shared: Shared = {
      socket: unopened,
      asking: new Map(),
      count: 0,
      late: new Set(),
      problem: "",
      cancelIdle() {},
    };
    sockets.set(server, shared);
    shared.socket = inner.open(server, {
      datagram: (wire) => deliver(shared, wire),
      error(code) {
        shared.problem = code;
        end(server, shared);
        for (const on of everyone(shared)) on.error(code);
      },
    });
    return shared;
  }

  return {
    open(server, on) {
      if (server.source?.port === undefined) return inner.open(server, on);
      const shared = sockets.get(server) ?? openShared(server);
      const problem = shared.count >= MAX_ASKING ? "TOO_MANY_SOCKETS" : shared.problem;
      if (problem !== "") {
        on.error(problem);
        return unopened;
      }
      shared.cancelIdle();
      shared.count++;
      const ids = new Set<number>();
      let isOver = false;
      return {
        send(wire) {
          if (isOver || wire.length < 2) return;
          const id = idOf(wire);
          ids.add(id);
          const listeners = shared.asking.get(id);
          if (listeners === undefined) shared.asking.set(id, new Set([on]));
          else listeners.add(on);
          shared.socket.send(wire);
        },
        close() {
          if (isOver) return;
          isOver = true;
          for (const id of ids) leave(shared, id, on);
          shared.count--;
          if (shared.count === 0 && sockets.get(server) === shared)
            shared.cancelIdle = timers.after(IDLE_MS, () => end(server, shared));
        },
      };
    },
    get openCount() {
      return inner.openCount;
    },
    close() {
      for (const [server, shared] of sockets) end(server, shared);
      inner.close();
    },
  };
}

function leave(shared: Shared, id: number, on: Listener): void {
  const listeners = shared.asking.get(id);
  listeners?.delete(on);
  if (listeners?.size === 0) shared.asking.delete(id);
  shared.late.add(id);
  if (shared.late.size <= MAX_LATE) return;
  for (const oldest of shared.late) {
    shared.late.delete(oldest);
    return;
  }
}

/** To the question with its id. An id that nobody has drawn is a guess, which each that waits has to know of. */
function deliver(shared: Shared, wire: Uint8Array): void {
  const id = wire.length < 2 ? -1 : idOf(wire);
  const listeners = shared.asking.get(id);
  if (listeners === undefined && shared.late.has(id)) return;
  const all = listeners === undefined ? everyone(shared) : [...listeners];
  for (const on of all) on.datagram(wire.slice());
}

const everyone = ({ asking }: Shared): Listener[] => [
  ...new Set([...asking.values()].flatMap((listeners) => [...listeners])),
];

const idOf = (wire: Uint8Array): number => (wire[0]! << 8) | wire[1]!;

const unopened: Exchange = { send() {}, close() {} };
