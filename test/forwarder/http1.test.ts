// Replies of HTTP/1.1 as Node's server writes them, cut anywhere; and servers that never come to an end.
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import fc from "fast-check";
import t from "tap";
import { createHttp1Replies, type Http1Reply } from "../../src/forwarder/http1.ts";

const MOST = 65_535;
const octets = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));

/** All that a server of Node's sends for these replies on one connection. */
async function recorded(
  replies: { status: number; pieces: string[]; kind: string }[],
): Promise<Buffer> {
  let next = 0;
  const server = createServer((_request, response) => {
    const { status, pieces, kind } = replies[next++]!;
    if (kind === "early") response.writeEarlyHints({ link: "</x>; rel=preload" });
    response.statusCode = status;
    response.setHeader("content-type", "application/dns-message");
    const whole = pieces.join("");
    if (kind === "length") response.setHeader("content-length", whole.length);
    if (kind === "trailers") {
      response.setHeader("trailer", "x-after");
      response.addTrailers({ "x-after": "that" });
    }
    for (const piece of pieces) response.write(piece);
    response.end();
  });
  await new Promise<void>((bound) => server.listen(0, "127.0.0.1", bound));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const came: Buffer[] = [];
  socket.on("data", (piece) => came.push(piece));
  const one = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
  const last = one.replace("Host", "Connection: close\r\nHost");
  socket.write(one.repeat(replies.length - 1) + last);
  await new Promise((closed) => socket.once("close", closed));
  server.close();
  return Buffer.concat(came);
}

t.test("what Node's server sends, in pieces of any size", async (t) => {
  const replies = [
    { status: 200, pieces: ["a".repeat(40)], kind: "length" },
    { status: 200, pieces: ["ab", "c".repeat(5_000), "d"], kind: "chunked" },
    { status: 503, pieces: [], kind: "length" },
    { status: 200, pieces: ["e".repeat(300)], kind: "early" },
    { status: 200, pieces: ["f", "g"], kind: "trailers" },
    { status: 204, pieces: [], kind: "none" },
    { status: 200, pieces: ["\r\n\r\n", "\r\n"], kind: "chunked" },
    { status: 200, pieces: ["last"], kind: "length" },
  ];
  const wire = await recorded(replies);
  const expected = replies.map(({ status, pieces }) => `${status} ${pieces.join("")}`);
  const told = (cuts: number[]): string[] => {
    const parser = createHttp1Replies(MOST);
    const got: Http1Reply[] = [];
    const borders = [0, ...cuts.toSorted((x, y) => x - y), wire.length];
    for (let i = 1; i < borders.length; i++) {
      let piece: Uint8Array = wire.subarray(borders[i - 1], borders[i]);
      for (;;) {
        const read = parser.push(piece);
        if (read === undefined) break;
        if (!read.ok) return [read.error];
        got.push(read.value);
        piece = new Uint8Array(0);
      }
    }
    t.equal(got.at(-1)?.isLast, true);
    return got.map(({ status, body }) => `${status} ${Buffer.from(body).toString("latin1")}`);
  };
  t.same(told([]), expected, "all at once");
  t.same(told(Array.from({ length: wire.length }, (_, i) => i)), expected, "octet by octet");
  const some = fc.array(fc.nat({ max: wire.length }), { maxLength: 60 });
  fc.assert(
    fc.property(some, (cuts) => t.same(told(cuts), expected)),
    { numRuns: 100 },
  );
});

/** What comes of a head and then the same again and again, and how much of that was taken. */
function fed(head: string, again: string, times: number): { said: string; taken: number } {
  const parser = createHttp1Replies(MOST);
  let read = parser.push(octets(head));
  const piece = octets(again);
  let taken = 0;
  for (; taken < times && read === undefined; taken++) read = parser.push(piece);
  return { said: read === undefined ? "waits" : read.ok ? "reply" : read.error, taken };
}

t.test("S22: servers that go on and on", async (t) => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const rows: [what: string, head: string, again: string, said: string, most: number][] = [
    ["a header without end", "HTTP/1.1 200 OK\r\n", "x: y\r\n", "HTTP header too long", 3_000],
    ["one long line", "HTTP/1.1 200 OK\r\nx: ", "y".repeat(300_000), "HTTP header too long", 1],
    ["trailers without end", `${chunked}0\r\n`, "x: y\r\n", "HTTP header too long", 3_000],
    ["chunks without end", chunked, "1\r\na\r\n", "HTTP body too long", 65_536],
    [
      "a chunk's extension without end",
      `${chunked}1;x=`,
      "y".repeat(10),
      "HTTP chunk malformed",
      7,
    ],
    ["a chunk of 16 MB", chunked, "ffffff\r\n", "HTTP body too long", 1],
    [
      "an announced body",
      "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n",
      "\r\n",
      "HTTP body too long",
      1,
    ],
  ];
  for (const [what, head, again, said, most] of rows) {
    const startMs = performance.now();
    const got = fed(head, again, 100_000);
    t.equal(got.said, said, what);
    t.ok(got.taken <= most, `${what}: after ${got.taken}`);
    t.ok(performance.now() - startMs < 2_000, `${what}: ${performance.now() - startMs} ms`);
  }
  const head = `HTTP/1.1 200 OK\r\nContent-Length: 65000\r\nx: ${"y".repeat(15_000)}\r\n\r\n`;
  const startMs = performance.now();
  t.same(fed(head, "z", 100_000), { said: "reply", taken: 65_000 });
  t.ok(performance.now() - startMs < 2_000, "a body octet by octet is no work");
});
