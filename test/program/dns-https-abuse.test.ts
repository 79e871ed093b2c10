/**
 * DNS over HTTPS of the real program under clients that HTTP/2 allows and nobody wants: what each costs is
 * bounded, it is told to go, and others are answered all the time. Frames are made by hand (RFC 9113).
 */
import t, { type Test } from "tap";
import { readFileSync } from "node:fs";
import { connect, type ClientHttp2Session } from "node:http2";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { BUSY_MS } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo } from "../upstream.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";
import { connectRaw, END_HEADERS, FRAME, frame } from "./http2-client.ts";
import { floods, get, path, post } from "./http2-floods.ts";
import { startScene } from "./scene.ts";

const directory = temporaryDirectory(t);
if (skip === false) makeCertificates(directory, ["server"]);
const file = (name: string): string => join(directory, name);
const ca = skip === false ? readFileSync(file("ca.pem"), "utf8") : "";

const NO_ERROR = 0;
const ENHANCE_YOUR_CALM = 11;

async function start(t: Test) {
  const port = await freePort();
  const scene = await startScene(
    t,
    (got) => [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })],
    {
      ports: { dns_https: port },
      tls: { dns: { cert_file: file("server.pem"), key_file: file("server.key") } },
    },
  );
  const session = (options: object = {}): ClientHttp2Session => {
    const opened = connect(`https://127.0.0.1:${port}`, { ca, ...options });
    opened.on("error", () => undefined);
    t.teardown(() => opened.destroy());
    return opened;
  };
  const { pid } = scene.program.child;
  const residentMb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
  return { ...scene, port, session, residentMb };
}

/** Milliseconds until the answer; its status. */
function ask(session: ClientHttp2Session, head: Record<string, string>, body?: Uint8Array) {
  return new Promise<{ ms: number; status: number }>((done) => {
    const startedMs = performance.now();
    const stream = session.request(head, { endStream: body === undefined });
    let status = 0;
    const finish = (): void => done({ ms: performance.now() - startedMs, status });
    stream.on("response", (headers) => (status = headers[":status"] ?? 0));
    stream.on("data", () => undefined);
    stream.on("end", finish);
    stream.on("error", finish);
    if (body !== undefined) stream.end(body);
  });
}

t.test("S22: floods of frames", { skip, timeout: 60_000 }, async (t) => {
  const { program, port, session, residentMb } = await start(t);
  const beside = session();
  t.equal((await ask(beside, { ":path": path })).status, 200);
  const beforeMb = residentMb();
  for (const { what, run, stays, withinMs } of floods) {
    const raw = await connectRaw(t, { port, ca });
    let isOver = false;
    let slowestMs = 0;
    const asking = (async () => {
      while (!isOver) {
        const { ms, status } = await ask(beside, { ":path": path });
        if (status !== 200) t.fail(`${what}: ${status} beside it`);
        slowestMs = Math.max(slowestMs, ms);
        await sleep(10);
      }
    })();
    await run(raw);
    const end = await raw.end(withinMs);
    isOver = true;
    await asking;
    raw.socket.destroy();
    // Its GOAWAY is lost where octets were still on their way to it.
    const isOk = stays === true ? end === "open" : end !== "open" && end !== NO_ERROR;
    t.ok(isOk, `${what}: ${end}`);
    // Both processes and this client share the cores.
    t.ok(
      slowestMs < 2_000 + BUSY_MS,
      `${what}: ${slowestMs.toFixed()} ms for the slowest beside it`,
    );
    t.comment(`${what}: ${end}, slowest beside it ${slowestMs.toFixed()} ms`);
  }
  t.ok(residentMb() < beforeMb + 120, `${beforeMb.toFixed()} MB, then ${residentMb().toFixed()}`);
  const { text } = await program.http("GET", "/metrics");
  t.match(text, /waypost_dns_secure_closed_total\{proto="https",reason="flood"\} [2-9]/);
  t.equal(program.child.exitCode, null);
});

t.test("S22: answers that nobody takes", { skip, timeout: 30_000 }, async (t) => {
  const { program, session, residentMb } = await start(t);
  for (let i = 0; i < 800; i += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, k) =>
        program.http("PUT", "/v1/catalog/register", {
          Node: `node-${i + k}`,
          Address: `10.1.${(i + k) >> 8}.${(i + k) & 255}`,
          Service: { Service: "wide", Port: 80 },
        }),
      ),
    );
  const beforeMb = residentMb();
  const greedy = session({ settings: { initialWindowSize: 0 } });
  const wide = query(0, "wide.service.consul", "SRV");
  const statuses: number[] = [];
  const ended = new Promise<void>((over) => greedy.once("close", over));
  let goaway = -1;
  greedy.on("goaway", (code) => (goaway = code));
  const one = (): void => {
    const stream = greedy.request({
      ":method": "POST",
      ":path": "/dns-query",
      "content-type": "application/dns-message",
    });
    stream.on("response", (headers) => statuses.push(headers[":status"] ?? 0));
    stream.on("error", () => undefined);
    stream.end(wide);
  };
  for (let i = 0; i < 90; i++) one();
  const beside = session();
  const startedMs = performance.now();
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver && performance.now() - startedMs < 15_000) {
    t.equal((await ask(beside, { ":path": path })).status, 200);
    await sleep(50);
  }
  const took = performance.now() - startedMs;
  t.ok(took < 6_000 + BUSY_MS, `${took.toFixed()} ms: 5 s without taking anything`);
  const taken = statuses.filter((status) => status === 200).length;
  const refused = statuses.filter((status) => status === 429 || status === 503).length;
  t.ok(taken >= 2 && taken < 40, `${taken} answers are held for it`);
  t.ok(refused >= 50, `${refused} are refused`);
  t.equal(goaway, ENHANCE_YOUR_CALM);
  t.ok(residentMb() < beforeMb + 80, `${beforeMb.toFixed()} MB, then ${residentMb().toFixed()}`);
  const { text } = await program.http("GET", "/metrics");
  t.match(text, 'waypost_dns_secure_closed_total{proto="https",reason="write"} 1');
});

t.test(
  "S22: HTTP/1.1: pipelined without end, headers without end",
  { skip, timeout: 30_000 },
  async (t) => {
    const { port, session } = await start(t);
    const open = async () => {
      const socket = connectTls({ port, host: "127.0.0.1", ca, ALPNProtocols: ["http/1.1"] });
      t.teardown(() => socket.destroy());
      let octets = 0;
      let head = "";
      socket.on("data", (piece: Buffer) => {
        if (octets === 0) head = piece.toString("latin1").split("\r\n", 1)[0]!;
        octets += piece.length;
      });
      socket.on("error", () => undefined);
      const closed = new Promise<void>((over) => socket.once("close", over));
      return { socket, closed, head: () => head, octets: () => octets };
    };
    const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const pipelining = await open();
    pipelining.socket.pause();
    pipelining.socket.write(Buffer.concat(Array.from({ length: 20_000 }, () => request)));
    const beside = session();
    for (let i = 0; i < 20; i++) t.equal((await ask(beside, { ":path": path })).status, 200);
    pipelining.socket.resume();
    pipelining.socket.destroy();

    const endless = await open();
    endless.socket.write("GET / HTTP/1.1\r\n");
    const line = Buffer.from(`x-long: ${"y".repeat(1_000)}\r\n`);
    for (let i = 0; i < 2_000 && !endless.socket.destroyed; i++) endless.socket.write(line);
    await endless.closed;
    t.match(endless.head(), /^(HTTP\/1\.1 431|$)/, "431, if it was not lost with the connection");

    const long = await open();
    const head = `POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\n`;
    long.socket.write(`${head}Content-Length: 100000000\r\n\r\n`);
    await long.closed;
    t.match(long.head(), /^HTTP\/1\.1 413/, "a length is believed");
    t.equal((await ask(beside, { ":path": path })).status, 200);
  },
);

/** Numbers from 0 to `most` in an order that is the same each time (Lehmer). */
function createDraw(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % (most + 1);
  };
}

t.test(
  "frames drawn by lot: nothing ends but the connection",
  { skip, timeout: 60_000 },
  async (t) => {
    const { program, port, session } = await start(t);
    const count = Number(process.env["FUZZ_PROGRAM"] ?? 40);
    const draw = createDraw(Number(process.env["FUZZ_SEED"] ?? 1));
    const octets = (most: number): Buffer =>
      Buffer.from(Array.from({ length: draw(most) }, () => draw(255)));
    const fields = (): Buffer => {
      const whole = Buffer.from(draw(1) === 0 ? get : post);
      for (let i = draw(3); i > 0; i--) whole[draw(whole.length - 1)] = draw(255);
      return draw(3) === 0 ? whole.subarray(0, draw(whole.length)) : whole;
    };
    const one = (): Buffer => {
      const stream = draw(9) === 0 ? draw(2 ** 31 - 2) : draw(12);
      const kind = draw(12);
      if (kind < 5)
        return frame(
          FRAME.HEADERS,
          draw(1) === 0 ? END_HEADERS | draw(1) : draw(255),
          stream,
          fields(),
        );
      if (kind === 5)
        return frame(FRAME.DATA, draw(1), stream, query(0, "www.test").subarray(0, draw(60)));
      if (kind === 6) return frame(FRAME.SETTINGS, draw(1), draw(5) === 0 ? 1 : 0, octets(18));
      if (kind === 7) return octets(40);
      return frame(draw(10), draw(255), stream, octets(30));
    };
    let whole = 0;
    let ended = 0;
    for (let i = 0; i < count; i++) {
      const raw = await connectRaw(t, { port, ca });
      for (let k = 0; k < 40; k++) {
        if (!(await raw.write(one()))) break;
        whole++;
      }
      if ((await raw.end(10)) !== "open") ended++;
      raw.socket.destroy();
    }
    t.ok(
      ended > count / 2,
      `${whole} frames, ${ended} of ${count} connections ended by the server`,
    );
    const beside = session();
    t.equal((await ask(beside, { ":path": path })).status, 200);
    t.equal(program.child.exitCode, null);
    t.notMatch(program.output(), /panic|TypeError|RangeError/);
  },
);
