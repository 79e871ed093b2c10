/** Connections to upstream servers over TCP (RFC 7766) on plain Node. */
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import type { Clock, Exchanges, OpenStreamFrom, Random, Timers, Upstream } from "../../ports.ts";
import { createConnections, tcpLimits, type LineEvents, type Line } from "../connections.ts";
import { createFramedLine } from "../framed-line.ts";

/** What every kind of connection needs. */
export type StreamDeps = {
  random: Random;
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
  /** For servers that are asked through an interface; absent: those cannot be asked. */
  openFrom?: OpenStreamFrom | null;
};

/**
 * Exchanges over TCP: `send` puts the length before the message, `datagram` gets whole messages. A server
 * that closes without an answer is ECONNRESET.
 */
export function createTcpExchanges(deps: StreamDeps, total = tcpLimits.total): Exchanges {
  return createConnections({
    ...deps,
    limits: { ...tcpLimits, total },
    dial(server, on) {
      const way = wayTo(server, deps.openFrom);
      if ("error" in way) return failedLine(way.error, on);
      if ("path" in way) return openFramed(connect(way.path), "connect", on, deps.random);
      return openFramed(way.socket, "standing", on, deps.random);
    },
  });
}

/** How a server is reached: by a path for the runtime, by a socket that is on its way, or not at all. */
export type Way = { path: TcpNetConnectOpts } | { socket: Socket } | { error: string };

/** The source port of a server is not for connections: many of them stand at a time (as in dnsmasq). */
export function wayTo(server: Upstream, openFrom: OpenStreamFrom | null | undefined): Way {
  const { address, port, source } = server;
  if (source?.interface === undefined) {
    const from = source?.address === undefined ? {} : { localAddress: source.address };
    return { path: { host: address, port, noDelay: true, ...from } };
  }
  const opened = openFrom?.(server) ?? {
    error: "ENOTSUP: interfaces cannot be chosen on this system",
  };
  if ("error" in opened) return opened;
  // Bun takes the descriptor over; what is written waits until the connection stands.
  return { socket: connect({ fd: opened.fd } as object as TcpNetConnectOpts) };
}

/** A line that ends at once, but not from within `dial`. */
export function failedLine(code: string, on: LineEvents): Line {
  let isClosed = false;
  queueMicrotask(() => {
    if (!isClosed) on.ended(code);
  });
  return { ask: () => () => {}, capacity: Infinity, close: () => void (isClosed = true) };
}

/** Messages over a socket that takes them from this event on; "standing": already. */
export function openFramed(
  socket: Socket,
  standing: "connect" | "secureConnect" | "standing",
  on: LineEvents,
  random: Random,
  wordOf: (error: Error) => string = codeOf,
): Line {
  let isOver = false;

  function end(code: string): void {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    on.ended(code);
  }

  const { line, opened, received } = createFramedLine(
    {
      write: (frame) => void socket.write(frame),
      end() {
        isOver = true;
        socket.destroy();
      },
    },
    random,
  );
  if (standing === "standing") opened();
  else socket.once(standing, opened);
  socket.on("data", (octets) => {
    if (!isOver) received(octets);
  });
  // Half a connection is none: what was asked will not be answered any more.
  socket.on("end", () => end(""));
  socket.on("error", (error) => end(wordOf(error)));
  socket.on("close", () => end(""));
  return line;
}

/** The system's word for an error. */
export function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? "UNKNOWN";
}
