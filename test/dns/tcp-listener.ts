/** DNS over TCP on loopback, for tests that move its clock. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Test } from "tap";
import type { Question, Reply } from "../../src/dns/answer.ts";
import { startTcpFront, tcpDefaults, type TcpLimits } from "../../src/dns/driver.ts";
import type { Timers } from "../../src/ports.ts";

/** Decides about a question. */
export type Answer = (question: Question, reply: Reply) => void;
type Options = { answer?: Answer; limits?: Partial<TcpLimits>; address?: string };

/** Every question is its own answer. */
export const echo: Answer = ({ query }, reply) => reply(query);

/** A listener whose clock only the test moves; `answer` decides about each question. */
export async function listen(
  t: Test,
  { answer = echo, limits, address = "127.0.0.1" }: Options = {},
) {
  let nowMs = 0;
  const due = new Set<{ atMs: number; run: () => void }>();
  const timers: Timers = {
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      due.add(timer);
      return () => due.delete(timer);
    },
  };
  const front = await startTcpFront({
    listen: [{ address, port: 0 }],
    resolve: answer,
    clock: { monotonicMs: () => nowMs, wallMs: () => 0 },
    timers,
    log: () => {},
    ...(limits && { limits }),
  });
  const { counters } = front;
  const sockets: Socket[] = [];
  /** In small steps, so that every timer runs at its time. */
  const advance = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs = Math.min(end, nowMs + 50);
      for (const timer of due) if (timer.atMs <= nowMs && due.delete(timer)) timer.run();
    }
  };
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    const closed = front.close();
    advance(tcpDefaults.closeMs + 100);
    await closed;
  });
  return {
    front,
    counters,
    advance,
    /** A connection that the listener has seen. */
    dial: async (host = "127.0.0.1", localAddress?: string): Promise<Socket> => {
      const before = counters.accepted;
      const { port } = front.addresses[0]!;
      const socket = connect({
        port,
        host,
        ...(localAddress === undefined ? {} : { localAddress }),
      });
      sockets.push(socket);
      socket.on("error", () => {});
      await once(socket, "connect");
      await until(() => counters.accepted > before);
      return socket;
    },
  };
}

/** Resolves when the condition holds; looks after each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 200_000) throw new Error("it never happened");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A message with its length in front. */
export const frame = (message: Uint8Array | string): Buffer => {
  const octets = Buffer.from(message);
  return Buffer.concat([Buffer.from([octets.length >> 8, octets.length & 255]), octets]);
};

/** Messages as they come in. */
export function messagesOf(socket: Socket): Buffer[] {
  const messages: Buffer[] = [];
  let buffer = Buffer.alloc(0);
  socket.on("data", (octets: Buffer) => {
    buffer = Buffer.concat([buffer, octets]);
    while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
      messages.push(buffer.subarray(2, 2 + buffer.readUInt16BE(0)));
      buffer = buffer.subarray(2 + buffer.readUInt16BE(0));
    }
  });
  return messages;
}

/** Whether the other side has ended the connection. */
export const isOver = (socket: Socket): boolean => socket.destroyed || socket.readableEnded;
/** Notices the end of a connection that is not read otherwise. */
export const watchEnd = (socket: Socket): Socket => socket.resume();
