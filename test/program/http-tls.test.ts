/** The HTTPS listener as TLS clients see it: handshakes, client certificates, versions, suites, reload. */
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import t from "tap";
import { freePort } from "../free-port.mjs";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";

const directory = temporaryDirectory(t);
if (skip === false) makeCertificates(directory, ["server", "next", "client"]);
const path = (name: string) => join(directory, name);
const read = (name: string) => (skip === false ? readFileSync(path(name)) : "");
const trusted = { ca: read("ca.pem"), servername: "localhost" };
const clientPair = { cert: read("client.pem"), key: read("client.key") };
const serverPair = { cert_file: path("server.pem"), key_file: path("server.key") };

async function start(config: Record<string, unknown>): Promise<Program & { httpsPort: number }> {
  const [dns, http, https] = [await freePort(), await freePort(), await freePort()];
  const ports = { dns, http, https, server: 1 + (http % 65_000), serf_wan: -1 };
  const at = { directory: temporaryDirectory(t), dnsPort: dns, httpPort: http };
  return { ...(await startProgram(t, { ...config, ports }, at)), httpsPort: https };
}

/** Status of GET /v1/status/leader, or the code of the error. */
function ask(port: number, options: ConnectionOptions = {}): Promise<number | string> {
  const to = { host: "127.0.0.1", port, path: "/v1/status/leader", agent: false };
  return new Promise((resolve) => {
    request({ ...to, ...trusted, ...options }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end();
  });
}

async function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ...trusted, ...options });
  await once(socket, "secureConnect");
  return socket;
}

/** CN of the certificate that a new connection is shown. */
async function shown(port: number): Promise<string> {
  const socket = await handshake(port);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

t.test("the keys of 1.10", { skip }, async (t) => {
  const program = await start({ ...serverPair, ca_file: path("ca.pem"), tls_min_version: "tls12" });
  const { httpsPort } = program;
  t.equal(await ask(httpsPort), 200);
  t.equal(await ask(httpsPort, { servername: "server.dc1.consul" }), 200, "another of its names");
  t.equal(await ask(httpsPort, { servername: "unknown.example" }), "ERR_TLS_CERT_ALTNAME_INVALID");
  t.equal(await ask(httpsPort, { ca: read("stranger.pem") }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  for (const [version, works] of [
    ["TLSv1.1", false],
    ["TLSv1.2", true],
    ["TLSv1.3", true],
  ] as const) {
    const only = { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" };
    t.equal((await ask(httpsPort, only)) === 200, works, version);
  }
  t.equal((await program.http("GET", "/v1/status/leader")).status, 200, "HTTP is there as well");
  const plain = await fetch(`http://127.0.0.1:${httpsPort}/v1/status/leader`).catch(
    () => "refused",
  );
  t.equal(plain, "refused", "no plain HTTP on the TLS port");
  t.notMatch(program.output(), /deprecated|no effect/, "nothing to complain about");
});

t.test("client certificates", { skip }, async (t) => {
  const { httpsPort } = await start({
    ...serverPair,
    ca_file: path("ca.pem"),
    verify_incoming_https: true,
  });
  t.equal(await ask(httpsPort, clientPair), 200, "of our authority");
  t.not(await ask(httpsPort), 200, "none");
  const stranger = { cert: read("stranger.pem"), key: read("stranger.key") };
  t.not(await ask(httpsPort, stranger), 200, "of another authority");
});

t.test("the keys of 1.12, ca_path, version and suites", { skip }, async (t) => {
  mkdirSync(path("authorities"));
  copyFileSync(path("ca.pem"), path("authorities/one.pem"));
  copyFileSync(path("stranger.pem"), path("authorities/two.pem"));
  const { httpsPort } = await start({
    tls: {
      defaults: { ...serverPair, ca_path: path("authorities"), verify_incoming: true },
      https: { tls_min_version: "TLSv1_2", tls_cipher_suites: cipherOnly },
    },
  });
  t.not(await ask(httpsPort), 200, "verify_incoming of the defaults holds");
  const stranger = { cert: read("stranger.pem"), key: read("stranger.key") };
  t.equal(await ask(httpsPort, clientPair), 200);
  t.equal(await ask(httpsPort, stranger), 200, "both authorities count");
  const old = { ...clientPair, maxVersion: "TLSv1.2" } as const;
  const socket = await handshake(httpsPort, old);
  t.equal(socket.getCipher().name, "ECDHE-ECDSA-AES256-GCM-SHA384");
  socket.destroy();
  t.not(await ask(httpsPort, { ...old, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }), 200);

  const open = await start({
    tls: {
      defaults: { ...serverPair, ca_file: path("ca.pem"), verify_incoming: true },
      https: { verify_incoming: false, tls_min_version: "TLSv1_3" },
    },
  });
  t.equal(await ask(open.httpsPort), 200, "https says otherwise than the defaults");
  t.not(await ask(open.httpsPort, { maxVersion: "TLSv1.2" }), 200, "below the minimum");
});
const cipherOnly = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";

t.test(
  "a reload takes new files; connections and requests under way go on",
  { skip },
  async (t) => {
    copyFileSync(path("server.pem"), path("live.pem"));
    copyFileSync(path("server.key"), path("live.key"));
    const program = await start({ cert_file: path("live.pem"), key_file: path("live.key") });
    const { httpsPort } = program;
    t.equal(await shown(httpsPort), "server");
    const waiting = await handshake(httpsPort);
    waiting.write(
      "GET /v1/catalog/services?index=999999&wait=3s HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let answer = "";
    waiting.on("data", (octets: Buffer) => (answer += octets.toString()));

    copyFileSync(path("client.key"), path("live.key"));
    const refused = await program.http("PUT", "/v1/agent/reload");
    t.equal(refused.status, 500, "a key of another certificate");
    t.match(refused.text, /live\.key: is not the key of the certificate in .*live\.pem/);
    t.equal(await shown(httpsPort), "server", "the old pair stays");

    copyFileSync(path("next.pem"), path("live.pem"));
    copyFileSync(path("next.key"), path("live.key"));
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    t.equal(await shown(httpsPort), "next");
    // New connections are never refused while certificates change.
    const results = new Set<number | string>();
    for (let i = 0; i < 10; i++) {
      const pair = i % 2 === 0 ? "server" : "next";
      copyFileSync(path(`${pair}.pem`), path("live.pem"));
      copyFileSync(path(`${pair}.key`), path("live.key"));
      const asks = Array.from({ length: 4 }, () => ask(httpsPort));
      await program.http("PUT", "/v1/agent/reload");
      for (const result of await Promise.all(asks)) results.add(result);
    }
    t.same([...results], [200]);
    t.equal(await shown(httpsPort), "next");
    while (!answer.includes("\r\n\r\n")) await once(waiting, "data");
    t.match(answer, /^HTTP\/1\.1 200 /, "the waiting request was answered on its connection");
    waiting.destroy();
    t.equal(await program.end("SIGTERM"), 1, "it stops by itself");
  },
);

t.test("files that do not do", { skip }, async (t) => {
  const rows: [config: Record<string, unknown>, said: RegExp][] = [
    [{ key_file: path("server.key") }, /ports\.https: HTTPS needs (tls\.defaults\.)?cert_file/],
    [{ ...serverPair, cert_file: "/nowhere.pem" }, /cert_file: \/nowhere\.pem: no such file/],
    [{ ...serverPair, key_file: directory }, /key_file: .*: is a directory/],
    [{ ...serverPair, cert_file: path("san") }, /cert_file: .*san: no certificate in PEM form/],
    [{ ...serverPair, key_file: path("san") }, /key_file: .*san: no unencrypted private key/],
    [
      { ...serverPair, key_file: path("client.key") },
      /key_file: .*client\.key: is not the key of the certificate in .*server\.pem/,
    ],
    [{ ...serverPair, ca_file: path("san") }, /ca_file: .*san: no certificate in PEM form/],
    [{ ...serverPair, ca_path: path("nowhere") }, /ca_path: .*nowhere: cannot be read: ENOENT/],
    [
      { ...serverPair, verify_incoming: true },
      /verify_incoming: VerifyIncoming set, and no CA certificate provided!/,
    ],
    [{ ...serverPair, tls_cipher_suites: "TLS_NONE" }, /unsupported cipher "TLS_NONE"/],
    [{ ...serverPair, tls_min_version: "tls14" }, /tls_min_version: must be one of tls10, /],
    [
      { tls: { https: { cert_file: "/nowhere.pem", key_file: path("server.key") } } },
      /tls\.https\.cert_file: \/nowhere\.pem/,
    ],
  ];
  for (const [config, said] of rows) await t.rejects(start(config), said, JSON.stringify(config));
});

t.test("a port in use is named", { skip }, async (t) => {
  const one = await start(serverPair);
  const other = await freePort();
  const ports = {
    dns: await freePort(),
    http: other,
    https: one.httpsPort,
    server: 1,
    serf_wan: -1,
  };
  await t.rejects(
    startProgram(t, { ...serverPair, ports }),
    new RegExp(`HTTPS cannot listen on 127\\.0\\.0\\.1 port ${one.httpsPort}: another program`),
  );
});
