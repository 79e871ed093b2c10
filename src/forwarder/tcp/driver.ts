/** Connections to upstream servers over TCP (RFC 7766) on plain Node. */
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import type { Clock, Exchanges, Random, Timers, Upstream } from "../../ports.ts";
import { createConnections, tcpLimits, type LineEvents, type Line } from "../connections.ts";
import { createFramedLine } from "../framed-line.ts";

/** What every kind of connection needs. */
export type StreamDeps = { random: Random; clock: Pick<Clock, "monotonicMs">; timers: Timers };

/**
 * Exchanges over TCP: `send` puts the length before the message, `datagram` gets whole messages. A server
 * that closes without an answer is ECONNRESET.
 */
export function createTcpExchanges(deps: StreamDeps, total = tcpLimits.total): Exchanges {
  return createConnections({
    ...deps,
    limits: { ...tcpLimits, total },
    dial: (server, on) => openFramed(connect(wayTo(server)), "connect", on, deps.random),
  });
}

/** Where to connect to, and from where. */
export function wayTo({ address, port, source }: Upstream): TcpNetConnectOpts {
  return {
    host: address,
    port,
    noDelay: true,
    ...(source?.address === undefined ? {} : { localAddress: source.address }),
    ...(source?.port === undefined ? {} : { localPort: source.port }),
  };
}

/** Messages over a socket that stands once `standing` is emitted. */
export function openFramed(
  socket: Socket,
  standing: "connect" | "secureConnect",
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
  socket.once(standing, opened);
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
