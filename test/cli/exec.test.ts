// Output and exit codes: command/exec of Consul; keys: agent/remote_exec.go.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, waypostPath, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

const orders = { disable_remote_exec: false };
const job = async (program: Program) => (await program.http("GET", "/v1/kv/_rexec?keys")).status;

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 1000; tries++) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(10);
  }
  throw new Error(`${what}: not in time`);
}

t.test("exec", async (t) => {
  t.jobs = 4;
  const program = await startProgram(t, {
    ...orders,
    services: [{ name: "web", port: 80, tags: ["v1"] }],
  });
  const { httpPort } = program;
  const quick = ["exec", "-wait=700ms", "-wait-repl=1ms"];
  const cli = (...args: string[]) => runCli(httpPort, [...quick, ...args]);

  await t.test("a command, its output and its end", async (t) => {
    t.same(await cli("echo", "hi;", "echo there >&2"), {
      code: 0,
      out: `    n1: hi
    n1: there
    n1:
==> n1: finished with exit code 0
1 / 1 node(s) completed / acknowledged
`,
      err: "",
    });
    t.equal(await job(program), 404, "nothing is left");
    t.equal((await program.http("GET", "/v1/session/list")).text, "[]");
    t.same(await cli("exit 7"), {
      code: 2,
      out: "==> n1: finished with exit code 7\n1 / 1 node(s) completed / acknowledged\n",
      err: "",
    });
    t.match(await cli("kill -9 $$"), { code: 2, out: /finished with exit code -1\n/ });
    t.match(await cli("-verbose", "true"), {
      code: 0,
      out: /^Created remote execution session: [-0-9a-f]{36}\nUploaded remote execution spec\nFired remote execution event: [-0-9a-f]{36}\n==> n1: acknowledged\n==> n1: finished with exit code 0\n1 \/ 1 node\(s\) completed \/ acknowledged\nCompleted in \d\.\d\d seconds\n$/,
    });
  });

  // Most of the time of each goes into waiting for nodes that might still answer.
  const atOnce = { buffered: true };
  const scripts = t.test(
    "arguments without a shell, a script from standard input",
    atOnce,
    async (t) => {
      t.match(await cli("-shell=false", "echo", "a  b", "$HOME"), {
        code: 0,
        out: /^ {4}n1: a {2}b \$HOME\n/,
      });
      t.match(await cli("-shell=false", "/no/such"), {
        code: 2,
        out: /finished with exit code 255\n/,
      });
      const script = "#!/usr/bin/env python3\nprint('from python')\n";
      t.match(await runCli(httpPort, [...quick, "-wait=2s", "-"], { input: script }), {
        code: 0,
        out: /n1: from python\n/,
      });
      t.match(await runCli(httpPort, [...quick, "-"], { input: "echo one\necho two\n" }), {
        code: 0,
        out: /n1: one\n {4}n1: two\n/,
      });
    },
  );

  const longOutput = t.test("a long output comes whole and in order", atOnce, async (t) => {
    const { code, out } = await cli("seq 1 20000");
    t.equal(code, 0);
    const digits = out
      .split("\n")
      .filter((line) => line.startsWith("    n1: "))
      .map((line) => line.slice(8));
    t.equal(
      digits.join("").length,
      Array.from({ length: 20_000 }, (_, i) => String(i + 1)).join("").length,
    );
    t.ok(digits.join("").endsWith("1999819999" + "20000"));
  });

  const silence = t.test("a silent command is waited for", atOnce, async (t) => {
    t.match(await cli("-wait=600ms", "sleep 2; echo done"), { code: 0, out: /n1: done\n/ });
  });

  const filters = t.test("filters", atOnce, async (t) => {
    t.match(await cli("-node=^n[0-9]$", "true"), { out: /^==> n1/ });
    const nobody = { code: 0, out: "0 / 0 node(s) completed / acknowledged\n", err: "" };
    t.same(await cli("-node=^x$", "true"), nobody);
    t.match(await cli("-service=^web$", "-tag=v1", "true"), { out: /^==> n1/ });
    t.same(await cli("-service=^db$", "true"), nobody);
    t.match(await cli("-node=[", "true"), {
      code: 1,
      err: /^Failed to compile node filter regexp: /,
    });
    t.same(await cli("-tag=a", "true"), {
      code: 1,
      out: "",
      err: "Cannot provide tag filter without service filter.\n",
    });
  });
  await Promise.all([scripts, longOutput, silence, filters]);

  await t.test("the prefix is one of keys, however it is written", async (t) => {
    for (const prefix of ["/a//b/", "", "ü ?"])
      t.match(await cli(`-prefix=${prefix}`, "echo hi"), { code: 0, out: /n1: hi\n/, err: "" });
    t.same(await cli("-prefix=../b", "true"), {
      code: 1,
      out: "",
      err: "-prefix: ../b leads out of the key/value store\n",
    });
    t.equal((await program.http("GET", "/v1/kv/a/?keys")).status, 404, "nothing is left");
  });

  await t.test("what is refused", async (t) => {
    t.match(await cli(), {
      code: 1,
      err: /^Must specify a command to execute\n\nUsage: waypost exec /,
    });
    t.match(await cli("-shell=false", "-"), {
      code: 1,
      err: "Cannot configure -shell=false when reading from stdin\n",
    });
    const away = await runCli(httpPort, [...quick, "-datacenter=mars", "true"]);
    t.match(away, {
      code: 1,
      err: /^Failed to create session: Failed to find Consul server in remote datacenter: /,
    });
    t.match(await runCli(1, [...quick, "true"]), {
      code: 1,
      err: /^Error querying Consul agent: .*connection refused\n$/,
    });
    for (const prefix of ["..", "../agent/service/register", "a/../../b"]) {
      const payload = JSON.stringify({
        Prefix: prefix,
        Session: "a62acb9d-2d7f-a9e1-35a5-87929797d9a9",
      });
      await program.http("PUT", "/v1/event/fire/_rexec", payload);
    }
    await eventually("the log", () =>
      program.output().split("remote exec refused: bad prefix").length > 3 ? true : undefined,
    );
  });

  await t.test("who goes away takes the job along", async (t) => {
    const file = join(temporaryDirectory(t), "pid");
    const child = spawn(waypostPath, [
      "exec",
      `-http-addr=127.0.0.1:${httpPort}`,
      "-wait-repl=1ms",
      `(sleep 1000 & echo $! > ${file}.1; mv ${file}.1 ${file}; wait)`,
    ]);
    const ended = once(child, "close");
    const pid = Number(
      await eventually("the job", () =>
        existsSync(file) ? readFileSync(file, "utf8") : undefined,
      ),
    );
    child.kill("SIGINT");
    await ended;
    t.equal(child.exitCode, 1);
    t.equal(await job(program), 404);
    await eventually("its end", () => (isRunning(pid) ? undefined : true));
  });

  await t.test("a stop of the agent ends what runs", async (t) => {
    const file = join(temporaryDirectory(t), "pid");
    const child = spawn(waypostPath, [
      "exec",
      `-http-addr=127.0.0.1:${httpPort}`,
      `(sleep 1000 & echo $! > ${file}.1; mv ${file}.1 ${file}; wait)`,
    ]);
    t.teardown(() => child.kill("SIGKILL"));
    const pid = Number(
      await eventually("the job", () =>
        existsSync(file) ? readFileSync(file, "utf8") : undefined,
      ),
    );
    t.equal(await program.end("SIGTERM"), 1);
    await eventually("its end", () => (isRunning(pid) ? undefined : true));
  });
});

t.test("an agent that never answers does not hold who wants to leave", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const asked = once(server, "connection");
  const { port } = server.address() as AddressInfo;
  const child = spawn(waypostPath, ["exec", `-http-addr=127.0.0.1:${port}`, "true"]);
  const ended = once(child, "close");
  const [socket] = (await asked) as [{ destroy(): void }];
  t.teardown(() => {
    socket.destroy();
    server.close();
  });
  child.kill("SIGINT");
  await ended;
  t.equal(child.exitCode, 1);
});

t.test("off by default; rights of the agent's token", async (t) => {
  const off = await startProgram(t);
  t.same(await runCli(off.httpPort, ["exec", "-wait=300ms", "true"]), {
    code: 0,
    out: "0 / 0 node(s) completed / acknowledged\n",
    err: "",
  });
  await off.end("SIGKILL");
  const root = "11111111-1111-4111-8111-111111111111";
  const agent = "22222222-2222-4222-8222-222222222222";
  const closed = await startProgram(t, {
    ...orders,
    acl: { enabled: true, default_policy: "deny", tokens: { initial_management: root } },
  });
  const run = () =>
    runCli(closed.httpPort, ["exec", "-wait=700ms", `-token=${root}`, "echo", "hi"]);
  t.match(await run(), { code: 0, out: "0 / 0 node(s) completed / acknowledged\n" });
  t.match(closed.output(), /failed to get remote exec job/);
  const put = (path: string, body: unknown) =>
    fetch(`http://127.0.0.1:${closed.httpPort}${path}`, {
      method: "PUT",
      headers: { "X-Consul-Token": root },
      body: JSON.stringify(body),
    });
  await put("/v1/acl/policy", {
    Name: "rexec",
    Rules: 'key_prefix "_rexec/" { policy = "write" } session_prefix "" { policy = "write" }',
  });
  await put("/v1/acl/token", { SecretID: agent, Policies: [{ Name: "rexec" }] });
  await put("/v1/agent/token/agent", { Token: agent });
  t.match(await run(), { code: 0, out: /n1: hi\n/ });
});
