/** A client of HTTP/2 that sends the frames it is told to (RFC 9113), also those that no client sends. */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import type { Test } from "tap";

/** Frame types (RFC 9113 section 6). */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;
/** The client's first octets (RFC 9113 section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame in octets. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A number of 32 bits. */
export function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

/** A field without indexing, nothing compressed (RFC 7541 section 6.2.2); names and values under 127 octets. */
export const field = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);

/** The fields of a request for an answer. */
export const requestFields = (method: "GET" | "POST", path = "/dns-query"): Buffer =>
  Buffer.concat([
    field(":method", method),
    field(":scheme", "https"),
    field(":authority", "localhost"),
    field(":path", path),
    ...(method === "POST" ? [field("content-type", "application/dns-message")] : []),
  ]);

/** One frame that came. */
type Came = { type: number; flags: number; stream: number; payload: Buffer };

export type RawHttp2 = {
  socket: TLSSocket;
  /** What came, DATA counted only. */
  came: Came[];
  dataOctets: number;
  /** Writes as much as the server takes; false: the connection is over. */
  write(octets: Uint8Array): Promise<boolean>;
  /** The error code of its GOAWAY, "closed" without one, "open" if it stands after that time. */
  end(limitMs: number): Promise<number | "closed" | "open">;
};

/** Connected, SETTINGS exchanged unless `settings` says otherwise. */
export async function connectRaw(
  t: Test,
  { port, ca, settings = Buffer.alloc(0) }: { port: number; ca: string; settings?: Buffer },
): Promise<RawHttp2> {
  const socket = connect({ port, host: "127.0.0.1", ca, ALPNProtocols: ["h2"] });
  t.teardown(() => socket.destroy());
  let isOver = false;
  const closed = new Promise<void>((over) => socket.once("close", over));
  void closed.then(() => (isOver = true));
  socket.on("error", () => undefined);
  const raw: RawHttp2 = {
    socket,
    came: [],
    dataOctets: 0,
    async write(octets) {
      if (isOver || socket.destroyed || !socket.writable) return false;
      if (!socket.write(octets))
        await Promise.race([once(socket, "drain").catch(() => []), closed]);
      return !isOver;
    },
    async end(limitMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<"open">((resolve) => {
        timer = setTimeout(() => resolve("open"), limitMs);
      });
      const said = await Promise.race([closed, late]);
      clearTimeout(timer);
      if (said === "open") return "open";
      // A GOAWAY without an error may come before that with one.
      const goaway = raw.came.findLast(({ type }) => type === FRAME.GOAWAY);
      return goaway === undefined ? "closed" : goaway.payload.readUInt32BE(4);
    },
  };
  let received = Buffer.alloc(0);
  socket.on("data", (octets: Buffer) => {
    received = Buffer.concat([received, octets]);
    while (received.length >= 9) {
      const length = received.readUIntBE(0, 3);
      if (received.length < 9 + length) break;
      const payload = received.subarray(9, 9 + length);
      const type = received[3]!;
      if (type === FRAME.DATA) raw.dataOctets += length;
      const stream = received.readUInt32BE(5);
      raw.came.push({
        type,
        flags: received[4]!,
        stream,
        payload: type === FRAME.DATA ? Buffer.alloc(0) : payload,
      });
      received = received.subarray(9 + length);
    }
  });
  await once(socket, "secureConnect");
  await raw.write(Buffer.concat([PREFACE, frame(FRAME.SETTINGS, 0, 0, settings)]));
  return raw;
}
