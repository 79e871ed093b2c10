/** The DNS front without bun:ffi: node:dgram on the main thread, same table, same respond.ts. */
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { SharedClock } from "../dns/answer.ts";
import { BLOCK_CELLS, cellsFor, COUNTER_BATCHES, FIRST_BLOCK, sumCounters } from "../dns/cells.ts";
import { createFaults, unfailing } from "../dns/faults.ts";
import type { DnsFront, DnsFrontOptions, ListenPlace } from "../dns/front.ts";
import { LOOKS_AT_LOOPBACK, openGate } from "../dns/gate.ts";
import { countReplySize, respondAtGate } from "../dns/gate-respond.ts";
import { createResponder, drawSample, MISS, REPLY_ROOM_OCTETS, respond } from "../dns/respond.ts";
import { sampleBound } from "../dns/misses.ts";
import { createAnswerTable } from "../dns/table-writer.ts";
import { countTimes } from "../dns/worker.ts";
import { isLoopback, readSourceText } from "../address.ts";
import { cannotListen } from "../listening.ts";
import type { SocketAddress } from "../ports.ts";

/** Largest UDP datagram, rounded up to whole words. */
const INPUT_OCTETS = 65536;
/** Asked for; the system's rmem_max may allow less. Holds a burst while the main thread does other things. */
const SOCKET_BUFFER_OCTETS = 4 << 20;
/** How long `close` waits for answers under way; the forwarder gives up sooner. */
const DRAIN_MS = 5000;

/**
 * `workerCount` has no meaning here. A wildcard address answers from the address that routing picks,
 * for want of IP_PKTINFO: a warning says so. Rejects with an Error if an address cannot be bound.
 */
export async function startPortableFront(options: DnsFrontOptions): Promise<DnsFront> {
  const startedMs = performance.now();
  const clock: SharedClock = () => performance.now() - startedMs;
  const { table, memory } = createAnswerTable({
    octets: options.tableOctets,
    clock,
    random: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  });
  const counters = new Float64Array(cellsFor(options.blocks ?? 1));
  const input = new ArrayBuffer(INPUT_OCTETS);
  const output = new ArrayBuffer((REPLY_ROOM_OCTETS + 3) & ~3);
  const responder = createResponder({
    memory,
    input,
    output,
    counters,
    seed: crypto.getRandomValues(new Int32Array(4)),
  });
  const gate = openGate(options.gate, crypto.getRandomValues(new Int32Array(1))[0]!);
  const resolve = unfailing(
    options.resolve,
    options.fault ?? createFaults(options.log, clock).note,
  );
  /** Questions without reply and replies without end of their sending. */
  let underWay = 0;
  let onIdle: (() => void) | undefined;
  const settle = (): void => {
    underWay--;
    if (underWay === 0) onIdle?.();
  };

  function receive(socket: Socket, query: Uint8Array, client: SocketAddress, server: number): void {
    const arrivedMs = clock();
    const send = (wire: Uint8Array): void => {
      underWay++;
      // An error concerns this client's address only; the answer is lost like any lost datagram.
      socket.send(wire, client.port, client.address, settle);
    };
    counters[COUNTER_BATCHES]!++;
    responder.input.set(query);
    drawSample(responder);
    const address = client.address.replace(/^::ffff:(?=\d+\.)/, "");
    responder.block = FIRST_BLOCK + (2 * server + (address.includes(":") ? 1 : 0)) * BLOCK_CELLS;
    const isPlain = isLoopback(client.address) && gate.words[LOOKS_AT_LOOPBACK] === 0;
    if (!isPlain) readSourceText(client.address, gate.source);
    const wallSeconds = Math.floor(Date.now() / 1000);
    const octets = isPlain
      ? respond(responder, 0, query.length, 0, arrivedMs)
      : respondAtGate(responder, gate, 0, query.length, 0, arrivedMs, wallSeconds);
    const { port } = client;
    if (octets > 0) {
      const wire = new Uint8Array(output.slice(0, octets));
      send(wire);
      countTimes(responder, clock() - arrivedMs);
      if (responder.isSampled) options.served?.(wire, { address, port, transport: "udp" });
    }
    if (octets !== MISS) return;
    underWay++;
    resolve(
      {
        query: new Uint8Array(query),
        client: { address, port, transport: "udp" },
        isSampled: responder.isSampled,
        server,
        arrivedMs,
      },
      (wire) => {
        if (wire !== null) {
          if (!isPlain && readSourceText(client.address, gate.source))
            countReplySize(gate, wire.length, clock());
          send(wire);
        }
        settle();
      },
    );
  }

  const sockets = new Map<SocketAddress, Socket>();

  async function listen(places: readonly ListenPlace[], isSharing = false) {
    if (isSharing && places.length > 0)
      throw new Error(
        "DNS over UDP: the portable front cannot share a port with the agent before: end that one, then start this one",
      );
    const opened = new Map<SocketAddress, Socket>();
    const among = [...sockets.keys(), ...places];
    const ipv6Only = among.some(({ address }) => !address.includes(":"));
    for (const { address, port, fd } of places) {
      if (fd !== undefined)
        throw new Error(
          `${address} port ${port}: a UDP socket of another cannot be taken over here`,
        );
      const socket = createSocket({
        type: isIPv6(address) ? "udp6" : "udp4",
        ipv6Only,
        recvBufferSize: SOCKET_BUFFER_OCTETS,
        sendBufferSize: SOCKET_BUFFER_OCTETS,
      });
      const bound = await bind(socket, address, port).catch((error: unknown) => {
        for (const open of opened.values()) open.close();
        throw error;
      });
      const server = options.serverOf?.({ address, port: bound }) ?? 0;
      socket.on("message", (query, client) => receive(socket, query, client, server));
      opened.set({ address, port: bound }, socket);
      if (address === "0.0.0.0" || address === "::")
        options.log(
          "warn",
          "portable DNS front: replies leave from the address that routing picks",
          { address },
        );
    }
    for (const [address, socket] of opened) sockets.set(address, socket);
    return [...opened.keys()];
  }

  /** What has arrived is answered; then the sockets close. */
  async function settled(): Promise<void> {
    if (underWay === 0) return;
    const idle = new Promise<void>((resolve) => (onIdle = resolve));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((late) => (timer = setTimeout(late, DRAIN_MS)));
    await Promise.race([idle, limit]);
    clearTimeout(timer);
  }

  async function leave(addresses: readonly SocketAddress[]): Promise<void> {
    const leaving = [...sockets].filter(([at]) =>
      addresses.some(({ address, port }) => address === at.address && port === at.port),
    );
    for (const [at, socket] of leaving) {
      sockets.delete(at);
      socket.removeAllListeners("message");
    }
    await settled();
    await Promise.all(
      leaving.map(([, socket]) => new Promise<void>((closed) => socket.close(() => closed()))),
    );
  }

  await listen(options.listen);
  return {
    table,
    memory,
    clock,
    get addresses() {
      return [...sockets.keys()];
    },
    workerCount: 0,
    counters: () => sumCounters([counters], 0),
    cells: [counters],
    sample(share) {
      responder.sampleBound = sampleBound(share);
    },
    unlogged: () => 0,
    listen,
    leave,
    close: () => leave([...sockets.keys()]),
  };
}

/** Resolves with the port in force. */
function bind(socket: Socket, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once("error", (error) =>
      reject(new Error(cannotListen("DNS over UDP", { address, port }, error))),
    );
    socket.bind(port, address, () => {
      socket.removeAllListeners("error");
      // Reported errors (an unreachable client) concern one datagram, never the socket.
      socket.on("error", () => {});
      resolve(socket.address().port);
    });
  });
}
