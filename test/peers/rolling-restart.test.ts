// Three services restarted at once, each under `lock`: seen by DNS at least two are always there.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { decode, query, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** Starts the service of this number, without waiting for it. */
const start = `
start() {
  setsid node -e 'require("node:http").createServer((q, a) => a.end("up\\n")).listen(+process.argv[1], "127.0.0.1")' "$port" </dev/null >/dev/null 2>&1 &
  echo $! > "$n.pid"
}
passing() { ./consul watch -type=service -service=web -passingonly=true | grep -q "\\"ID\\": \\"web-$n\\""; }
`;

const restart = `#!/bin/sh
set -e
n=$1 port=$2
${start}
./consul maint -enable -service="web-$n" -reason=restart >/dev/null
sleep 0.2 # clients finish what they began
kill "$(cat "$n.pid")"
start
until curl -fs -o /dev/null "http://127.0.0.1:$port/"; do sleep 0.05; done # the check's last word is from before
./consul maint -disable -service="web-$n" >/dev/null
until passing; do sleep 0.05; done
echo "$n" >> restarted
`;

t.test("a rolling restart", async (t) => {
  const directory = temporaryDirectory(t);
  symlinkSync(waypostPath, join(directory, "consul"));
  const ports = [await freePort(), await freePort(), await freePort()];
  const program = await startProgram(t, {
    services: ports.map((port, i) => ({
      id: `web-${i}`,
      name: "web",
      port,
      check: { http: `http://127.0.0.1:${port}/`, interval: "1s", timeout: "500ms" },
    })),
    dns_config: { service_ttl: { "*": "0s" } },
  });
  const env = { ...process.env, CONSUL_HTTP_ADDR: `127.0.0.1:${program.httpPort}` };
  writeFileSync(join(directory, "restart"), restart);
  chmodSync(join(directory, "restart"), 0o755);
  const pidOf = (n: number) => Number(readFileSync(join(directory, `${n}.pid`), "utf8"));
  for (const [n, port] of ports.entries())
    execFileSync(
      "/bin/sh",
      ["-c", `n=${n} port=${port}; ${start} start; until passing; do sleep 0.1; done`],
      {
        cwd: directory,
        env,
      },
    );
  const before = ports.map((_, n) => pidOf(n));
  t.teardown(() => {
    for (const n of ports.keys()) process.kill(pidOf(n));
  });

  const dns = await udpClient(program.dnsPort);
  t.teardown(() => dns.close());
  const seen = new Map<number, number>();
  let isOver = false;
  const observer = (async () => {
    for (let id = 1; !isOver; id = (id % 65_000) + 1) {
      const reply = await dns.ask(query(id, "web.service.consul", "SRV"));
      const answers = reply === undefined ? [] : decode(reply).answers;
      const count = (answers ?? []).filter(({ type }) => type === "SRV").length;
      seen.set(count, (seen.get(count) ?? 0) + 1);
      await sleep(2);
    }
  })();

  const restarts = ports.map((port, n) =>
    spawn("./consul", ["lock", "-child-exit-code", "deploy/web", `./restart ${n} ${port}`], {
      cwd: directory,
      env,
      stdio: ["ignore", "inherit", "inherit"],
    }),
  );
  const ends = await Promise.all(restarts.map((each) => once(each, "exit")));
  isOver = true;
  await observer;
  t.same(
    ends.map(([code]) => code as unknown),
    [0, 0, 0],
  );
  t.same(readFileSync(join(directory, "restarted"), "utf8").trim().split("\n").toSorted(), [
    "0",
    "1",
    "2",
  ]);
  for (const [n, pid] of before.entries()) t.not(pidOf(n), pid, `web-${n} is another process`);
  t.comment(`answers by number of instances: ${JSON.stringify(Object.fromEntries(seen))}`);
  t.same(
    [...seen.keys()].toSorted((a, b) => a - b),
    [2, 3],
    "one was down at times, never two",
  );
  t.ok([...seen.values()].reduce((a, b) => a + b) > 100, "looked often enough");
});
