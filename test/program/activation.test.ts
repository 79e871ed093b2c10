/** Sockets that a service manager has bound: ask 39. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { bunProgram } from "../bun.ts";
import { decode, framed, query, tcpExchange, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const limit = { timeout: 60_000, skip: process.platform !== "linux" };

t.test("ask 39: sockets that were left open are served, and stay", limit, async (t) => {
  const directory = temporaryDirectory(t);
  const [dnsPort, httpPort] = [await freePort(), await freePort()];
  const configFile = join(directory, "config.json");
  writeFileSync(
    configFile,
    JSON.stringify({
      node_name: "n1",
      server: true,
      bootstrap: true,
      data_dir: join(directory, "data"),
      bind_addr: "127.0.0.1",
      ports: { dns: dnsPort, http: httpPort, server: 1 + (httpPort % 65_000), serf_wan: -1 },
    }),
  );
  const script = fileURLToPath(new URL("./activate-script.ts", import.meta.url));
  const command = [waypostPath, "agent", "-config-file", configFile];
  const manager = spawn(bunProgram(), [script, String(dnsPort), ...command], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [manager.stdout, manager.stderr])
    stream.on("data", (octets: Buffer) => (output += octets.toString()));
  const pids = (): number[] =>
    [...output.matchAll(/(?:^started |a successor is started: .*pid=)(\d+)/gm)].map(([, pid]) =>
      Number(pid),
    );
  t.teardown(async () => {
    for (const pid of pids())
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    manager.kill("SIGKILL");
    await once(manager, "exit");
  });
  const says = async (what: RegExp, times = 1): Promise<void> => {
    const all = new RegExp(what.source, "gm");
    for (const until = Date.now() + 15_000; [...output.matchAll(all)].length < times;) {
      if (Date.now() > until) throw new Error(`not said: ${String(what)}\n${output}`);
      await sleep(20);
    }
  };
  const client = await udpClient(dnsPort);
  t.teardown(() => client.close());
  const udp = async (id: number, waitMs?: number) => {
    const reply = await client.ask(query(id, "n1.node.consul"), waitMs);
    return reply === undefined ? null : decode(reply).answers?.length;
  };
  const tcp = async () => {
    const [reply] = await tcpExchange(dnsPort, framed(query(7, "n1.node.consul")), 3000);
    return decode(reply!).answers?.length;
  };

  await says(/^bound$/);
  const early = udp(1, 15_000);
  manager.stdin.write("\n");
  await says(/ ready: /);
  t.equal(await early, 1, "a question from before the start is answered");
  t.equal(await udp(2), 1);
  t.equal(await tcp(), 1);
  t.match(output, /a socket was left open for us/);
  const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/${pids()[0]!}/fdinfo/3`, "utf8"))?.[1];
  t.equal(Number.parseInt(flags!, 8) & 0o4000, 0, "workers sleep in it, they do not ask in a loop");

  process.kill(pids()[0]!, "SIGINT");
  await says(/^ended 1$/);
  const between = udp(3, 15_000);
  manager.stdin.write("\n");
  await says(/ ready: /, 2);
  t.equal(await between, 1, "one from between two lives too");
  t.equal(await tcp(), 1);

  process.kill(pids()[1]!, "SIGUSR1");
  await says(/^ended 0$/);
  await says(/taken over/);
  t.equal(pids().length, 3, "a successor has them too");
  t.equal(await udp(4), 1);
  t.equal(await tcp(), 1);
});
