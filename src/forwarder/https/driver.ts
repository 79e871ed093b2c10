/** Questions to upstream servers over HTTPS (RFC 8484) on plain Node: HTTP/2, or HTTP/1.1 where the server has no other. */
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Exchanges, Upstream } from "../../ports.ts";
import {
  createConnections,
  httpsLimits,
  type Line,
  type LineEvents,
  type LineListener,
} from "../connections.ts";
import { createHttp1Replies, http1Request } from "../http1.ts";
import { paddedLine, tlsWord, type DialTls } from "../tls/driver.ts";
import { codeOf, failedLine, type StreamDeps } from "../tcp/driver.ts";
import { USUAL_PATH } from "../upstream.ts";

/** The media type of DNS messages (RFC 8484 6). */
const MESSAGE = "application/dns-message";
/** A DNS message has two octets for its length elsewhere; a longer body is none. */
const MAX_MESSAGE_OCTETS = 65_535;

/** Exchanges over HTTPS, padded; see tcp/driver.ts for the contract. */
export function createHttpsExchanges(deps: StreamDeps, dial: DialTls): Exchanges {
  return createConnections({
    ...deps,
    limits: httpsLimits,
    dial(server, on) {
      const socket = dial(server, ["h2", "http/1.1"]);
      return "error" in socket
        ? failedLine(socket.error, on)
        : paddedLine(openHttps(server, socket, on));
    },
  });
}

/** A question of this line. */
type Asked = { readonly wire: Uint8Array; on: LineListener | null };

/** What is spoken once the handshake is over. */
type Speaker = { send(asked: Asked): void; readonly capacity: number };

function openHttps(server: Upstream, socket: TLSSocket, on: LineEvents): Line {
  const early = new Set<Asked>();
  let speaker: Speaker | undefined;
  let isOver = false;

  function end(code: string): void {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    on.ended(code);
  }

  socket.once("secureConnect", () => {
    if (isOver) return;
    const events: LineEvents = { drains: on.drains, ended: end };
    speaker =
      socket.alpnProtocol === "h2"
        ? speakHttp2(server, socket, events)
        : speakHttp1(server, socket, events);
    for (const asked of early) speaker.send(asked);
    early.clear();
  });
  socket.on("error", (error) => end(tlsWord(error)));
  socket.on("close", () => end(""));
  return {
    get capacity() {
      return speaker?.capacity ?? httpsLimits.perConnection;
    },
    ask(wire, listener) {
      const asked: Asked = { wire: withoutId(wire), on: withId(wire, listener) };
      if (speaker === undefined) early.add(asked);
      else speaker.send(asked);
      return () => {
        asked.on = null;
        early.delete(asked);
      };
    },
    close() {
      isOver = true;
      socket.destroy();
    },
  };
}

/** RFC 8484 4.1: id 0, for the sake of caches between. */
function withoutId(wire: Uint8Array): Uint8Array {
  const plain = wire.slice();
  plain[0] = plain[1] = 0;
  return plain;
}

function withId(wire: Uint8Array, on: LineListener): LineListener {
  const [high = 0, low = 0] = wire;
  return {
    failed: (code, isUntouched) => on.failed(code, isUntouched),
    reply(message) {
      // Another id than 0 stays wrong.
      if (message.length >= 2 && message[0] === 0 && message[1] === 0) {
        message[0] = high;
        message[1] = low;
      }
      on.reply(message);
    },
  };
}

/** Name of the server in requests; the port only where it is not the usual one. */
function authorityOf({ address, port, tlsName }: Upstream): string {
  const name = tlsName ?? address;
  const host = name.includes(":") ? `[${name}]` : name;
  return port === 443 ? host : `${host}:${port}`;
}

/** Hands on what a request has brought. */
function settle(asked: Asked, status: number, type: string, body: Uint8Array): void {
  const { on } = asked;
  asked.on = null;
  if (status !== 200) on?.failed(`HTTP ${status}`);
  else if (type.split(";", 1)[0]!.trim().toLowerCase() !== MESSAGE)
    on?.failed(`HTTP content type ${type.slice(0, 40) || "missing"}`);
  else on?.reply(body);
}

function failed(asked: Asked, code: string, isUntouched = false): void {
  const { on } = asked;
  asked.on = null;
  on?.failed(code, isUntouched);
}

/** RFC 9113 8.7: the server has not begun with it, because it closes the connection or has too much to do. */
function isUntouched(error: Error): boolean {
  return (
    codeOf(error) === "ERR_HTTP2_GOAWAY_SESSION" || codeOf(error) === "ERR_HTTP2_INVALID_SESSION"
  );
}

function speakHttp2(server: Upstream, socket: TLSSocket, on: LineEvents): Speaker {
  const authority = authorityOf(server);
  const session: ClientHttp2Session = connect(`https://${authority}`, {
    createConnection: () => socket,
  });
  session.on("error", (error) => on.ended(tlsWord(error)));
  session.on("goaway", on.drains);
  session.on("close", () => on.ended(""));
  return {
    get capacity() {
      return Math.min(
        httpsLimits.perConnection,
        session.remoteSettings?.maxConcurrentStreams ?? httpsLimits.perConnection,
      );
    },
    send(asked) {
      let stream: ClientHttp2Stream;
      try {
        stream = session.request({
          ":method": "POST",
          ":scheme": "https",
          ":authority": authority,
          ":path": server.path ?? USUAL_PATH,
          accept: MESSAGE,
          "content-type": MESSAGE,
          "content-length": asked.wire.length,
        });
      } catch (error) {
        // It closes, and has not told yet. Nothing is reported from within.
        queueMicrotask(() => failed(asked, tlsWord(error as Error), isUntouched(error as Error)));
        return;
      }
      let status = 0;
      let type = "";
      const body = createBody();
      stream.on("response", (headers) => {
        status = headers[":status"] ?? 0;
        type = headers["content-type"] ?? "";
      });
      stream.on("data", (octets: Uint8Array) => {
        if (body.add(octets)) return;
        failed(asked, "HTTP body too long");
        stream.close();
      });
      stream.on("end", () => {
        if (status !== 0) settle(asked, status, type, body.whole());
      });
      const isRefused = (): boolean => stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      stream.on("error", (error) =>
        failed(asked, tlsWord(error), isUntouched(error) || isRefused()),
      );
      // Whatever is still owed by then was refused or reset.
      stream.on("close", () => failed(asked, "HTTP/2 stream reset", isRefused()));
      stream.end(asked.wire);
    },
  };
}

/** Pieces up to the length of a message. */
function createBody() {
  const pieces: Uint8Array[] = [];
  let length = 0;
  return {
    /** False: too long. */
    add(octets: Uint8Array): boolean {
      length += octets.length;
      if (length > MAX_MESSAGE_OCTETS) return false;
      pieces.push(octets);
      return true;
    },
    whole: (): Uint8Array => new Uint8Array(Buffer.concat(pieces)),
  };
}

/** One request at a time: the others wait for the reply to it. */
function speakHttp1(server: Upstream, socket: TLSSocket, on: LineEvents): Speaker {
  const queue: Asked[] = [];
  const head = { host: authorityOf(server), path: server.path ?? USUAL_PATH, type: MESSAGE };
  const replies = createHttp1Replies(MAX_MESSAGE_OCTETS);
  let current: Asked | undefined;

  function next(): void {
    if (current !== undefined) return;
    do current = queue.shift();
    while (current !== undefined && current.on === null);
    if (current !== undefined) socket.write(http1Request(head, current.wire));
  }

  socket.on("data", (octets) => {
    const reply = replies.push(octets);
    if (reply === undefined) return;
    if (!reply.ok) {
      on.ended(reply.error);
      return;
    }
    const asked = current;
    current = undefined;
    if (asked === undefined) {
      on.ended("HTTP reply to nothing");
      return;
    }
    const { status, type, body, isLast } = reply.value;
    if (isLast) on.drains();
    settle(asked, status, type, body);
    next();
  });
  socket.on("end", () => on.ended(""));
  return {
    capacity: 1,
    send(asked) {
      queue.push(asked);
      next();
    },
  };
}
