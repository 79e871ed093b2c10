/** DNS over TLS of the real program under clients that misuse TLS itself; openssl and sockets of no library are the clients. */
import t, { type Test } from "tap";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { framed, query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { BUSY_MS } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo } from "../upstream.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";
import { startScene } from "./scene.ts";

const directory = temporaryDirectory(t);
if (skip === false) makeCertificates(directory, ["server"]);
const file = (name: string): string => join(directory, name);

type Spoken = { code: number | null; said: string };

/** openssl s_client with these words; `line` goes in once the handshake is over, and again whenever it was obeyed. */
async function sClient(t: Test, port: number, words: string[], line = ""): Promise<Spoken> {
  const child = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, ...words], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (octets: Buffer) => {
      const isFirst = !said.includes("Verif");
      const text = octets.toString("latin1");
      said += text;
      // It takes one command of each read of its input.
      const isNext = isFirst ? said.includes("Verif") : /RENEGOTIATING|KEYUPDATE/.test(text);
      if (line !== "" && isNext) child.stdin.write(line);
    });
  child.stdin.on("error", () => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, said };
}

/** Octets that are no whole handshake; milliseconds until the server ends it. */
async function raw(t: Test, port: number, octets: Uint8Array): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  t.teardown(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.resume();
  await once(socket, "connect");
  const startedMs = performance.now();
  socket.write(octets);
  if (!socket.destroyed) await Promise.race([once(socket, "close"), sleep(12_000)]);
  return performance.now() - startedMs;
}

/** A whole TLS 1.2 record that begins a ClientHello of 512 octets and does not end it (RFC 8446 5.1). */
const halfHello = Buffer.concat([
  Buffer.from([0x16, 3, 1, 0, 100, 1, 0, 2, 0, 3, 3]),
  Buffer.alloc(94, 7),
]);

t.test("S22: clients that misuse TLS", { skip, timeout: 60_000 }, async (t) => {
  const port = await freePort();
  const { program } = await startScene(
    t,
    (got) => [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })],
    {
      ports: { dns_tls: port },
      tls: { dns: { cert_file: file("server.pem"), key_file: file("server.key") } },
    },
  );
  const ca = readFileSync(file("ca.pem"), "utf8");
  const beside = connectTls({ port, host: "127.0.0.1", ca, ALPNProtocols: ["dot"] });
  t.teardown(() => beside.destroy());
  await once(beside, "secureConnect");
  let slowestMs = 0;
  let asked = 0;
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      const startedMs = performance.now();
      beside.write(framed(query(++asked & 0xffff, "www.test")));
      await once(beside, "data");
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      await sleep(20);
    }
  })();

  const old = ["-cipher", "DEFAULT@SECLEVEL=0"];
  const scenes: Record<string, () => Promise<void>> = {
    "TLS 1.0 and 1.1 are refused": async () => {
      for (const version of ["-tls1", "-tls1_1"]) {
        const { code, said } = await sClient(t, port, [version, ...old]);
        t.not(code, 0, version);
        t.match(said, /alert protocol version|no protocols available|unsupported protocol/);
      }
    },
    "a client asks to begin anew (TLS 1.2): not without end": async () => {
      const { said } = await sClient(t, port, ["-tls1_2"], "R\n");
      t.equal(said.split("RENEGOTIATING").length - 1, 1, "it tried");
      t.match(said, "alert no renegotiation");
    },
    "new keys without end (TLS 1.3): ended long before the 3 s": async () => {
      const { code, said } = await sClient(t, port, ["-tls1_3"], "K\n");
      const changed = said.split("KEYUPDATE").length - 1;
      t.not(code, null, "by the server");
      // More than it takes are on their way until the end is seen.
      t.ok(changed > 1 && changed < 2_000, `${changed} times`);
    },
    "half a ClientHello: 3 s": async () => {
      const ms = await raw(t, port, halfHello);
      t.ok(ms > 2_500 && ms < 4_000 + BUSY_MS, `${ms.toFixed()} ms`);
    },
    "an octet of TLS: 3 s": async () => {
      const ms = await raw(t, port, Buffer.from([0x16]));
      t.ok(ms > 2_500 && ms < 4_000 + BUSY_MS, `${ms.toFixed()} ms`);
    },
    "DNS in clear text: ended, not answered": async () => {
      const ms = await raw(t, port, framed(query(1, "www.test")));
      t.ok(ms < 4_000 + BUSY_MS, `${ms.toFixed()} ms`);
    },
    "a hundred handshakes that stay open, one after the other": async () => {
      const ends = await Promise.all(Array.from({ length: 100 }, () => raw(t, port, halfHello)));
      t.ok(Math.max(...ends) < 5_000 + BUSY_MS, `${Math.max(...ends).toFixed()} ms`);
    },
  };
  await Promise.all(
    Object.entries(scenes).map(async ([what, run]) => {
      await run();
      t.pass(what);
    }),
  );
  isOver = true;
  await asking;
  t.ok(
    asked > 20 && slowestMs < 2_000 + BUSY_MS,
    `${asked} beside, the slowest ${slowestMs.toFixed()} ms`,
  );
  t.equal(program.child.exitCode, null);
  const { text } = await program.http("GET", "/metrics");
  t.match(text, /waypost_dns_secure_closed_total\{proto="tls",reason="first_byte"\} 1\d\d$/m);
});
