/**
 * Datagram exchanges on plain Node: a socket with a random port for each. For platforms without batched
 * system calls, and for tests.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { drawPort } from "../../address.ts";
import type { Exchange, Exchanges, Random, SourcePorts, Upstream } from "../../ports.ts";

type Listener = Parameters<Exchanges["open"]>[1];

/** RFC 5452 9.2: all ports that are not reserved. */
const EVERY_PORT = { min: 1024, max: 65_535 };
/** Ports tried for one datagram; when all are taken the exchange fails with EADDRINUSE. */
const PORT_ATTEMPTS = 8;
/** Datagram sockets at a time, half of a usual limit of descriptors; one more fails with TOO_MANY_SOCKETS. */
export const MAX_DATAGRAM_SOCKETS = 512;

/**
 * Datagram exchanges over node:dgram, for platforms without batched system calls and for tests. Each
 * has a socket of its own, bound to a port drawn uniformly from the range of `ports`, else from 1024 to
 * 65535, and connected to the server. An interface cannot be chosen here: ENOTSUP.
 */
export function createDatagramExchanges(
  random: Random,
  ports: SourcePorts = systemPorts,
): Exchanges {
  const open = new Set<{ close(): void }>();
  return {
    open(server, on) {
      if (open.size >= MAX_DATAGRAM_SOCKETS) return refuse(on, "TOO_MANY_SOCKETS");
      if (server.source?.interface !== undefined)
        return refuse(on, "ENOTSUP: interfaces cannot be chosen on this system");
      if (ports.taken().includes(server.source?.port ?? -1))
        return refuse(on, `EADDRINUSE: source port ${server.source?.port} is where we listen`);
      const exchange = openDatagram(server, on, { random, ports }, () => open.delete(exchange));
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

const systemPorts: SourcePorts = { range: () => null, taken: () => [] };

function refuse(on: Listener, code: string): Exchange {
  on.error(code);
  return { send() {}, close() {} };
}

function openDatagram(
  server: Upstream,
  on: Listener,
  { random, ports }: { random: Random; ports: SourcePorts },
  onClose: () => void,
): Exchange {
  const { source } = server;
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
    const fixed = source?.port;
    socket = createSocket({
      type: server.address.includes(":") ? "udp6" : "udp4",
      // Sockets to several servers share the port; each is connected, so each gets its own replies.
      ...(fixed === undefined ? {} : { reusePort: true }),
    });
    const current = socket;
    const range = ports.range() ?? EVERY_PORT;
    const port = fixed ?? drawPort(range, ports.taken(), () => random.uint32());
    current.on("error", (error) => {
      const code = codeOf(error);
      // Taken, or kept by the system for the privileged: draw again.
      if (
        !ready &&
        fixed === undefined &&
        attemptsLeft > 1 &&
        (code === "EADDRINUSE" || code === "EACCES")
      ) {
        current.close();
        if (!closed) bind(attemptsLeft - 1);
      } else fail(code);
    });
    current.on("message", (octets) => {
      if (!closed) on.datagram(new Uint8Array(octets));
    });
    const address = source?.address === undefined ? {} : { address: source.address };
    current.bind({ port, ...address, exclusive: true }, () => {
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

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? "UNKNOWN";
}
