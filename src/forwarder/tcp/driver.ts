/** Exchanges with upstream servers over TCP (RFC 7766) on plain Node. */
import { connect, type Socket } from "node:net";
import type { Exchange, Exchanges, SocketAddress } from "../../ports.ts";

type Listener = Parameters<Exchanges["open"]>[1];

/** Connections at a time; one more fails with TOO_MANY_SOCKETS. */
const MAX_TCP_CONNECTIONS = 256;

/**
 * The same contract over TCP (RFC 7766), one connection per exchange: `send` puts the length before the
 * message, `datagram` gets whole messages. A server that closes without an answer is ECONNRESET.
 */
export function createTcpExchanges(maxConnections = MAX_TCP_CONNECTIONS): Exchanges {
  const open = new Set<{ close(): void }>();
  return {
    open(server, on) {
      if (open.size >= maxConnections) return refuse(on);
      const exchange = openStream(server, on, () => open.delete(exchange));
      open.add(exchange);
      return exchange;
    },
    get openCount() {
      return open.size;
    },
    close() {
      for (const exchange of open) exchange.close();
    },
  };
}

function refuse(on: Listener): Exchange {
  on.error("TOO_MANY_SOCKETS");
  return { send() {}, close() {} };
}

function openStream(server: SocketAddress, on: Listener, onClose: () => void): Exchange {
  const socket: Socket = connect({ host: server.address, port: server.port });
  let closed = false;
  /** Octets received and not yet handed over: at most one message and one segment. */
  let received: Uint8Array = new Uint8Array(0);

  function close(): void {
    if (closed) return;
    closed = true;
    onClose();
    socket.destroy();
  }

  function fail(code: string): void {
    if (closed) return;
    close();
    on.error(code);
  }

  socket.setNoDelay(true);
  socket.on("error", (error) => fail(codeOf(error)));
  socket.on("close", () => fail("ECONNRESET"));
  socket.on("data", (octets) => {
    received = received.length === 0 ? octets : Buffer.concat([received, octets]);
    while (!closed && received.length >= 2) {
      const end = 2 + ((received[0]! << 8) | received[1]!);
      if (received.length < end) return;
      const message = new Uint8Array(received.subarray(2, end));
      received = received.subarray(end);
      on.datagram(message);
    }
  });
  return {
    send(wire) {
      const framed = new Uint8Array(wire.length + 2);
      framed[0] = wire.length >> 8;
      framed[1] = wire.length;
      framed.set(wire, 2);
      socket.write(framed);
    },
    close,
  };
}

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? "UNKNOWN";
}
