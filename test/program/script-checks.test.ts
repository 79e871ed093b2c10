/** Checks that run programs, by the real program: status, output, and that nothing of them stays. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { frame, startEngine } from "../cluster/checks/engine.ts";
import { decode, query, udpClient } from "../dns-client.ts";
import { eventually, longTime, processesNamed, whetherRuns } from "../processes.ts";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

type Check = { Status: string; Output: string };

async function checksOf(program: Program): Promise<Record<string, Check>> {
  return JSON.parse((await program.http("GET", "/v1/agent/checks")).text) as Record<string, Check>;
}

async function put(t: Test, program: Program, path: string, body?: unknown): Promise<void> {
  const { status, text } = await program.http("PUT", `/v1/agent/${path}`, body);
  t.equal(status, 200, `${path} ${text}`);
}

const shell = (script: string) => ["/bin/sh", "-c", script];

t.test("status and output, by configuration and by API", async (t) => {
  const directory = temporaryDirectory(t);
  const engine = await startEngine(t);
  engine.containers.set("web", { wire: [frame(2, "inside\n")], exitCode: 1 });
  process.env["DOCKER_HOST"] = engine.host;
  t.teardown(() => delete process.env["DOCKER_HOST"]);
  const code = join(directory, "code");
  writeFileSync(code, "0");
  const every = { interval: "1s" };
  const program = await startProgram(t, {
    enable_script_checks: true,
    services: [
      {
        name: "conf",
        address: "10.0.0.9",
        port: 80,
        check: {
          id: "conf",
          args: shell(`echo "now $(cat ${code})"; exit $(cat ${code})`),
          ...every,
        },
      },
      {
        name: "other",
        checks: [
          { id: "long", args: shell("seq 1 2000"), output_max_size: 20, ...every },
          { id: "slow", args: shell("echo a; sleep 60"), timeout: "500ms", ...every },
          { id: "docker", docker_container_id: "web", args: ["/bin/check"], ...every },
        ],
      },
    ],
  });
  const register = (id: string, script: string) =>
    put(t, program, "check/register", {
      ID: id,
      Name: id,
      ServiceID: "other",
      Args: shell(script),
      Interval: "1s",
    });
  await register("order", "echo 1; echo 2 >&2; echo 3; echo 4 >/dev/stderr; echo 5");
  await register("handles", "exec /bin/ls -l /proc/self/fd");
  await register("surroundings", "env; pwd; grep SigIgn /proc/self/status");
  await register("flood", "yes");

  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  let id = 0;
  const addresses = async () => {
    const reply = await client.ask(query(++id, "conf.service.consul"));
    return reply && decode(reply).answers?.map((answer) => answer.type === "A" && answer.data);
  };
  for (const [exit, status, answers] of [
    ["0", "passing", ["10.0.0.9"]],
    ["1", "warning", ["10.0.0.9"]],
    ["2", "critical", []],
    ["0", "passing", ["10.0.0.9"]],
  ] as const) {
    writeFileSync(code, exit);
    const found = await eventually(async () => {
      const { text } = await program.http("GET", "/v1/health/checks/conf");
      const [check] = JSON.parse(text) as Check[];
      return check?.Output === `now ${exit}\n` && check;
    });
    t.match(found, { Status: status, Type: "script" }, `exit code ${exit}`);
    t.same(await addresses(), answers, `in DNS with exit code ${exit}`);
  }

  const checks = await checksOf(program);
  const end = Array.from({ length: 4 }, (_, i) => `${1997 + i}\n`).join("");
  t.same(
    [checks["long"]!.Status, checks["long"]!.Output],
    ["passing", `Captured 20 of 8893 bytes\n...\n${end}`],
  );
  t.match(checks["slow"], {
    Status: "critical",
    Output: "Timed out (500ms) running check\n\na\n",
  });
  t.match(checks["docker"], { Status: "warning", Output: "inside\n", Type: "docker" });
  t.equal(checks["order"]!.Output, "1\n2\n3\n4\n5\n", "both outputs in order");
  const handles = checks["handles"]!.Output.split("\n").slice(1, -1);
  t.same(
    handles.slice(0, 3).map((line) => / (\d+) -> ([^:]*)/.exec(line)?.slice(1)),
    [
      ["0", "/dev/null"],
      ["1", "pipe"],
      ["2", "pipe"],
    ],
  );
  t.match(handles.slice(3).join(), / 3 -> \/proc\/\d+\/fd$/, "the rest is the listing itself");
  const lines = checks["surroundings"]!.Output.split("\n");
  t.ok(lines.includes(`DOCKER_HOST=${engine.host}`), "the agent's environment");
  t.notOk(lines.some((line) => line.startsWith("WAYPOST_NAME")));
  t.ok(lines.includes(process.cwd()), "its working directory");
  t.match(
    lines.find((line) => line.startsWith("SigIgn")),
    /0{16}$/,
    "no signal is ignored",
  );
  t.equal((await program.http("GET", "/v1/agent/self")).status, 200, "a flood holds nobody up");
});

const stubborn = (time: string) => shell(`trap '' TERM INT HUP; sleep ${time} & sleep ${time}`);

t.test("nothing runs on when its check or the agent has gone", async (t) => {
  const program = await startProgram(t, { enable_script_checks: true });
  const check = (time: string) => ({ Args: stubborn(time), Interval: "1s", Timeout: "10m" });
  const [alone, replaced, ofService, atEnd] = [longTime(), longTime(), longTime(), longTime()];
  await put(t, program, "check/register", { ID: "a", Name: "a", ...check(alone) });
  await put(t, program, "check/register", { ID: "b", Name: "b", ...check(replaced) });
  await put(t, program, "service/register", { Name: "s", Check: check(ofService) });
  await put(t, program, "check/register", { ID: "c", Name: "c", ...check(atEnd) });
  for (const time of [alone, replaced, ofService, atEnd])
    t.ok(await whetherRuns(time, true), "it runs");
  t.equal(processesNamed(alone).length, 3, "once");

  await put(t, program, "check/deregister/a");
  t.notOk(await whetherRuns(alone, false), "deregistered");
  await put(t, program, "check/register", { ID: "b", Name: "b", Args: ["true"], Interval: "1s" });
  t.notOk(await whetherRuns(replaced, false), "replaced");
  await put(t, program, "service/deregister/s");
  t.notOk(await whetherRuns(ofService, false), "with its service");
  t.equal(processesNamed(atEnd).length, 3, "the other goes on");
  await program.end("SIGTERM");
  t.same(processesNamed(atEnd), [], "gone before the agent is");
});

t.test(
  "after kill -9 what was registered is checked again; not if it is no longer allowed",
  async (t) => {
    let program = await startProgram(t, { enable_script_checks: true });
    const at = () => ({
      directory: dirname(program.dataDir),
      dnsPort: program.dnsPort,
      httpPort: program.httpPort,
    });
    const time = longTime();
    t.teardown(() => processesNamed(time).forEach((pid) => process.kill(pid, "SIGKILL")));
    const args = shell(`echo ran; sleep ${time}`);
    await put(t, program, "service/register", {
      Name: "s",
      Checks: [
        { CheckID: "quick", Args: ["/bin/echo", "fine"], Interval: "1s" },
        { CheckID: "long", Args: args, Interval: "1s", Timeout: "10m" },
      ],
    });
    t.ok(await whetherRuns(time, true));
    await program.end("SIGKILL");

    program = await startProgram(t, { enable_script_checks: true }, at());
    const again = await eventually(async () => {
      const { quick } = await checksOf(program);
      return quick?.Status === "passing" && quick;
    });
    t.match(again, { Output: "fine\n", ServiceID: "s" });
    await program.end("SIGTERM");

    const left = processesNamed(time); // of the one that was killed
    program = await startProgram(t, { enable_local_script_checks: true }, at());
    const why = /^Scripts are disabled on this agent from remote calls; to enable/;
    const { quick, long } = await checksOf(program);
    for (const check of [quick, long])
      t.match(
        check,
        { Status: "critical", Output: why, ServiceID: "s" },
        "it stands, and says why",
      );
    t.match(
      program.output(),
      /stored check is not started, it is critical: Scripts are disabled on this agent from/,
    );
    t.same(processesNamed(time), left, "and does not run");
    await program.end("SIGTERM");
    program = await startProgram(t, { enable_script_checks: true }, at());
    t.ok(
      await eventually(async () => (await checksOf(program))["quick"]?.Status === "passing"),
      "and runs again when it may",
    );
  },
);
