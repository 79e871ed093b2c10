import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import t from "tap";
import { createDockerProbe } from "../../../src/cluster/checks/docker/driver.ts";
import { createFrameReader } from "../../../src/cluster/checks/docker/frames.ts";
import { parseCheck } from "../../../src/cluster/definition.ts";
import { frame, singly, startEngine } from "./engine.ts";

function checkOf(container: string, timeout = "5s") {
  const parsed = parseCheck({
    Name: "c",
    Interval: "10s",
    Timeout: timeout,
    DockerContainerID: container,
    Args: ["/bin/check", "-x"],
  });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return parsed.value;
}

const never = new AbortController().signal;

function run(host: string, container: string, options: { timeout?: string; max?: number } = {}) {
  const { timeout, max = 4096 } = options;
  return createDockerProbe(host)(checkOf(container, timeout), { outputMaxOctets: max }, never);
}

t.test("frames, split at every place", async (t) => {
  const stream = Buffer.concat([
    frame(1, "one\n"),
    frame(2, ""),
    frame(2, "two\n"),
    frame(1, "\0\u0001ä\n"),
  ]);
  const read = (pieces: Uint8Array[]) => {
    const got: Uint8Array[] = [];
    const reader = createFrameReader((octets) => got.push(octets));
    for (const piece of pieces) reader(piece);
    return Buffer.concat(got).toString();
  };
  const expected = "one\ntwo\n\0\u0001ä\n";
  t.equal(read([stream]), expected);
  t.equal(read(singly(stream)), expected);
  for (let at = 0; at <= stream.length; at++)
    t.equal(read([stream.subarray(0, at), stream.subarray(at)]), expected, `split at ${at}`);
  t.equal(read([Buffer.from("plain text")]), "plain text", "a terminal has no frames");
  t.equal(read(singly(Buffer.from("plain text"))), "plain text");
  t.equal(read([frame(1, "a"), Buffer.from("\u0001x")]), "a\u0001x", "what is no header");
  t.equal(read([stream.subarray(0, 5)]), "", "a header that is cut off says nothing");
  const huge = frame(1, "abc");
  new DataView(huge.buffer, huge.byteOffset).setUint32(4, 0xffffffff);
  t.equal(read([huge]), "abc", "a length that is not kept");
});

t.test("the three calls, and what comes of them", async (t) => {
  const { host, containers, seen } = await startEngine(t);
  const wire = [frame(1, "to out\n"), frame(2, "to err\n")];
  const rows: [number, string][] = [
    [0, "passing"],
    [1, "warning"],
    [2, "critical"],
    [137, "critical"],
  ];
  for (const [exitCode, status] of rows) {
    containers.set("web", { wire, exitCode });
    t.same(await run(host, "web"), { status, output: "to out\nto err\n" }, `exit code ${exitCode}`);
  }
  t.same(seen.slice(0, 3), [
    {
      line: "POST /containers/web/exec",
      host: "docker",
      body: {
        AttachStdin: false,
        AttachStdout: true,
        AttachStderr: true,
        Tty: false,
        Cmd: ["/bin/check", "-x"],
      },
    },
    { line: "POST /exec/e1/start", host: "docker", body: { Detach: false, Tty: false } },
    { line: "GET /exec/e1/json", host: "docker", body: undefined },
  ]);
  containers.set("web", { wire: singly(Buffer.concat(wire)) });
  t.equal((await run(host, "web")).output, "to out\nto err\n", "octet by octet");
  containers.set("web", { wire, runningFor: 2, exitCode: 1 });
  t.equal((await run(host, "web")).status, "warning", "the end is waited for");
  containers.set("web", { wire, isCut: true, exitCode: 0 });
  t.equal((await run(host, "web")).status, "passing", "an output that breaks off is no failure");
  containers.set("../x y", { wire });
  t.equal((await run(host, "../x y")).status, "passing");
  t.equal(seen.at(-3)!.line, "POST /containers/..%2Fx%20y/exec", "an id is one part of the path");
});

t.test("the end of the output is kept", async (t) => {
  const { host, containers } = await startEngine(t);
  containers.set("c", { wire: [frame(1, "0123456"), frame(2, "789")] });
  t.equal((await run(host, "c", { max: 4 })).output, "Captured 4 of 10 bytes\n...\n6789");
  containers.set("c", { wire: [frame(1, Buffer.from([0x61, 0xff, 0x62]))] });
  t.equal((await run(host, "c")).output, "a\ufffdb");
  const megabyte = Buffer.alloc(1_000_000, "x");
  containers.set("c", { wire: [frame(1, megabyte), frame(1, "end")] });
  t.equal((await run(host, "c", { max: 5 })).output, "Captured 5 of 1000003 bytes\n...\nxxend");
});

t.test("refusals of the engine, in Consul's words", async (t) => {
  const { host, containers } = await startEngine(t);
  const rows: [Parameters<typeof containers.set>[1], string][] = [
    [{ fail: { call: "create", status: 404 } }, "create exec failed for unknown container c"],
    [
      { fail: { call: "create", status: 409 } },
      "create exec failed since container c is paused or stopped",
    ],
    [
      { fail: { call: "create", status: 500, body: "boom" } },
      'create exec failed for container c with status 500: {"message":"boom"}',
    ],
    [
      { fail: { call: "start", status: 404 } },
      "start exec failed for container c: invalid exec id e1",
    ],
    [
      { fail: { call: "start", status: 409 } },
      "start exec failed since container c is paused or stopped",
    ],
    [
      { fail: { call: "start", status: 500, body: "boom" } },
      'start exec failed for container c with status 500: body: {"message":"boom"}',
    ],
    [
      { fail: { call: "inspect", status: 404 } },
      "inspect exec failed for container c: invalid exec id e4",
    ],
    [
      { fail: { call: "inspect", status: 500, body: "boom" } },
      'inspect exec failed for container c with status 500: {"message":"boom"}',
    ],
    [
      { fail: { call: "create", status: 201, body: "no id" } },
      "create exec response for container c cannot be parsed",
    ],
    [
      { fail: { call: "inspect", status: 200, body: "no code" } },
      "inspect exec response for container c cannot be parsed",
    ],
    [
      { fail: { call: "create", status: 500, body: "x".repeat(100_000) } },
      "create exec failed for container c: answer too long",
    ],
  ];
  for (const [script, output] of rows) {
    containers.set("c", script);
    t.same(await run(host, "c"), { status: "critical", output });
  }
  t.equal((await run(host, "other")).output, "create exec failed for unknown container other");
});

t.test("an engine that cannot be reached", async (t) => {
  const { host } = await startEngine(t);
  const rows: [string, string][] = [
    [
      `${host}.not`,
      `create exec failed for container c: dial unix ${host.slice(7)}.not: connect: no such file or directory`,
    ],
    ["nonsense", "unable to parse docker host `nonsense`"],
    ["tcp://", "unable to parse docker host `tcp://`"],
    ["ssh://user@host", "unable to parse docker host `ssh://user@host`"],
    ["unix://", "unable to parse docker host `unix://`"],
    [
      "tcp://127.0.0.1:1",
      "create exec failed for container c: dial tcp 127.0.0.1:1: connect: connection refused",
    ],
  ];
  for (const [at, output] of rows) t.same(await run(at, "c"), { status: "critical", output }, at);
});

t.test("an engine at the other end of TCP, below a path", async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.match((await run(`tcp://127.0.0.1:${port}/v1.40`, "c")).output, /unknown container c/);
  t.same(asked, ["POST /v1.40/containers/c/exec"]);
});

t.test("more output than anybody needs is read slowly", async (t) => {
  const { host, containers } = await startEngine(t);
  const piece = frame(1, "y".repeat(65_528));
  containers.set("c", { wire: Array.from({ length: 260 }, () => piece) });
  const startedMs = performance.now();
  t.match((await run(host, "c")).output, /^Captured 4096 of 17037280 bytes\n/);
  t.ok(performance.now() - startedMs > 200, "a piece of 64 KiB per millisecond");
});

t.test("an engine that is silent, and a program that does not end", async (t) => {
  const { host, containers, seen } = await startEngine(t);
  for (const hang of ["create", "start", "inspect"] as const) {
    containers.set("c", { hang, wire: [frame(1, "so far")] });
    const text = "Timed out (200ms) running check";
    const output = hang === "inspect" ? `${text}\n\nso far` : text;
    t.same(await run(host, "c", { timeout: "200ms" }), { status: "critical", output }, hang);
  }

  containers.set("c", { runningFor: 1_000_000 });
  const probe = createDockerProbe(host);
  const check = checkOf("c", "200ms");
  const once = () => probe(check, { outputMaxOctets: 4096 }, never);
  t.match((await once()).output, /^Timed out/);
  const before = seen.filter(({ line }) => line.startsWith("POST")).length;
  t.equal((await once()).output, "the program of an earlier run still runs in container c");
  t.equal(seen.filter(({ line }) => line.startsWith("POST")).length, before, "none is added");
  const [script] = [...containers.values()];
  script!.runningFor = 0;
  t.equal((await once()).status, "passing", "it has ended");
});

t.test("an aborted run lets go of the engine", async (t) => {
  const { host, containers, server } = await startEngine(t);
  containers.set("c", { hang: "start" });
  const abort = new AbortController();
  const result = createDockerProbe(host)(checkOf("c"), { outputMaxOctets: 10 }, abort.signal);
  const connected = once(server, "connection");
  await connected;
  abort.abort();
  t.equal((await result).status, "critical");
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)));
  for (let tries = 0; tries < 200 && (await connections()) > 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(await connections(), 0);
});
