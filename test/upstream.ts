/** A scripted upstream server for tests of the real program: UDP and TCP on one loopback port. */
import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import dnsPacket, { type Answer, type Packet } from "dns-packet";
import { freePort } from "./free-port.mjs";

export type Got = {
  /** In lower case, whatever case the question came in. */
  name: string;
  type: string;
  transport: "udp" | "tcp";
  wire: Buffer;
  /** Source port of the question. */
  port: number;
  packet: Packet;
};

/** Messages in order; nothing for silence. A promise is waited for. Over TCP the length is put before each. */
export type Says = (got: Got) => Uint8Array[] | Promise<Uint8Array[]>;

export type Upstream = {
  port: number;
  /** "127.0.0.1:port", as `recursors` wants it. */
  address: string;
  /** Questions so far. */
  got: Got[];
  /** How many questions were for this name, whatever its case. */
  count(name: string): number;
  says(next: Says): void;
  /** Stops listening: the port is closed. `listen` opens it again. */
  hangUp(): Promise<void>;
  listen(): Promise<void>;
};

/** Listens at once; `t.teardown` closes it. */
export async function startUpstream(
  t: { teardown(run: () => unknown): unknown },
  first: Says,
): Promise<Upstream> {
  let says = first;
  const got: Got[] = [];
  const port = await freePort();
  let closers: (() => Promise<void>)[] = [];

  async function answer(
    wire: Buffer,
    from: { transport: "udp" | "tcp"; port: number },
    send: (message: Uint8Array) => void,
  ): Promise<void> {
    const packet = dnsPacket.decode(wire);
    const question = packet.questions?.[0];
    if (question === undefined) throw new Error("a question without a question");
    const name = question.name.toLowerCase();
    const one: Got = { ...from, wire, packet, name, type: question.type };
    got.push(one);
    for (const message of await says(one)) send(message);
  }

  const listen = async (): Promise<void> => {
    const sockets = new Set<Socket>();
    const tcp = createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      let received = Buffer.alloc(0);
      socket.on("data", (octets) => {
        received = Buffer.concat([received, octets]);
        while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
          const wire = Buffer.from(received.subarray(2, 2 + received.readUInt16BE(0)));
          received = received.subarray(2 + wire.length);
          void answer(wire, { transport: "tcp", port: socket.remotePort ?? 0 }, (message) => {
            const length = Buffer.alloc(2);
            length.writeUInt16BE(message.length);
            if (!socket.destroyed) socket.write(Buffer.concat([length, message]));
          });
        }
      });
    });
    await new Promise<void>((done, failed) => {
      tcp.once("error", failed);
      tcp.listen(port, "127.0.0.1", done);
    });
    const udp = createSocket({ type: "udp4", recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
    let open = true;
    udp.on("message", (wire, from) => {
      void answer(wire, { transport: "udp", port: from.port }, (message) => {
        if (open) udp.send(message, from.port, from.address);
      });
    });
    await new Promise<void>((done, failed) => {
      udp.once("error", failed);
      udp.bind(port, "127.0.0.1", done);
    });
    closers = [
      () =>
        new Promise((done) => {
          open = false;
          udp.close(done);
        }),
      () =>
        new Promise((done) => {
          tcp.close(() => done());
          for (const socket of sockets) socket.destroy();
        }),
    ];
  };
  const hangUp = async (): Promise<void> => {
    await Promise.all(closers.splice(0).map((close) => close()));
  };
  await listen();
  t.teardown(hangUp);
  return {
    port,
    address: `127.0.0.1:${port}`,
    got,
    count: (name) => got.filter((one) => one.name.toLowerCase() === name.toLowerCase()).length,
    says(next) {
      says = next;
    },
    hangUp,
    listen,
  };
}

export type ReplyParts = {
  rcode?: number;
  /** Added to QR, RD and RA. */
  flags?: number;
  answers?: Answer[];
  authorities?: Answer[];
  additionals?: Answer[];
};

/** The reply to a question; an OPT if it had one. */
export function replyTo({ packet }: Got, parts: ReplyParts = {}): Buffer {
  const { rcode = 0, flags = 0, answers = [], authorities = [], additionals = [] } = parts;
  const hasOpt = (packet.additionals ?? []).some(({ type }) => type === "OPT");
  const opt = { type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] };
  const wire = dnsPacket.encode({
    type: "response",
    id: packet.id ?? 0,
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | flags,
    questions: packet.questions ?? [],
    answers,
    authorities,
    additionals: hasOpt ? [...additionals, opt as unknown as Answer] : additionals,
  });
  wire[3] = (wire[3]! & 0xf0) | rcode;
  return wire;
}

export const a = (name: string, data: string, ttl = 60): Answer => ({
  type: "A",
  name,
  data,
  ttl,
  class: "IN",
});

export const cname = (name: string, data: string, ttl = 60): Answer => ({
  type: "CNAME",
  name,
  data,
  ttl,
  class: "IN",
});

export const soa = (name: string, ttl: number, minimum: number): Answer => ({
  type: "SOA",
  name,
  ttl,
  data: {
    mname: "ns.test",
    rname: "admin.test",
    serial: 1,
    refresh: 2,
    retry: 3,
    expire: 4,
    minimum,
  },
});

/** One address for every name. */
export const answering =
  (data = "198.51.100.1", ttl = 60): Says =>
  (got) => [replyTo(got, { answers: [a(got.name, data, ttl)] })];
