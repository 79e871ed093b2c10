/**
 * The forwarder's sockets on plain Node: datagrams with a random port each, and TCP connections. It
 * decides nothing about questions.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import type { Exchange, Exchanges, Random, SocketAddress } from "../ports.ts";

type Listener = Parameters<Exchanges["open"]>[1];

/** RFC 5452 9.2: all ports that are not reserved. */
const MIN_PORT = 1024;
const MAX_PORT = 65535;
/** Ports tried for one datagram; when all are taken the exchange fails with EADDRINUSE. */
const PORT_ATTEMPTS = 8;
/** Datagram sockets at a time, half of a usual limit of descriptors; one more fails with TOO_MANY_SOCKETS. */
export const MAX_DATAGRAM_SOCKETS = 512;
/** Connections at a time; one more fails with TOO_MANY_SOCKETS. */
const MAX_TCP_CONNECTIONS = 256;

/**
 * Datagram exchanges over node:dgram, for platforms without batched system calls and for tests. Each
 * has a socket of its own, bound to a port drawn uniformly from 1024 to 65535 and connected to the server.
 */
export function createDatagramExchanges(random: Random): Exchanges {
  const open = new Set<{ close(): void }>();
  return {
    open(server, on) {
      if (open.size >= MAX_DATAGRAM_SOCKETS) return refuse(on);
      const exchange = openDatagram(server, on, random, () => open.delete(exchange));
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

function openDatagram(
  server: SocketAddress,
  on: Listener,
  random: Random,
  onClose: () => void,
): Exchange {
  let socket: DatagramSocket;
  let ready = false;
  let closed = false;
  let unsent: Uint8Array[] = [];

  function fail(code: string): void {
    if (closed) return;
    close();
    on.error(code);
  }

  function bind(attemptsLeft: number): void {
    socket = createSocket(server.address.includes(":") ? "udp6" : "udp4");
    const current = socket;
    const port = MIN_PORT + Math.floor((random.uint32() / 2 ** 32) * (MAX_PORT - MIN_PORT + 1));
    current.on("error", (error) => {
      const code = codeOf(error);
      // Taken, or kept by the system for the privileged: draw again.
      if (!ready && attemptsLeft > 1 && (code === "EADDRINUSE" || code === "EACCES")) {
        current.close();
        if (!closed) bind(attemptsLeft - 1);
      } else fail(code);
    });
    current.on("message", (octets) => {
      if (!closed) on.datagram(new Uint8Array(octets));
    });
    current.bind({ port, exclusive: true }, () => {
      if (closed) return;
      current.connect(server.port, server.address, () => {
        if (closed) return;
        ready = true;
        for (const wire of unsent) current.send(wire);
        unsent = [];
      });
    });
  }

  function close(): void {
    if (closed) return;
    closed = true;
    onClose();
    try {
      socket.close();
    } catch {
      // It failed while it was being bound, and is closed already.
    }
  }

  bind(PORT_ATTEMPTS);
  return {
    send(wire) {
      if (ready) socket.send(wire);
      else unsent.push(wire);
    },
    close,
  };
}

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
