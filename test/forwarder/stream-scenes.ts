/** What upstream servers over TLS and HTTPS do, well and badly, and what must come of it. Linux and openssl. */
import { createServer as createPlain, type Socket } from "node:net";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import packet from "dns-packet";
import type { Upstream } from "../../src/ports.ts";
import { query } from "../dns-client.ts";
import { makeCertificates } from "../program/certificates.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import type { StreamClient } from "./stream-client.ts";

/** Names are asked as n1, n2, ...; the reply to each is its question with QR set. */
const asked = (id: number, name = `n${id}.test`): string => {
  const wire = packet.encode({
    ...packet.decode(query(id, name)),
    type: "query",
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] } as never],
  });
  return wire.toString("hex");
};

/** The reply as the servers here make it: id and name of the question tell it apart. */
const told = (hex: string): string => {
  if (!/^[0-9a-f]{24,}$/.test(hex)) return hex;
  const { id, questions, type } = packet.decode(Buffer.from(hex, "hex"));
  return type === "response" ? `${id} ${questions?.[0]?.name}` : "no reply";
};

type Handler = (question: Buffer, answer: (reply: Uint8Array) => void, socket: Socket) => void;

const replyTo = (question: Buffer): Buffer => {
  const reply = Buffer.from(question);
  reply[2]! |= 0x80;
  return reply;
};

const framed = (reply: Uint8Array): Buffer => {
  const frame = Buffer.alloc(2 + reply.length);
  frame.writeUInt16BE(reply.length);
  frame.set(reply, 2);
  return frame;
};

type Seen = { connections: number; resumed: number; questions: Buffer[]; alpn: unknown[] };

/** Whole questions out of a stream. */
function onQuestions(socket: Socket, handle: (question: Buffer) => void): void {
  let received = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (octets) => {
    received = Buffer.concat([received, octets]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      handle(Buffer.from(received.subarray(2, end)));
      received = received.subarray(end);
    }
  });
}

/** Runs every scene with this client, which trusts `ca.pem`. */
export async function streamScenes(
  t: Test,
  createClient: (ca: string) => Promise<StreamClient>,
): Promise<void> {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server", "expired"]);
  const pem = (name: string): string => readFileSync(join(directory, name), "utf8");
  const pair = (name: string): TlsOptions => ({
    cert: pem(`${name}.pem`),
    key: pem(`${name}.key`),
  });

  async function startTls(
    t: Test,
    handle: Handler,
    options: TlsOptions = pair("server"),
  ): Promise<{ server: Upstream; seen: Seen }> {
    const seen: Seen = { connections: 0, resumed: 0, questions: [], alpn: [] };
    const open = new Set<TLSSocket>();
    const listener = createServer({ ALPNProtocols: ["dot"], ...options }, (socket) => {
      open.add(socket);
      seen.connections++;
      seen.alpn.push(socket.alpnProtocol);
      if (socket.isSessionReused()) seen.resumed++;
      onQuestions(socket, (question) => {
        seen.questions.push(question);
        handle(question, (reply) => void socket.write(framed(reply)), socket);
      });
    });
    listener.on("tlsClientError", () => undefined);
    await new Promise<void>((listening) => listener.listen(0, "127.0.0.1", listening));
    t.teardown(() => {
      for (const socket of open) socket.destroy();
      listener.close();
    });
    const { port } = listener.address() as { port: number };
    return { server: { address: "127.0.0.1", port, transport: "tls" }, seen };
  }

  async function client(t: Test): Promise<StreamClient> {
    const created = await createClient(pem("ca.pem"));
    t.teardown(() => created.close());
    return created;
  }

  t.test("DoT: few connections, pipelined, replies in any order, padded", async (t) => {
    const total = 24;
    const waiting: (() => void)[] = [];
    const idsOf = new Map<Socket, number[]>();
    const { server, seen } = await startTls(t, (question, answer, socket) => {
      idsOf.set(socket, [...(idsOf.get(socket) ?? []), question.readUInt16BE(0)]);
      waiting.push(() => answer(replyTo(question)));
      if (waiting.length === total) for (const each of waiting.splice(0).toReversed()) each();
    });
    const ours = await client(t);
    // All with the same id: those of the connection are its own (RFC 7766 6.2.1).
    const wires = Array.from({ length: total }, (_, i) => asked(7, `n${i}.test`));
    const replies = await ours.ask(server, wires, { atOnce: true });
    t.same(
      replies.map(told),
      wires.map((_, i) => `7 n${i}.test`),
    );
    t.equal(seen.connections, 8);
    t.same([...new Set(seen.alpn)], ["dot"]);
    for (const ids of idsOf.values()) t.equal(new Set(ids).size, 3, "ids of a connection differ");
    for (const wire of seen.questions) {
      t.equal(wire.length, 128, "RFC 8467 4.1");
      const [opt] = packet.decode(wire).additionals as unknown as { options: { code: number }[] }[];
      t.same(
        opt!.options.map(({ code }) => code),
        [12],
      );
    }
    t.same((await ours.ask(server, [asked(1)], { timeoutMs: 100 })).map(told), ["silence"]);
    t.equal(seen.connections, 8, "used again");
  });

  t.test("DoT: a name instead of the address, and the session is resumed", async (t) => {
    const { server, seen } = await startTls(t, (question, answer, socket) => {
      answer(replyTo(question));
      // TLS 1.3 sends its tickets before; the next question needs a connection of its own.
      socket.end();
    });
    const ours = await client(t);
    const named = { ...server, tlsName: "server.dc1.consul" };
    for (let i = 1; i <= 3; i++)
      t.equal(told((await ours.ask(named, [asked(i)]))[0]!), `${i} n${i}.test`);
    t.equal(seen.connections, 3);
    t.equal(seen.resumed, 2);
  });

  const badCertificates: { when: string; pair: string; tlsName?: string; word: string }[] = [
    { when: "another name", pair: "server", tlsName: "dns.example", word: "CERT name mismatch" },
    { when: "another address", pair: "server", tlsName: "192.0.2.1", word: "CERT name mismatch" },
    { when: "expired", pair: "expired", word: "CERT expired" },
    { when: "signed by itself", pair: "stranger", word: "CERT self-signed" },
  ];
  for (const { when, pair: name, tlsName, word } of badCertificates)
    t.test(`DoT: ${when}: nothing is asked`, async (t) => {
      const { server, seen } = await startTls(t, (q, answer) => answer(replyTo(q)), pair(name));
      const ours = await client(t);
      const to = tlsName === undefined ? server : { ...server, tlsName };
      t.same(await ours.ask(to, [asked(1), asked(2)]), [word, word]);
      t.same(seen.questions, []);
      t.equal(await ours.openCount(), 0);
    });

  t.test("DoT: a server that speaks no TLS, and one that speaks an old one", async (t) => {
    let octets = 0;
    const plain = createPlain((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (data) => {
        octets += data.length;
        socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      });
    });
    await new Promise<void>((listening) => plain.listen(0, "127.0.0.1", listening));
    t.teardown(() => plain.close());
    const { port } = plain.address() as { port: number };
    const ours = await client(t);
    const wire = asked(1);
    t.same(await ours.ask({ address: "127.0.0.1", port, transport: "tls" }, [wire]), [
      "TLS not spoken",
    ]);
    t.ok(octets > 0);
    const old = await startTls(t, (q, answer) => answer(replyTo(q)), {
      ...pair("server"),
      minVersion: "TLSv1.1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    t.same(await ours.ask(old.server, [wire]), ["TLS version too old"]);
    t.same(old.seen.questions, []);
  });

  t.test("DoT: silent after the handshake: given up, the next question dials anew", async (t) => {
    const { server, seen } = await startTls(t, (question, answer) => {
      if (seen.connections > 1) answer(replyTo(question));
    });
    const ours = await client(t);
    t.same(await ours.ask(server, [asked(1)], { timeoutMs: 3_000 }), ["silence"]);
    t.same((await ours.ask(server, [asked(2)])).map(told), ["2 n2.test"]);
    t.equal(seen.connections, 2);
    t.equal(await ours.openCount(), 1);
  });

  t.test("DoT: silent after it has answered: once more over a new connection", async (t) => {
    const { server, seen } = await startTls(t, (question, answer) => {
      if (seen.questions.length !== 2) answer(replyTo(question));
    });
    const ours = await client(t);
    t.same((await ours.ask(server, [asked(1), asked(2)])).map(told), ["1 n1.test", "2 n2.test"]);
    t.equal(seen.connections, 2);
    t.equal(seen.questions.length, 3);
    t.equal(await ours.openCount(), 1);
  });

  t.test("DoT: closes after each answer: every question of a crowd is answered", async (t) => {
    const { server, seen } = await startTls(t, (question, answer, socket) => {
      if (socket.writableEnded) return;
      answer(replyTo(question));
      socket.end();
    });
    const ours = await client(t);
    const wires = Array.from({ length: 12 }, (_, i) => asked(i));
    const replies = await ours.ask(server, wires, { atOnce: true });
    t.same(
      replies.map(told),
      wires.map((_, i) => `${i} n${i}.test`),
    );
    // 11 of 12 were asked twice, once each way.
    t.ok(seen.questions.length <= 2 * wires.length, `${seen.questions.length} messages`);
    t.same((await ours.ask(server, [asked(20), asked(21)], { atOnce: true })).map(told), [
      "20 n20.test",
      "21 n21.test",
    ]);
  });

  t.test("DoT: half a reply, and the end", async (t) => {
    const { server, seen } = await startTls(t, (question, _answer, socket) => {
      socket.end(framed(replyTo(question)).subarray(0, 20));
    });
    const ours = await client(t);
    t.same(await ours.ask(server, [asked(1)]), ["ECONNRESET"]);
    t.equal(seen.questions.length, 1, "a new connection is no reason to ask again");
  });

  type Page = (request: Http2ServerRequest, response: Http2ServerResponse, body: Buffer) => void;

  async function startHttps(
    t: Test,
    page: Page,
    options: { ALPNProtocols?: string[] } = {},
  ): Promise<{
    server: Upstream;
    seen: { method: string; path: string; body: Buffer }[];
    connections: () => number;
  }> {
    const seen: { method: string; path: string; body: Buffer }[] = [];
    let connections = 0;
    const { cert, key } = pair("server");
    const listener = createSecureServer(
      { cert: cert as string, key: key as string, allowHTTP1: true, ...options },
      (request, response) => {
        const pieces: Buffer[] = [];
        request.on("data", (piece: Buffer) => pieces.push(piece));
        request.on("end", () => {
          const body = Buffer.concat(pieces);
          seen.push({ method: request.method, path: request.url, body });
          page(request, response, body);
        });
      },
    );
    const sockets = new Set<Socket>();
    listener.on("connection", (socket: Socket) => {
      connections++;
      sockets.add(socket);
    });
    await new Promise<void>((listening) => listener.listen(0, "127.0.0.1", listening));
    t.teardown(() => {
      for (const socket of sockets) socket.destroy();
      listener.close();
    });
    const { port } = listener.address() as { port: number };
    return {
      server: { address: "127.0.0.1", port, transport: "https" },
      seen,
      connections: () => connections,
    };
  }

  const dnsMessage = { "content-type": "application/dns-message" };
  const answering: Page = (_request, response, body) => {
    response.writeHead(200, dnsMessage);
    response.end(replyTo(body));
  };

  for (const [when, ALPNProtocols] of [
    ["HTTP/2", ["h2", "http/1.1"]],
    ["HTTP/1.1", ["http/1.1"]],
  ] as const)
    t.test(`DoH over ${when}: POST, id 0, padded, one connection`, async (t) => {
      const { server, seen, connections } = await startHttps(t, answering, {
        ALPNProtocols: [...ALPNProtocols],
      });
      const ours = await client(t);
      const wires = [asked(1), asked(2), asked(3)];
      t.same((await ours.ask(server, wires)).map(told), ["1 n1.test", "2 n2.test", "3 n3.test"]);
      t.equal(connections(), 1);
      const crowd = Array.from({ length: 20 }, (_, i) => asked(i));
      const replies = await ours.ask({ ...server, path: "/q" }, crowd, { atOnce: true });
      t.same(
        replies.map(told),
        crowd.map((_, i) => `${i} n${i}.test`),
      );
      t.same(
        [...new Set(seen.map(({ method, path }) => `${method} ${path}`))],
        ["POST /dns-query", "POST /q"],
      );
      for (const { body } of seen) {
        t.equal(body.readUInt16BE(0), 0, "RFC 8484 4.1");
        t.equal(body.length, 128);
      }
    });

  const pages: { when: string; page: Page; word: string }[] = [
    {
      when: "a status",
      page: (_, response) => void response.writeHead(503).end(),
      word: "HTTP 503",
    },
    {
      when: "a redirect is not followed",
      page: (_, response) =>
        void response.writeHead(302, { location: "https://dns.example/" }).end(),
      word: "HTTP 302",
    },
    {
      when: "another type",
      page: (_, response) =>
        void response.writeHead(200, { "content-type": "text/html" }).end("hello"),
      word: "HTTP content type text/html",
    },
    {
      when: "a body without end",
      page: (_, response) => {
        response.writeHead(200, dnsMessage);
        response.end(Buffer.alloc(70_000));
      },
      word: "HTTP body too long",
    },
  ];
  for (const version of ["HTTP/2", "HTTP/1.1"])
    t.test(`DoH over ${version}: what is no answer`, async (t) => {
      const ours = await client(t);
      for (const { when, page, word } of pages) {
        const { server } = await startHttps(t, page, {
          ALPNProtocols: version === "HTTP/2" ? ["h2"] : ["http/1.1"],
        });
        t.same(await ours.ask(server, [asked(1)]), [word], when);
      }
    });

  t.test(
    "DoH: what a server that leaves has not begun with is asked once more (RFC 9113 8.7)",
    async (t) => {
      let first: unknown;
      const { server, connections } = await startHttps(
        t,
        (request, response, body) => {
          const { session, id = 0 } = request.stream;
          first ??= session;
          if (session !== first) answering(request, response, body);
          else if (id === 1) {
            answering(request, response, body);
            session?.goaway(0, 1);
          }
        },
        { ALPNProtocols: ["h2"] },
      );
      const ours = await client(t);
      const crowd = [asked(1), asked(2), asked(3), asked(4)];
      const replies = await ours.ask(server, crowd, { atOnce: true });
      t.same(replies.map(told), ["1 n1.test", "2 n2.test", "3 n3.test", "4 n4.test"]);
      t.equal(connections(), 2);
    },
  );

  t.test("DoH: a reply in chunks", async (t) => {
    const { server } = await startHttps(
      t,
      (_request, response, body) => {
        response.writeHead(200, dnsMessage);
        const reply = replyTo(body);
        response.write(reply.subarray(0, 30));
        response.end(reply.subarray(30));
      },
      { ALPNProtocols: ["http/1.1"] },
    );
    const ours = await client(t);
    t.same((await ours.ask(server, [asked(1), asked(2)])).map(told), ["1 n1.test", "2 n2.test"]);
  });

  t.test("DoH: another name: nothing is asked", async (t) => {
    const { server, seen } = await startHttps(t, answering);
    const ours = await client(t);
    t.same(await ours.ask({ ...server, tlsName: "dns.example" }, [asked(1)]), [
      "CERT name mismatch",
    ]);
    t.same(seen, []);
  });
}
