/** Upstream servers from a resolv.conf that changes under the real program: asks 35, 36 and 37. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { decode, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, startUpstream } from "../upstream.ts";
import { question, records, saying, type Seen } from "./scene.ts";

t.test("the servers of resolv.conf are followed", { timeout: 60_000 }, async (t) => {
  const first = await startUpstream(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.1", 60)] })),
  );
  const second = await startUpstream(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.2", 60)] })),
  );
  const path = join(temporaryDirectory(t), "resolv.conf");
  const line = (port: number) => `nameserver [127.0.0.1]:${port}\n`;
  writeFileSync(path, line(first.port));
  const program = await startProgram(t, { forwarder: { resolv_conf: path } });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  const ask = async (name: string) =>
    records(decode((await client.ask(question(name)))!) as Seen)[0];
  const gauge = async (name: string) =>
    Number(
      new RegExp(`^${name} (\\d+)`, "m").exec((await program.http("GET", "/metrics")).text)?.[1],
    );
  const until = async (what: string, holds: () => unknown): Promise<void> => {
    for (const limit = Date.now() + 10_000; Date.now() < limit; await sleep(20))
      if (await holds()) return;
    t.fail(what);
  };

  t.equal(await ask("a.example"), "a.example A 192.0.2.1");
  t.equal(await gauge("waypost_resolv_conf_generation"), 1);

  // Ask 36: the same servers in another text. What comes after tells that it was read.
  writeFileSync(path, `# written again\n${line(first.port)}`);
  writeFileSync(`${path}.new`, `${line(first.port)}nameserver [127.0.0.1]:${program.dnsPort}\n`);
  renameSync(`${path}.new`, path);
  await until("ask 37: the own address is seen", () =>
    /names this agent itself, which is not asked: 127.0.0.1 port/.test(program.output()),
  );
  t.equal(await gauge("waypost_resolv_conf_own_servers"), 1);
  t.equal(await ask("a.example"), "a.example A 192.0.2.1");
  t.equal(first.count("a.example"), 1, "the cache has stayed: still one question");

  // Ask 35: another server, put in place by renaming.
  writeFileSync(`${path}.new`, line(second.port));
  renameSync(`${path}.new`, path);
  await until("the other server is asked", () =>
    program.output().includes("upstream servers have changed"),
  );
  t.equal(await ask("b.example"), "b.example A 192.0.2.2");
  t.equal(first.count("b.example"), 0);
  t.equal(await gauge("waypost_resolv_conf_own_servers"), 0);

  // Only this agent, or nobody: what is known stays, also through a reload.
  for (const text of [`nameserver [127.0.0.1]:${program.dnsPort}\n`, ""]) {
    const before = program.output().split("keeping the servers known so far").length;
    writeFileSync(path, text);
    await until(
      "it is said",
      () => program.output().split("keeping the servers known so far").length > before,
    );
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    t.equal(await ask(`c${text.length}.example`), `c${text.length}.example A 192.0.2.2`);
  }
});
