/** DNS over TLS of the real program (RFC 7858): hostile clients, and a certificate that is renewed. */
import t from "tap";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { once } from "node:events";
import { framed, query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo } from "../upstream.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";
import { crowdIn, holdOn, type Carried } from "./dns-clients.ts";
import { startScene } from "./scene.ts";

const directory = temporaryDirectory(t);
if (skip === false) makeCertificates(directory, ["server", "next", "client"]);
const file = (name: string): string => join(directory, name);
const pem = (name: string): string => readFileSync(file(name), "utf8");

async function overTls(): Promise<Carried & { port: number }> {
  const port = await freePort();
  const certificate = { cert_file: file("server.pem"), key_file: file("server.key") };
  return {
    port,
    portOf: () => port,
    ca: pem("ca.pem"),
    config: { ports: { dns_tls: port }, tls: { dns: certificate } },
  };
}

t.test("S22: deadlines, order, pipelining and clients that do not read", { skip }, async (t) =>
  holdOn(t, await overTls()),
);

t.test("S22: idle connections, from one address and from several", { skip }, async (t) =>
  crowdIn(t, await overTls()),
);

/** The reply to a question on this connection. */
async function ask(socket: TLSSocket, id: number): Promise<Buffer> {
  socket.write(framed(query(id, "www.test")));
  const [octets] = (await once(socket, "data")) as [Buffer];
  return octets.subarray(2);
}

t.test("a new certificate: new connections get it, those that stand go on", { skip }, async (t) => {
  const port = await freePort();
  for (const end of ["pem", "key"]) copyFileSync(file(`server.${end}`), file(`current.${end}`));
  const { program } = await startScene(
    t,
    (got) => [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })],
    {
      ports: { dns_tls: port },
      tls: { defaults: { cert_file: file("current.pem"), key_file: file("current.key") } },
    },
  );
  const open = async (options: object = {}): Promise<TLSSocket> => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      ca: pem("ca.pem"),
      ALPNProtocols: ["dot"],
      ...options,
    });
    t.teardown(() => socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };
  const before = await open();
  t.equal(before.getPeerCertificate().subject.CN, "server", "tls.defaults is inherited");
  t.equal(before.alpnProtocol, "dot");
  t.equal((await ask(before, 1)).readUInt16BE(0), 1);
  const unnamed = await open({ ALPNProtocols: undefined });
  t.equal((await ask(unnamed, 2)).readUInt16BE(0), 2, "without ALPN as well");

  for (const end of ["pem", "key"]) copyFileSync(file(`next.${end}`), file(`current.${end}`));
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  t.equal((await open()).getPeerCertificate().subject.CN, "next");
  t.equal((await ask(before, 3)).readUInt16BE(0), 3, "the old connection is served");

  copyFileSync(file("client.key"), file("current.key"));
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 500, "the pair does not match");
  t.equal((await open()).getPeerCertificate().subject.CN, "next");

  const { text } = await program.http("GET", "/metrics");
  const asked = new RegExp(
    `^waypost_dns_requests_total{server="tls://127.0.0.1:${port}",.*type="A"} 3$`,
    "m",
  );
  t.match(text, asked);
  t.match(text, 'waypost_dns_secure_accepted_total{proto="tls"} 4');
});

t.test("verify_incoming: clients without a certificate ask nothing", { skip }, async (t) => {
  const port = await freePort();
  await startScene(t, (got) => [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })], {
    ports: { dns_tls: port },
    tls: {
      dns: {
        cert_file: file("server.pem"),
        key_file: file("server.key"),
        ca_file: file("ca.pem"),
        verify_incoming: true,
      },
    },
  });
  const open = (options: object) =>
    connect({ port, host: "127.0.0.1", ca: pem("ca.pem"), ...options }, function (this: TLSSocket) {
      this.write(framed(query(7, "www.test")));
    });
  const outcome = (socket: TLSSocket): Promise<string> =>
    new Promise((done) => {
      t.teardown(() => socket.destroy());
      socket.on("data", () => done("answered"));
      socket.on("error", () => done("refused"));
      socket.on("close", () => done("refused"));
    });
  t.equal(await outcome(open({ cert: pem("client.pem"), key: pem("client.key") })), "answered");
  t.equal(await outcome(open({})), "refused");
  t.equal(await outcome(open({ cert: pem("stranger.pem"), key: pem("stranger.key") })), "refused");
});
