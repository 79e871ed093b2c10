/** Snapshots of the running program: who waits, what runs here, slow and vanishing clients. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Program, startProgram } from "../program.ts";

async function save(program: Program): Promise<Buffer> {
  const reply = await fetch(`http://127.0.0.1:${program.httpPort}/v1/snapshot`);
  t.equal(reply.status, 200);
  return Buffer.from(await reply.arrayBuffer());
}

async function restore(program: Program, archive: Buffer): Promise<[number, string]> {
  const url = `http://127.0.0.1:${program.httpPort}/v1/snapshot`;
  const reply = await fetch(url, { method: "PUT", body: new Uint8Array(archive) });
  return [reply.status, await reply.text()];
}

/** Asks until the answer is yes; false after ten seconds. */
async function until(isTrue: () => Promise<boolean>): Promise<boolean> {
  for (const endMs = Date.now() + 10_000; Date.now() < endMs; await sleep(20))
    if (await isTrue()) return true;
  return false;
}

const entry = async (program: Program, key: string) =>
  (
    JSON.parse((await program.http("GET", `/v1/kv/${key}`)).text) as {
      Value: string;
      ModifyIndex: number;
    }[]
  )[0]!;

t.test("a restore on another server: indexes go on above the image's", async (t) => {
  const [from, to] = await Promise.all([startProgram(t), startProgram(t)]);
  await from.http("PUT", "/v1/kv/a", "1");
  for (let i = 0; i < 200; i++) await from.http("PUT", "/v1/kv/counter", `${i}`);
  const counter = await entry(from, "counter");
  const local = { Name: "local", Port: 1, Check: { TTL: "1h", Status: "passing" } };
  await to.http("PUT", "/v1/agent/service/register", local);
  const waiting = to.http("GET", "/v1/kv/counter?index=1&wait=60s");
  t.same(await restore(to, await save(from)), [200, ""]);
  t.match((await waiting).text, /"ModifyIndex":/, "the waiter is woken");
  t.same(await entry(to, "counter"), counter);
  const next = to.http("GET", `/v1/kv/counter?index=${counter.ModifyIndex}&wait=60s`);
  await to.http("PUT", "/v1/kv/counter", "next");
  const [changed] = JSON.parse((await next).text) as [{ ModifyIndex: number }];
  t.ok(changed.ModifyIndex > counter.ModifyIndex, "no index is given twice");
  const healthy = await until(async () => {
    const { text } = await to.http("GET", "/v1/health/service/local?passing");
    return (JSON.parse(text) as unknown[]).length === 1;
  });
  t.ok(healthy, "the agent registers its own services again");
  await to.end("SIGKILL");
  const { dnsPort, httpPort, configFile } = to;
  const directory = configFile.slice(0, configFile.lastIndexOf("/"));
  const again = await startProgram(t, {}, { directory, dnsPort, httpPort });
  t.equal((await entry(again, "counter")).ModifyIndex, changed.ModifyIndex, "after a kill");
  t.same(
    readdirSync(again.dataDir).filter((name) => name.startsWith("snapshot-")),
    [],
    "no upload is left",
  );
});

t.test("TTLs start afresh", async (t) => {
  const program = await startProgram(t, { session_ttl_min: "1s" });
  const created = await program.http("PUT", "/v1/session/create", { TTL: "1s" });
  const { ID } = JSON.parse(created.text) as { ID: string };
  const archive = await save(program);
  await program.http("PUT", `/v1/session/destroy/${ID}`);
  t.same(await restore(program, archive), [200, ""]);
  const info = async () => JSON.parse((await program.http("GET", `/v1/session/info/${ID}`)).text);
  t.match(await info(), [{ ID }], "it is back");
  t.ok(
    await until(async () => ((await info()) as unknown[]).length === 0),
    "and ends for want of renewal",
  );
});

t.test("clients that neither read nor finish hold up nobody", async (t) => {
  const program = await startProgram(t);
  const value = "x".repeat(300_000);
  for (let i = 0; i < 20; i++) await program.http("PUT", `/v1/kv/big-${i}`, value + i);
  const archive = await save(program);
  const sockets = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const socket = connect(program.httpPort, "127.0.0.1").pause();
      await once(socket, "connect");
      socket.write("GET /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n");
      return socket;
    }),
  );
  const upload = connect(program.httpPort, "127.0.0.1");
  const head = `PUT /v1/snapshot HTTP/1.1\r\nHost: x\r\nContent-Length: ${archive.length}\r\n\r\n`;
  upload.write(head);
  upload.write(archive.subarray(0, 1000));
  t.equal((await program.http("PUT", "/v1/kv/meanwhile", "x")).text, "true", "writes go on");
  t.same(await restore(program, archive), [200, ""], "another restore too");
  upload.destroy();
  for (const socket of sockets) socket.destroy();
  const isFree = async () => {
    const reply = await fetch(`http://127.0.0.1:${program.httpPort}/v1/snapshot`);
    await reply.arrayBuffer();
    return reply.status === 200;
  };
  t.ok(await until(isFree), "their places are free again");
  t.same(await restore(program, archive), [200, ""]);
  t.same(await restore(program, archive.subarray(0, -1)), [
    500,
    "the snapshot is refused: it is cut off or damaged at its end",
  ]);
});
