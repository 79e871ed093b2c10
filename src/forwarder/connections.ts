/**
 * Connections to upstream servers that questions share (RFC 7766 6.2.1): which one a question goes
 * through, when another is opened, when one is given up, and what is asked a second time. What is
 * spoken in them is the matter of whoever dials.
 *
 * A server may close a connection which has served before, without a reply to what was asked last (RFC
 * 7766 6.2.3), and what stands between may forget it: the question goes once more, through a new one. So
 * a question costs two messages at most, whatever a server does.
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
  /** There will be none, though the connection stands. `isUntouched`: the server has not looked at it. */
  failed(code: string, isUntouched?: boolean): void;
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

/** HTTP/2 is made for questions at a time, and a handshake costs both sides a millisecond. */
export const httpsLimits: ConnectionLimits = {
  ...tcpLimits,
  perServer: 4,
  comfortable: 32,
  perConnection: 100,
};

/** Nothing heard for so long while a question waits: its connection is given up. */
const SILENT_MS = 1000;
/**
 * A server that loses questions which it is given before its reply to another gets one at a time on each
 * connection for so long. One that closes after each answer does, and dnsdist 1.7 over TLS, which waits
 * for octets that its TLS library has already read.
 */
const SERIAL_MS = 10 * 60_000;

type Listener = Parameters<Exchanges["open"]>[1];

type Asked = {
  readonly target: Target;
  readonly on: Listener;
  wire: Uint8Array | null;
  lane: Lane | null;
  cancel: Cancel;
  sentAtMs: number;
  /** How many its connection had been given with it. */
  order: number;
  isRepeated: boolean;
  isOver: boolean;
};

/** A connection in use. */
type Lane = {
  readonly target: Target;
  line: Line;
  readonly asked: Set<Asked>;
  /** Questions sent, messages received, and how many had been sent when the last of these came. */
  given: number;
  served: number;
  givenWhenHeard: number;
  heardAtMs: number;
  /** Takes no more questions; ends when it owes nothing. */
  isRetired: boolean;
  cancelIdle: Cancel;
  cancelWatch: Cancel | null;
};

/** One server and the connections to it. */
type Target = { readonly server: Upstream; readonly lanes: Set<Lane>; serialUntilMs: number };

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
    const target: Target = { server, lanes: new Set(), serialUntilMs: -Infinity };
    targets.set(server, target);
    return target;
  }

  function openLane(target: Target): Lane | null {
    if (lanes.size >= limits.total && !endIdle()) return null;
    const lane: Lane = {
      target,
      line: unopened,
      asked: new Set(),
      given: 0,
      served: 0,
      givenWhenHeard: 0,
      heardAtMs: -Infinity,
      isRetired: false,
      cancelIdle() {},
      cancelWatch: null,
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
    lane.cancelWatch?.();
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
    const isSerial = clock.monotonicMs() < target.serialUntilMs;
    let best: Lane | null = null;
    let usable = 0;
    for (const lane of target.lanes) {
      if (lane.isRetired || (young && lane.served > 0)) continue;
      usable++;
      if (lane.asked.size >= Math.min(limits.perConnection, lane.line.capacity)) continue;
      if (isSerial && lane.asked.size > 0) continue;
      if (best === null || lane.asked.size < best.asked.size) best = lane;
    }
    const mayOpen = isSerial || usable < limits.perServer;
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
    asked.order = ++lane.given;
    asked.on.carried?.(lane.given > 1);
    if (lane.served > 0) watch(lane, SILENT_MS);
    asked.cancel = lane.line.ask(asked.wire!, {
      reply(wire) {
        lane.served++;
        lane.givenWhenHeard = lane.given;
        lane.heardAtMs = clock.monotonicMs();
        leave(asked, lane);
        if (lane.asked.size > 0) watch(lane, SILENT_MS);
        if (!asked.isOver) asked.on.datagram(wire);
      },
      failed(code, isUntouched = false) {
        lane.heardAtMs = clock.monotonicMs();
        leave(asked, lane);
        if (!isUntouched || asked.isOver || asked.isRepeated) {
          fail(asked, code);
          return;
        }
        retire(lane);
        asked.isRepeated = true;
        send(asked, true);
      },
    });
  }

  /** The question is no longer this connection's. */
  function leave(asked: Asked, lane: Lane): void {
    lane.asked.delete(asked);
    asked.lane = null;
    if (lane.asked.size > 0 || !lanes.has(lane)) return;
    lane.cancelWatch?.();
    lane.cancelWatch = null;
    if (lane.isRetired) retire(lane);
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
    // It had them before it said its last word, and dropped them.
    if (left.some(({ order }) => order <= lane.givenWhenHeard))
      lane.target.serialUntilMs = clock.monotonicMs() + SERIAL_MS;
    for (const asked of left) {
      asked.lane = null;
      if (asked.isOver) continue;
      if (lane.served > 0 && !asked.isRepeated) {
        asked.isRepeated = true;
        send(asked, true);
      } else fail(asked, code === "" ? "ECONNRESET" : code);
    }
  }

  /** A connection that has served before is not waited for in silence. */
  function watch(lane: Lane, afterMs: number): void {
    lane.cancelWatch ??= timers.after(afterMs, () => {
      lane.cancelWatch = null;
      const [oldest] = lane.asked;
      if (oldest === undefined || !lanes.has(lane)) return;
      const leftMs = SILENT_MS - silenceMs(lane, oldest);
      if (leftMs > 0) watch(lane, leftMs);
      else {
        lane.line.close();
        endedBy(lane, "");
      }
    });
  }

  const silenceMs = (lane: Lane, { sentAtMs }: Asked): number =>
    clock.monotonicMs() - Math.max(sentAtMs, lane.heardAtMs);

  function close(asked: Asked): void {
    asked.isOver = true;
    const { lane } = asked;
    if (lane === null) return;
    asked.cancel();
    if (silenceMs(lane, asked) >= SILENT_MS) lane.isRetired = true;
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
        order: 0,
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
