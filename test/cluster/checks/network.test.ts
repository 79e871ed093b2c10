// UDP, gRPC and HTTP/2 checks, and TLS of all kinds, against servers of Node's own libraries.
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { createServer as createHttp, type IncomingMessage } from "node:http";
import {
  createSecureServer,
  createServer as createHttp2,
  type ServerHttp2Stream,
} from "node:http2";
import { createServer as createHttps } from "node:https";
import { createServer as createTcp, type AddressInfo, type Server } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { AgentTls } from "../../../src/cluster/checks/dial/driver.ts";
import { createProbe } from "../../../src/cluster/checks/driver.ts";
import {
  decodeResponse,
  encodeRequest,
  resultOfAnswer,
} from "../../../src/cluster/checks/grpc/health.ts";
import { parseCheck } from "../../../src/cluster/definition.ts";
import { makeCertificates, noCertificates } from "../../program/certificates.ts";

const plain = createProbe({ denyLinkLocal: false });

async function run(body: Record<string, unknown>, probe = plain): Promise<string> {
  const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: "5s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  const { status, output } = await probe(parsed.value, 4096).result;
  return `${status} ${output}`;
}

type Closing = { teardown(run: () => void): void };

async function listen(t: Closing, server: Server): Promise<number> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function listenUdp(t: Closing, answer?: string) {
  const socket = createSocket("udp4");
  const seen: number[] = [];
  socket.on("message", (message, { port, address }) => {
    seen.push(message.length);
    if (answer !== undefined) socket.send(answer, port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.teardown(() => socket.close());
  return { port: socket.address().port, seen };
}

/** A port that nobody listens on. */
async function closedPort(t: Closing): Promise<number> {
  const server = createTcp();
  const port = await listen(t, server);
  server.close();
  await once(server, "close");
  return port;
}

t.test("UDP: an answer and silence pass, a refusal does not", async (t) => {
  const answering = await listenUdp(t, "hi");
  const silent = await listenUdp(t);
  const port = await closedPort(t);
  t.equal(
    await run({ UDP: `127.0.0.1:${answering.port}` }),
    `passing UDP connect 127.0.0.1:${answering.port}: Success`,
  );
  t.equal(
    await run({ UDP: `localhost:${silent.port}`, Timeout: "1s" }),
    `passing UDP connect localhost:${silent.port}: Success`,
  );
  t.same([answering.seen, silent.seen], [[0], [0]], "one empty datagram each");
  const refused = `critical read udp 127.0.0.1:${port}: read: connection refused`;
  t.equal(await run({ UDP: `127.0.0.1:${port}` }), refused);
  t.equal(await run({ UDP: "h" }), "critical dial udp: address h: missing port in address");
  t.equal(
    await run({ UDP: "h:no-such-service" }),
    "critical dial udp: lookup udp/no-such-service: unknown port",
  );
  const finding = createProbe({ denyLinkLocal: false, findAddresses: () => new Promise(() => {}) });
  t.equal(
    await run({ UDP: "slow.test:53", Timeout: "50ms" }, finding),
    "critical dial udp slow.test:53: i/o timeout",
    "nothing was sent yet",
  );
  const denying = createProbe({ denyLinkLocal: true });
  t.match(await run({ UDP: "169.254.169.254:53" }, denying), /link-local addresses are denied/);
});

t.test("UDP: without a timeout silence takes half an interval", async (t) => {
  const { port } = await listenUdp(t);
  const startedMs = performance.now();
  await run({ UDP: `127.0.0.1:${port}`, Interval: "1s", Timeout: "0s" });
  t.ok(performance.now() - startedMs < 900);
});

/** Answers calls of the health service as the service's name says. */
function answerHealth(stream: ServerHttp2Stream): void {
  const chunks: Buffer[] = [];
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    const service = Buffer.concat(chunks).subarray(7).toString();
    const headers = { ":status": 200, "content-type": "application/grpc" };
    if (service === "silent") return;
    if (service === "unknown") {
      const trailers = { "grpc-status": "5", "grpc-message": "unknown%20service" };
      return stream.respond({ ...headers, ...trailers }, { endStream: true });
    }
    if (service === "web") return stream.respond({ ":status": 404 }, { endStream: true });
    if (service === "large") {
      stream.respond(headers);
      return void stream.end(Buffer.alloc(10_000));
    }
    stream.respond(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === "down" ? 2 : 1]));
  });
}

t.test("gRPC: the health service's word, and its failures as Go says them", async (t) => {
  const server = createHttp2();
  server.on("stream", answerHealth);
  const at = `127.0.0.1:${await listen(t, server)}`;
  const closed = `127.0.0.1:${await closedPort(t)}`;
  const ask = (GRPC: string, more = {}) => run({ GRPC, ...more });
  t.equal(await ask(at), `passing gRPC check ${at}: success`);
  t.equal(await ask(`${at}/orders`), `passing gRPC check ${at}/orders: success`);
  t.equal(await ask(`${at}/down`), `critical gRPC ${at}/down serving status: NOT_SERVING`);
  const error = (code: string, text: string) => `critical rpc error: code = ${code} desc = ${text}`;
  t.equal(await ask(`${at}/unknown`), error("NotFound", "unknown service"));
  t.equal(
    await ask(`${at}/silent`, { Timeout: "50ms" }),
    error("DeadlineExceeded", "context deadline exceeded"),
  );
  t.equal(
    await ask(`${at}/web`),
    error("Unimplemented", "unexpected HTTP status code received from server: 404"),
  );
  t.match(await ask(`${at}/large`), error("ResourceExhausted", ""));
  t.equal(
    await ask(closed),
    error(
      "Unavailable",
      `connection error: desc = "transport: Error while dialing dial tcp ${closed}: connect: connection refused"`,
    ),
  );
  const web = createTcp((socket) => {
    socket.on("error", () => {});
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  t.match(await ask(`127.0.0.1:${await listen(t, web)}`), error("Unavailable", ""));
});

t.test("gRPC: messages octet by octet", async (t) => {
  t.same([...encodeRequest("")], [0, 0, 0, 0, 0]);
  t.same([...encodeRequest("ab")], [0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62]);
  const long = encodeRequest("x".repeat(200));
  t.same([...long.subarray(0, 8)], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
  const framed = (...octets: number[]) => new Uint8Array([0, 0, 0, 0, octets.length, ...octets]);
  const rows: [Uint8Array, string | undefined][] = [
    [framed(), "UNKNOWN"],
    [framed(8, 1), "SERVING"],
    [framed(8, 3), "SERVICE_UNKNOWN"],
    [framed(8, 9), "9"],
    [framed(0x12, 2, 1, 2, 8, 1), "SERVING"], // unknown fields are passed over
    [framed(0x19, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1), "SERVING"],
    [framed(0x1d, 1, 2, 3, 4, 8, 1), "SERVING"],
    [framed(8), undefined],
    [framed(8, 0x80), undefined],
    [framed(0x12, 9, 1), undefined],
    [framed(0x1d, 1), undefined],
    [framed(0x0b), undefined],
    [new Uint8Array([1, 0, 0, 0, 0]), undefined],
    [new Uint8Array([0, 0, 0, 0, 9, 8, 1]), undefined],
    [new Uint8Array(3), undefined],
  ];
  for (const [octets, status] of rows) t.equal(decodeResponse(octets), status, octets.join(" "));
  const answer = { httpStatus: 200, contentType: "text/html", grpcMessage: "" };
  const message = framed(8, 1);
  t.match(resultOfAnswer("h:1", { ...answer, grpcStatus: undefined, message }), {
    output: 'rpc error: code = Unknown desc = received unexpected content-type "text/html"',
  });
  t.match(resultOfAnswer("h:1", { ...answer, grpcStatus: "0", message: new Uint8Array(0) }), {
    output: "rpc error: code = Internal desc = the server's message cannot be read",
  });
  t.match(resultOfAnswer("h:1", { ...answer, grpcStatus: "99", grpcMessage: "%zz", message }), {
    output: "rpc error: code = Unknown desc = %zz",
  });
});

t.test("h2ping without TLS", async (t) => {
  const h2 = `127.0.0.1:${await listen(t, createHttp2())}`;
  const mute = `127.0.0.1:${await listen(t, createTcp())}`;
  const closed = `127.0.0.1:${await closedPort(t)}`;
  const ask = (H2PING: string, more = {}) => run({ H2PING, H2PingUseTLS: false, ...more });
  t.equal(await ask(h2), "passing HTTP2 ping was successful");
  t.equal(
    await ask(mute, { Timeout: "50ms" }),
    "critical HTTP2 ping failed: context deadline exceeded",
  );
  t.equal(
    await ask(closed),
    `critical Failed to dial to ${closed}: dial tcp ${closed}: connect: connection refused`,
  );
  t.match(
    await ask(
      `127.0.0.1:${await listen(
        t,
        createTcp((socket) => void socket.end("no")),
      )}`,
    ),
    /^critical HTTP2 ping failed: /,
  );
});

t.test("stopped runs settle at once, whatever their kind", async (t) => {
  const mute = `127.0.0.1:${await listen(t, createTcp())}`;
  const { port } = await listenUdp(t);
  for (const body of [
    { HTTP: `http://${mute}/` },
    { TCP: mute, TCPUseTLS: true },
    { UDP: `127.0.0.1:${port}` },
    { GRPC: mute },
    { H2PING: mute },
  ]) {
    const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: "60s", ...body });
    if (!parsed.ok) throw new Error(parsed.error.text);
    const { result, cancel } = plain(parsed.value, 4096);
    cancel();
    t.match(await result, { status: "critical", output: "check was stopped" });
  }
});

t.test("HTTP: odd answers and headers", async (t) => {
  const raw = (text: string) =>
    createTcp((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(text));
    });
  const base = async (text: string) => `http://127.0.0.1:${await listen(t, raw(text))}/`;
  const withBody = await base("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
  t.equal(await run({ HTTP: withBody }), `passing HTTP GET ${withBody}: 204 No Content Output: `);
  const hangsUp = await base("");
  t.equal(await run({ HTTP: hangsUp }), `critical Get "${hangsUp}": EOF`);
  const nonsense = await base("nonsense\r\n\r\n");
  t.match(await run({ HTTP: nonsense }), /^critical Get /);
  const badLocation = await base(
    "HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
  );
  t.match(await run({ HTTP: badLocation }), /failed to parse Location header/);

  const endless = createHttp((_request, response) => {
    const chunk = "y".repeat(65_536);
    const more = () => {
      while (response.write(chunk));
      response.once("drain", more);
    };
    more();
  });
  const startedMs = performance.now();
  const yes = await run({ HTTP: `http://127.0.0.1:${await listen(t, endless)}/`, Timeout: "60s" });
  t.match(yes, /^passing .* Output: y{4096}$/);
  t.ok(performance.now() - startedMs < 30_000, "a body without end is not read to the timeout");

  const continuing = createTcp((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.write("HTTP/1.1 100 Continue\r\n\r\n".repeat(6)));
  });
  const more = `http://127.0.0.1:${await listen(t, continuing)}/`;
  t.equal(
    await run({ HTTP: more, Timeout: "60s" }),
    `critical Get "${more}": too many 1xx informational responses`,
  );

  let seen: IncomingMessage["rawHeaders"] = [];
  const web = createHttp((request, response) => {
    seen = request.rawHeaders;
    response.end("ok");
  });
  const url = `http://127.0.0.1:${await listen(t, web)}/`;
  const Header: unknown = JSON.parse('{"__proto__": ["x"], "X-Many": ["a", "b"]}');
  t.match(await run({ HTTP: url, Header }), /^passing/);
  t.match(seen.join("|"), "__proto__|x|x-many|a|x-many|b");
  t.match(await run({ HTTP: url, Header: { "X-Bad": ["a\r\nb"] } }), /^critical Get .*header/);
  t.match(await run({ HTTP: url.replace("//", "//me:secret@") }), /^passing/);
  t.match(seen.join("|"), `Authorization|Basic ${btoa("me:secret")}`);
});

t.test("TLS of all kinds", { skip: noCertificates }, async (t) => {
  const directory = t.testdir();
  makeCertificates(directory, ["server", "client"]);
  const read = (name: string) => readFileSync(join(directory, name), "utf8");
  const tls = { key: read("server.key"), cert: read("server.pem") };
  const ca = read("ca.pem");
  const identity = { cert: read("client.pem"), key: read("client.key") };
  const h2 = createSecureServer({ ...tls, ca, requestCert: true, rejectUnauthorized: false });
  h2.on("stream", answerHealth);
  const at = `127.0.0.1:${await listen(t, h2)}`;
  const web = createHttps(
    { ...tls, ca, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const socket = request.socket as unknown as { authorized: boolean };
      response.end(`client ${socket.authorized ? "known" : "unknown"}`);
    },
  );
  const url = `https://127.0.0.1:${await listen(t, web)}/`;
  const kinds = [
    { HTTP: url },
    { TCP: at, TCPUseTLS: true },
    { GRPC: at, GRPCUseTLS: true },
    { H2PING: at },
  ];
  for (const body of kinds) {
    t.match(await run(body), /^critical .*x509: certificate signed by unknown authority/);
    t.match(await run({ ...body, TLSSkipVerify: true }), /^passing/);
  }
  let agent: AgentTls | undefined = { identity, ca: [ca], serverName: "server.dc1.consul" };
  const own = createProbe({ denyLinkLocal: false, agentTls: () => agent });
  for (const body of kinds) {
    t.match(await run(body, own), /^passing/, "the agent's authorities are trusted");
    t.match(await run({ ...body, TLSServerName: "other.example" }, own), /^critical/);
  }
  t.match(await run({ HTTP: url }, own), /client known/, "and its certificate is shown");
  agent = undefined;
  t.match(await run({ HTTP: url }, own), /^critical/, "until that is switched off");
});
