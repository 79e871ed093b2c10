/**
 * HTTP as attackers write it: request smuggling (RFC 9112 section 11.2), headers that lie, odd methods and
 * versions; then mutated requests. FUZZ_MUTATIONS sets how many (the everyday run sends 2,000).
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import t, { type Test } from "tap";
import { startProgram, type Program } from "../program.ts";

const MUTATIONS = Number(process.env["FUZZ_MUTATIONS"] ?? 2_000);
/** Connections at a time: below the limit per client. */
const IN_FLIGHT = 50;
/** How long an answer may take before a connection is given up, which is no failure: requests may be unfinished. */
const PATIENCE_MS = 100;

/** All that comes back until the server closes, or until nothing has come for a while. */
async function exchange(port: number, octets: string | Buffer, patienceMs = 1000): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
  socket.setTimeout(patienceMs, () => socket.destroy());
  socket.write(typeof octets === "string" ? Buffer.from(octets, "latin1") : octets);
  await once(socket, "close");
  return answer;
}

/** Status codes of all answers on one connection. */
const statuses = (answer: string) =>
  [...answer.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, code]) => Number(code));

const put = (headers: string, body = "") =>
  `PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n${body}`;
const get = (line: string, headers = "Host: localhost\r\n") => `${line}\r\n${headers}\r\n`;
const smuggled =
  "PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n";
const evil = '{"Node":"smuggled","Address":"1.1.1.1"}\n';
const LEADER = "GET /v1/status/leader HTTP/1.1";

const shapes: [name: string, octets: string, statuses: number[]][] = [
  [
    "both lengths",
    put("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", `0\r\n\r\n${smuggled}${evil}`),
    [400],
  ],
  [
    "both lengths, turned",
    put("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", `0\r\n\r\n${smuggled}${evil}`),
    [400],
  ],
  ["two lengths", put("Content-Length: 0\r\nContent-Length: 150\r\n", smuggled + evil), [400]],
  [
    "two lengths, turned",
    put("Content-Length: 150\r\nContent-Length: 0\r\n", smuggled + evil),
    [400],
  ],
  ["a list of lengths", put("Content-Length: 0, 0\r\n"), [400]],
  ["length +0", put("Content-Length: +0\r\n"), [400]],
  ["length -1", put("Content-Length: -1\r\n"), [400]],
  ["length 0x2", put("Content-Length: 0x2\r\n", "{}"), [400]],
  ["a length beyond all", put(`Content-Length: ${"9".repeat(30)}\r\n`), [400]],
  [
    "a blank before the colon",
    put("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    [400],
  ],
  ["an unknown coding", put("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), [400]],
  ["chunked is not last", put("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), [400]],
  [
    "two codings",
    put("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    [400],
  ],
  ["a vertical tab", put("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), [400]],
  [
    "a chunk size of 18 digits",
    put("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nabc\r\n"),
    [400],
  ],
  [
    "a chunk size that is none",
    put("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"),
    [400],
  ],
  ["folded header", get(LEADER, "Host: localhost\r\nA: b\r\n c\r\n"), [400]],
  ["bare LF", "GET /v1/status/leader HTTP/1.1\nHost: localhost\n\n", [505]],
  ["bare CR in a header", get(LEADER, "Host: localhost\r\nA: b\rC: d\r\n"), [400]],
  ["NUL in a header", get(LEADER, "Host: localhost\r\nA: b\0c\r\n"), [400]],
  ["no colon", get(LEADER, "Host: localhost\r\nABC\r\n"), [400]],
  ["no name", get(LEADER, "Host: localhost\r\n: c\r\n"), [400]],
  ["no Host", get(LEADER, ""), [400]],
  ["two Hosts", get(LEADER, "Host: localhost\r\nHost: evil.example\r\n"), [400]],
  ["a foreign Host", get(LEADER, "Host: evil.example:8500\r\n"), [403]],
  [
    "a foreign Host, absolute form",
    get("GET http://localhost/v1/status/leader HTTP/1.1", "Host: evil.example\r\n"),
    [403],
  ],
  ["HTTP/1.0 without Host", get("GET /v1/status/leader HTTP/1.0", ""), [200]],
  ["HTTP/1.2", get("GET /v1/status/leader HTTP/1.2"), [505]],
  ["HTTP/2 without ALPN", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]],
  ["TLS on the plain port", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", [400]],
  ["TRACE", get("TRACE /v1/status/leader HTTP/1.1"), [405]],
  ["PATCH", get("PATCH /v1/status/leader HTTP/1.1"), [405]],
  ["HEAD", get("HEAD /v1/status/leader HTTP/1.1"), [405]],
  ["a method that is none", get("FOO /v1/status/leader HTTP/1.1"), []],
  [
    "a header of 70,000 octets",
    get(LEADER, `Host: localhost\r\nA: ${"a".repeat(70_000)}\r\n`),
    [431],
  ],
  ["a target of 70,000 octets", get(`GET /${"a".repeat(70_000)} HTTP/1.1`), [431]],
  ["300 headers", get(LEADER, `Host: localhost\r\n${"A: b\r\n".repeat(300)}`), [431]],
  ["100 headers", get(LEADER, `Host: localhost\r\n${"A: b\r\n".repeat(100)}`), [200]],
  ["three in one segment", get(LEADER).repeat(3), [200, 200, 200]],
  [
    "a body that is not asked for",
    `${get(LEADER, "Host: localhost\r\nContent-Length: 3\r\n")}abc${get(LEADER)}`,
    [200, 200],
  ],
  [
    "chunked",
    put(
      "Transfer-Encoding: chunked\r\n",
      `28\r\n{"Node":"chunked","Address":"1.1.1.1"}  \r\n0\r\n\r\n`,
    ),
    [200],
  ],
  [
    "Expect",
    put("Expect: 100-continue\r\nContent-Length: 38\r\n", '{"Node":"expect","Address":"1.1.1.1"} '),
    [100, 200],
  ],
  [
    "an upgrade",
    get(
      LEADER,
      "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    ),
    [200],
  ],
];

async function alive(t: Test, program: Program, after: string) {
  const { status } = await program.http("GET", "/v1/status/leader").catch(() => ({ status: 0 }));
  if (status !== 200) t.fail(`no answer after ${after}`);
}

t.test("shapes", async (t) => {
  const program = await startProgram(t);
  for (const [name, octets, expected] of shapes) {
    t.same(statuses(await exchange(program.httpPort, octets)), expected, name);
    await alive(t, program, name);
  }
  const { text } = await program.http("GET", "/v1/catalog/nodes");
  t.notMatch(text, /smuggled/, "nothing was smuggled in");
  t.match(text, /"chunked"/);
});

t.test("one octet a segment", async (t) => {
  const program = await startProgram(t);
  const socket = connect(program.httpPort, "127.0.0.1").setNoDelay(true);
  await once(socket, "connect");
  for (const octet of Buffer.from(get(LEADER))) socket.write(Buffer.from([octet]));
  const [answer] = (await once(socket, "data")) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 200 /);
  socket.destroy();
});

t.test("mutated requests", { timeout: 600_000 }, async (t) => {
  const program = await startProgram(t, { limits: { http_max_conns_per_client: 1000 } });
  const seed = randomBytes(4).readUInt32BE(0) || 1;
  t.comment(`seed ${seed}`);
  let state = seed;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const valid = shapes.map(([, octets]) => Buffer.from(octets.slice(0, 2000), "latin1"));
  const mutate = (): Buffer => {
    let octets = Buffer.from(valid[random(valid.length)]!);
    for (let change = 1 + random(6); change > 0; change--) {
      const at = random(octets.length || 1);
      const kind = random(5);
      if (kind === 0) octets[at] = random(256);
      else if (kind === 1)
        octets = Buffer.concat([octets.subarray(0, at), octets.subarray(at + 1 + random(8))]);
      else if (kind === 2)
        octets = Buffer.concat([
          octets.subarray(0, at),
          randomBytes(1 + random(8)),
          octets.subarray(at),
        ]);
      else if (kind === 3) octets = Buffer.concat([octets, valid[random(valid.length)]!]);
      else
        octets = Buffer.concat([octets.subarray(0, at), Buffer.from("\r\n"), octets.subarray(at)]);
    }
    return octets;
  };
  let sent = 0;
  const work = async () => {
    while (sent < MUTATIONS) {
      sent++;
      const octets = mutate();
      const answer = await exchange(program.httpPort, octets, PATIENCE_MS);
      // A registration that a change has made readable lacks a node: 500, as Consul says it.
      if (answer.includes("Must provide node")) continue;
      for (const status of statuses(answer))
        if (status === 500 && !/%/.test(octets.toString("latin1")))
          t.fail(`500: ${JSON.stringify(octets.toString("latin1"))}`);
      if (sent % 500 === 0) await alive(t, program, `${sent} requests`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  await alive(t, program, "all of it");
  t.equal(program.child.exitCode, null, "the process lives");
  t.notMatch(
    program.output(),
    /panic|assertion|TypeError|RangeError|Internal/,
    "nothing was thrown",
  );
});
