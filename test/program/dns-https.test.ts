/** DNS over HTTPS of the real program (RFC 8484): what is answered, refused and cut off. */
import t, { type Test } from "tap";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { request as requestHttp1 } from "node:https";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { decode, query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { BUSY_MS } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo } from "../upstream.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";
import { startScene, type Seen } from "./scene.ts";

const directory = temporaryDirectory(t);
if (skip === false) makeCertificates(directory, ["server"]);
const file = (name: string): string => join(directory, name);
const ca = skip === false ? readFileSync(file("ca.pem"), "utf8") : "";
const DNS_MESSAGE = "application/dns-message";

async function start(t: Test) {
  const port = await freePort();
  const scene = await startScene(
    t,
    (got) =>
      got.name.startsWith("silent")
        ? []
        : [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })],
    {
      ports: { dns_https: port },
      tls: { dns: { cert_file: file("server.pem"), key_file: file("server.key") } },
    },
  );
  const session = (): ClientHttp2Session => {
    const opened = connectHttp2(`https://127.0.0.1:${port}`, { ca });
    opened.on("error", () => undefined);
    t.teardown(() => opened.destroy());
    return opened;
  };
  const tls = async (alpn: string): Promise<TLSSocket> => {
    const socket = connectTls({ port, host: "127.0.0.1", ca, ALPNProtocols: [alpn] });
    socket.on("error", () => undefined);
    // Else its end would not be noticed.
    socket.resume();
    t.teardown(() => socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };
  return { ...scene, port, session, tls };
}

type Got = { status: number; headers: Record<string, unknown>; body: Buffer };

function fetchHttp2(
  session: ClientHttp2Session,
  head: Record<string, string>,
  body?: Uint8Array,
): Promise<Got> {
  return new Promise((done, failed) => {
    const stream = session.request(head, { endStream: body === undefined });
    const pieces: Buffer[] = [];
    let headers: Record<string, unknown> = {};
    stream.on("response", (received) => (headers = received));
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      const status = Number(headers[":status"] ?? 0);
      done({ status, headers, body: Buffer.concat(pieces) });
    });
    stream.on("error", failed);
    if (body !== undefined) stream.end(body);
  });
}

const post = (session: ClientHttp2Session, body: Uint8Array): Promise<Got> =>
  fetchHttp2(
    session,
    { ":method": "POST", ":path": "/dns-query", "content-type": DNS_MESSAGE },
    body,
  );

function fetchHttp1(port: number, path: string): Promise<Got> {
  return new Promise((done, failed) => {
    const request = requestHttp1({ port, host: "127.0.0.1", ca, path }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        const { statusCode: status = 0, headers } = response;
        done({ status, headers, body: Buffer.concat(pieces) });
      });
    });
    request.on("error", failed);
    request.end();
  });
}

const addresses = ({ body }: Got): unknown[] =>
  ((decode(body) as Seen).answers ?? []).map((record) => (record as { data: unknown }).data);

t.test("GET and POST, HTTP/2 and HTTP/1.1, refusals, counters", { skip }, async (t) => {
  const { program, port, session, upstream } = await start(t);
  const one = session();
  const wire = query(0, "www.test");
  const posted = await post(one, wire);
  t.equal(posted.status, 200);
  t.equal(posted.headers["content-type"], DNS_MESSAGE);
  t.match(posted.headers["cache-control"], /^max-age=(60|59)$/);
  t.same(addresses(posted), ["192.0.2.1"]);
  const path = `/dns-query?dns=${wire.toString("base64url")}`;
  t.same(addresses(await fetchHttp2(one, { ":method": "GET", ":path": path })), ["192.0.2.1"]);
  t.same(addresses(await fetchHttp1(port, path)), ["192.0.2.1"]);
  t.equal(upstream.count("www.test"), 1, "one answer for all of them");

  const status = async (head: Record<string, string>, body?: Uint8Array): Promise<number> =>
    (await fetchHttp2(one, head, body)).status;
  const type = { "content-type": DNS_MESSAGE };
  const long = new Uint8Array(65_536);
  t.equal(await status({ ":method": "GET", ":path": "/dns-query" }), 400);
  t.equal(await status({ ":method": "GET", ":path": "/" }), 404);
  t.equal(await status({ ":method": "DELETE", ":path": path }), 405);
  const headOnly = await fetchHttp2(one, { ":method": "HEAD", ":path": path });
  t.equal(headOnly.status, 200);
  t.equal(headOnly.body.length, 0);
  t.ok(Number(headOnly.headers["content-length"]) > 0, "as long as the answer to GET");
  t.match(headOnly.headers["cache-control"], /^max-age=(60|59)$/);
  t.equal(await status({ ":method": "GET", ":path": path, accept: "text/html" }), 200);
  t.equal(await status({ ":method": "GET", ":path": `${path}=` }), 200, "padding is let through");
  t.equal(await status({ ":method": "GET", ":path": "/dns-query?dns=+/+/" }), 400);
  t.equal(await status({ ":method": "POST", ":path": "/dns-query" }, wire), 415);
  t.equal(await status({ ":method": "POST", ":path": "/dns-query", ...type }, long), 413);
  t.equal(
    await status({ ":method": "POST", ":path": "/dns-query", ...type }, wire.subarray(0, 5)),
    400,
  );
  // A reply instead of a question, and a question that is none.
  const reply = Buffer.from(wire);
  reply[2]! |= 0x80;
  t.equal(await status({ ":method": "POST", ":path": "/dns-query", ...type }, reply), 400);
  const broken = await post(one, Buffer.concat([wire.subarray(0, 12), Buffer.from([0xc0, 0xff])]));
  t.equal(broken.status, 200, "DNS errors are answers");
  t.equal(broken.body[3]! & 15, 1, "FORMERR");
  t.same(addresses(await post(one, query(0, "more.test"))), ["192.0.2.1"], "it goes on");

  const { text } = await program.http("GET", "/metrics");
  const asked = new RegExp(
    `^waypost_dns_requests_total{server="https://127.0.0.1:${port}",.*type="A"} 7$`,
    "m",
  );
  t.match(text, asked);
  t.match(text, 'waypost_dns_secure_accepted_total{proto="https"} 2');
  const responses = new RegExp(
    `^waypost_dns_https_responses_total{server="https://127.0.0.1:${port}",status="(\\d+)"} (\\d+)$`,
    "gm",
  );
  const counted = [...text.matchAll(responses)].map(([, code, count]) => `${code}: ${count}`);
  t.same(counted.toSorted(), ["200: 8", "400: 4", "404: 1", "405: 1", "413: 1", "415: 1"]);
});

t.test("many questions at a time, and out of order", { skip }, async (t) => {
  const { session } = await start(t);
  const one = session();
  const silent = post(one, query(0, "silent.test"));
  for (let i = 0; i < 500; i += 99) {
    const names = Array.from({ length: 99 }, (_, k) => `n${i + k}.test`);
    const got = await Promise.all(names.map((name) => post(one, query(0, name))));
    t.ok(got.every(({ status }) => status === 200));
    t.same(
      got.map(({ body }) => decode(body).questions![0]!.name),
      names,
    );
  }
  t.equal(decode((await silent).body).flags! & 15, 2, "the one without an answer, later");
});

t.test("slow and greedy clients are cut off, others are served", { skip }, async (t) => {
  const { program, port, session, tls } = await start(t);
  const endOf = async (socket: TLSSocket): Promise<number> => {
    const startedMs = performance.now();
    if (!socket.destroyed) await once(socket, "close");
    return performance.now() - startedMs;
  };
  const mute = await tls("h2");
  const trickling = await tls("http/1.1");
  trickling.write(
    "POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\n",
  );
  trickling.write("Content-Length: 40\r\n\r\n1234");
  const halfHead = await tls("http/1.1");
  halfHead.write("GET /dns-query?dns=AA");
  const idle: TLSSocket[] = [];
  for (let i = 0; i < 30; i++) idle.push(await tls("h2"));
  const took: number[] = [];
  for (let i = 0; i < 5; i++) {
    const startedMs = performance.now();
    const client = session();
    t.equal((await post(client, query(0, `c${i}.test`))).status, 200);
    took.push(performance.now() - startedMs);
    client.destroy();
  }
  t.ok(
    Math.min(...took) < 1_000,
    `beside 30 idle ones: ${took.map((ms) => ms.toFixed()).join(", ")} ms`,
  );
  t.ok((await endOf(mute)) < 3_000 + BUSY_MS, "nothing asked: 3 s");
  t.ok((await endOf(halfHead)) < 3_000 + BUSY_MS, "half a header: 3 s");
  t.ok((await endOf(trickling)) < 5_000 + BUSY_MS, "half a body: 5 s");
  await Promise.all(idle.map(endOf));
  const { text } = await program.http("GET", "/metrics");
  t.match(text, 'waypost_dns_secure_closed_total{proto="https",reason="first_byte"} 32');
  t.match(text, 'waypost_dns_secure_closed_total{proto="https",reason="message"} 1');
  t.equal((await fetchHttp1(port, "/")).status, 404, "still there");
});

t.test("streams that are reset at once hold no more than their share", { skip }, async (t) => {
  const { session } = await start(t);
  const rude = session();
  await once(rude, "connect");
  for (let i = 0; i < 2_000; i++) {
    const stream = rude.request({
      ":method": "POST",
      ":path": "/dns-query",
      "content-type": DNS_MESSAGE,
    });
    stream.on("error", () => undefined);
    stream.end(query(0, `silent${i}.test`));
    stream.close();
  }
  const beside = session();
  t.equal((await post(beside, query(0, "www.test"))).status, 200);
});
