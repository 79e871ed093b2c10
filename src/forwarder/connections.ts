/**
 * Connections to upstream servers that questions share (RFC 7766 6.2.1): which one a question goes
 * through, when another is opened, when one is given up, and what is asked a second time. What is
 * spoken in them is the matter of whoever dials.
 *
 * A server that closes a connection which has served before, without a reply to what was asked last,
 * has done what RFC 7766 6.2.3 allows: the question goes once more, through a new connection. So a
 * question costs two messages at most, whatever a server does.
 */
import type { Cancel, Clock, Exchange, Exchanges, Timers, Upstream } from "../ports.ts";

/** A connection, perhaps not standing yet: what is asked then waits. */
export type Line = {
  /** The message is framed, encrypted, wrapped as the line has it; the reply has the id of the question. */
  ask(wire: Uint8Array, on: LineListener): Cancel;
  /** Questions at a time; may shrink when it turns out what the server speaks. */
  readonly capacity: number;
  /** Nothing is reported after it. */
  close(): void;
};

/** About one question; each is called once at most, and never from within `ask`. */
export type LineListener = {
  /** A message that may be the reply; what it says is for the caller to check. */
  reply(wire: Uint8Array): void;
  /** There will be none, though the connection stands. */
  failed(code: string): void;
};

/** About the whole connection; never from within `dial`. */
export type LineEvents = {
  /** It takes no more questions, but will answer those that it has. */
  drains: () => void;
  /** It is over, with all that was asked; "": closed by the server in good order. */
  ended: (code: string) => void;
};

export type Dial = (server: Upstream, on: LineEvents) => Line;

/** Bounds for one kind of connection. */
export type ConnectionLimits = {
  /** Of all servers. When full: an idle one of another server ends; if none is idle, TOO_MANY_SOCKETS. */
  total: number;
  /** To one server; when full, questions share those that stand. */
  perServer: number;
  /** Questions under way on every connection before another one is opened. */
  comfortable: number;
  /** Questions under way on one connection; when all are full, TOO_MANY_SOCKETS. */
  perConnection: number;
  /** Without a question, then it is closed. */
  idleMs: number;
};

/** Many servers work at one question of a connection at a time, so a second connection is worth its handshake. */
export const tcpLimits: ConnectionLimits = {
  total: 256,
  perServer: 8,
  comfortable: 1,
  perConnection: 128,
  idleMs: 30_000,
};

/** A handshake costs a millisecond of both processors, and whoever speaks TLS answers in any order. */
export const tlsLimits: ConnectionLimits = { ...tcpLimits, perServer: 4, comfortable: 32 };

/** A question that was waited for so long, with nothing heard meanwhile: its connection is given up. */
const SILENT_MS = 1000;
/** A server that closes after each answer gets no two questions at a time for so long. */
const ALONE_MS = 10 * 60_000;

type Listener = Parameters<Exchanges["open"]>[1];

type Asked = {
  readonly target: Target;
  readonly on: Listener;
  wire: Uint8Array | null;
  lane: Lane | null;
  cancel: Cancel;
  sentAtMs: number;
  isRepeated: boolean;
  isOver: boolean;
};

/** A connection in use. */
type Lane = {
  readonly target: Target;
  line: Line;
  readonly asked: Set<Asked>;
  /** Messages received. */
  served: number;
  /** Other questions were under way when the first one came. */
  isShared: boolean;
  heardAtMs: number;
  /** Takes no more questions; ends when it owes nothing. */
  isRetired: boolean;
  cancelIdle: Cancel;
};

/** One server and the connections to it. */
type Target = { readonly server: Upstream; readonly lanes: Set<Lane>; aloneUntilMs: number };

export type ConnectionDeps = {
  dial: Dial;
  limits: ConnectionLimits;
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
};

/** What the forwarder sees of them: an exchange is one question, whichever connection it takes. */
export function createConnections({ dial, limits, clock, timers }: ConnectionDeps): Exchanges {
  /** By object: the configuration hands in the same one for every question, and another after a change. */
  const targets = new WeakMap<Upstream, Target>();
  /** Longest unused first. */
  const lanes = new Set<Lane>();

  function targetOf(server: Upstream): Target {
    const known = targets.get(server);
    if (known !== undefined) return known;
    const target: Target = { server, lanes: new Set(), aloneUntilMs: -Infinity };
    targets.set(server, target);
    return target;
  }

  function openLane(target: Target): Lane | null {
    if (lanes.size >= limits.total && !endIdle()) return null;
    const lane: Lane = {
      target,
      line: unopened,
      asked: new Set(),
      served: 0,
      isShared: false,
      heardAtMs: -Infinity,
      isRetired: false,
      cancelIdle() {},
    };
    lanes.add(lane);
    target.lanes.add(lane);
    lane.line = dial(target.server, {
      drains: () => retire(lane),
      ended: (code) => endedBy(lane, code),
    });
    return lane;
  }

  /** Room for another server's connection. */
  function endIdle(): boolean {
    for (const lane of lanes) {
      if (lane.asked.size > 0) continue;
      forget(lane);
      lane.line.close();
      return true;
    }
    return false;
  }

  function forget(lane: Lane): void {
    const { target } = lane;
    lane.cancelIdle();
    lane.isRetired = true;
    lanes.delete(lane);
    target.lanes.delete(lane);
  }

  function retire(lane: Lane): void {
    lane.isRetired = true;
    if (lane.asked.size > 0 || !lanes.has(lane)) return;
    forget(lane);
    lane.line.close();
  }

  /** `young`: only one that has not served yet may be shared. */
  function laneFor(target: Target, young: boolean): Lane | null {
    if (clock.monotonicMs() < target.aloneUntilMs) return openLane(target);
    let best: Lane | null = null;
    let usable = 0;
    for (const lane of target.lanes) {
      if (lane.isRetired || (young && lane.served > 0)) continue;
      usable++;
      if (lane.asked.size >= Math.min(limits.perConnection, lane.line.capacity)) continue;
      if (best === null || lane.asked.size < best.asked.size) best = lane;
    }
    const mayOpen = usable < limits.perServer;
    if (best !== null && (best.asked.size < limits.comfortable || !mayOpen)) return best;
    return (mayOpen ? openLane(target) : null) ?? best;
  }

  function send(asked: Asked, young: boolean): void {
    const lane = laneFor(asked.target, young);
    if (lane === null) {
      fail(asked, "TOO_MANY_SOCKETS");
      return;
    }
    lane.cancelIdle();
    lanes.delete(lane);
    lanes.add(lane);
    lane.asked.add(asked);
    asked.lane = lane;
    asked.sentAtMs = clock.monotonicMs();
    asked.cancel = lane.line.ask(asked.wire!, {
      reply(wire) {
        lane.served++;
        lane.heardAtMs = clock.monotonicMs();
        leave(asked, lane);
        lane.isShared ||= lane.served === 1 && lane.asked.size > 0;
        if (!asked.isOver) asked.on.datagram(wire);
      },
      failed(code) {
        lane.heardAtMs = clock.monotonicMs();
        leave(asked, lane);
        fail(asked, code);
      },
    });
  }

  /** The question is no longer this connection's. */
  function leave(asked: Asked, lane: Lane): void {
    lane.asked.delete(asked);
    asked.lane = null;
    if (lane.asked.size > 0 || !lanes.has(lane)) return;
    if (lane.isRetired || clock.monotonicMs() < lane.target.aloneUntilMs) retire(lane);
    else lane.cancelIdle = timers.after(limits.idleMs, () => retire(lane));
  }

  function fail(asked: Asked, code: string): void {
    if (asked.isOver) return;
    asked.isOver = true;
    asked.on.error(code);
  }

  function endedBy(lane: Lane, code: string): void {
    if (!lanes.has(lane)) return;
    forget(lane);
    const left = [...lane.asked];
    lane.asked.clear();
    // One answer, and the rest of what it had been asked by then dropped: it never reads on.
    if (lane.served === 1 && lane.isShared && left.length > 0)
      lane.target.aloneUntilMs = clock.monotonicMs() + ALONE_MS;
    for (const asked of left) {
      asked.lane = null;
      if (asked.isOver) continue;
      if (lane.served > 0 && !asked.isRepeated) {
        asked.isRepeated = true;
        send(asked, true);
      } else fail(asked, code === "" ? "ECONNRESET" : code);
    }
  }

  function close(asked: Asked): void {
    asked.isOver = true;
    const { lane } = asked;
    if (lane === null) return;
    asked.cancel();
    const isSilent =
      clock.monotonicMs() - asked.sentAtMs >= SILENT_MS && lane.heardAtMs < asked.sentAtMs;
    if (isSilent) lane.isRetired = true;
    leave(asked, lane);
  }

  return {
    open(server, on): Exchange {
      const asked: Asked = {
        target: targetOf(server),
        on,
        wire: null,
        lane: null,
        cancel() {},
        sentAtMs: 0,
        isRepeated: false,
        isOver: false,
      };
      return {
        send(wire) {
          // A question is one message; the forwarder opens another exchange for the next.
          if (asked.isOver || asked.wire !== null) return;
          asked.wire = wire;
          send(asked, false);
        },
        close: () => close(asked),
      };
    },
    get openCount() {
      return lanes.size;
    },
    close() {
      for (const lane of lanes) {
        for (const asked of lane.asked) asked.isOver = true;
        lane.asked.clear();
        forget(lane);
        lane.line.close();
      }
    },
  };
}

/** Until `dial` has given the real one. */
const unopened: Line = { ask: () => () => {}, capacity: 0, close() {} };
