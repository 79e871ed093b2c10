/** A small DNS client for tests: raw octets over UDP and TCP, dns-packet as the judge of replies. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import dnsPacket, { type DecodedPacket, type RecordType } from "dns-packet";

/** A query with RD set. */
export function query(id: number, name: string, type: RecordType = "A"): Buffer {
  return dnsPacket.encode({
    type: "query",
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
  });
}

export type UdpClient = {
  socket: Socket;
  /** Sends octets and gives the first reply with the same id, undefined after the time limit. */
  ask(wire: Uint8Array, timeoutMs?: number): Promise<Buffer | undefined>;
  close(): void;
};

/** A connected UDP socket; several questions may be under way if their ids differ. */
export async function udpClient(port: number, address = "127.0.0.1"): Promise<UdpClient> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const waiting = new Map<number, (reply: Buffer) => void>();
  socket.on("message", (reply) => {
    const id = reply.readUInt16BE(0);
    const resolve = waiting.get(id);
    waiting.delete(id);
    resolve?.(reply);
  });
  socket.on("error", () => undefined);
  socket.connect(port, address);
  await once(socket, "connect");
  return {
    socket,
    ask: (wire, timeoutMs = 3_000) =>
      new Promise((resolve) => {
        const id = (wire[0]! << 8) | wire[1]!;
        const timer = setTimeout(() => {
          waiting.delete(id);
          resolve(undefined);
        }, timeoutMs);
        waiting.set(id, (reply) => {
          clearTimeout(timer);
          resolve(reply);
        });
        socket.send(wire);
      }),
    close: () => socket.close(),
  };
}

/**
 * Writes octets to a new TCP connection, closes its own side and collects all that comes back until
 * the server closes or the limit passes.
 */
export function tcpExchange(
  port: number,
  octets: Uint8Array,
  timeoutMs = 3_000,
): Promise<Buffer[]> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let received = Buffer.alloc(0);
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(messages(received));
    };
    const timer = setTimeout(finish, timeoutMs);
    socket.on("connect", () => socket.end(octets));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    socket.on("end", finish);
    socket.on("error", finish);
  });
}

function messages(octets: Buffer): Buffer[] {
  const list: Buffer[] = [];
  let offset = 0;
  while (octets.length - offset >= 2) {
    const length = octets.readUInt16BE(offset);
    if (octets.length - offset - 2 < length) break;
    list.push(octets.subarray(offset + 2, offset + 2 + length));
    offset += 2 + length;
  }
  return list;
}

/** Length-prefixed for TCP (RFC 1035 4.2.2). */
export function framed(wire: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(wire.length);
  return Buffer.concat([length, wire]);
}

/** What dns-packet makes of a reply. */
export const decode = (wire: Buffer): DecodedPacket => dnsPacket.decode(wire);
