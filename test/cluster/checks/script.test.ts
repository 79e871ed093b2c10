import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  createScriptProbe,
  type ProgramOptions,
} from "../../../src/cluster/checks/script/driver.ts";
import { createProbe } from "../../../src/cluster/checks/driver.ts";
import { createOutputEnd, programOutput } from "../../../src/cluster/checks/output.ts";
import { parseCheck } from "../../../src/cluster/definition.ts";
import { eventually, longTime, processesNamed, whetherRuns } from "../../processes.ts";
import { temporaryDirectory } from "../../temporary-directory.ts";

type Options = { timeout?: string; outputMaxOctets?: number; signal?: AbortSignal };

function checkOf(args: readonly string[], timeout = "10s") {
  const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: timeout, Args: args });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return parsed.value;
}

function run(args: readonly string[], options: Options = {}, programs: ProgramOptions = {}) {
  const { timeout, outputMaxOctets = 4096, signal = new AbortController().signal } = options;
  return createScriptProbe(programs)(checkOf(args, timeout), { outputMaxOctets }, signal);
}

const shell = (script: string, options?: Options) => run(["/bin/sh", "-c", script], options);

t.test("the exit code is the status, as of Nagios plugins", async (t) => {
  const rows: [string, string, string][] = [
    ["echo fine", "passing", "fine\n"],
    ["echo hm; exit 1", "warning", "hm\n"],
    ["echo bad; exit 2", "critical", "bad\n"],
    ["exit 3", "critical", ""],
    ["exit 255", "critical", ""],
    ["kill -9 $$", "critical", ""],
    ["kill -TERM $$", "critical", ""],
    ["printf 'no newline'", "passing", "no newline"],
  ];
  for (const [script, status, output] of rows)
    t.same(await shell(script), { status, output }, script);
});

t.test("a program is run as it is given, without a shell", async (t) => {
  t.same(await run(["/bin/echo", "$HOME;", "a  b", "*"]), {
    status: "passing",
    output: "$HOME; a  b *\n",
  });
  t.equal((await run(["echo", "found"])).output, "found\n", "by PATH");
  t.same(await shell("cat; pwd"), { status: "passing", output: `${process.cwd()}\n` }, "no input");
});

t.test("what cannot be started is critical, in Go's words", async (t) => {
  const directory = temporaryDirectory(t);
  const plain = join(directory, "plain");
  writeFileSync(plain, "echo\n", { mode: 0o644 });
  const rows: [string[], RegExp | string][] = [
    [["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH'],
    [["/no/such/program"], "fork/exec /no/such/program: no such file or directory"],
    [[plain], `fork/exec ${plain}: permission denied`],
    [[""], 'exec: "": executable file not found in $PATH'],
    [["/bin/echo", "x".repeat(200_000)], "fork/exec /bin/echo: argument list too long"],
    [["/bin/echo", "a\0b"], /^fork\/exec \/bin\/echo: /],
  ];
  for (const [args, output] of rows)
    t.match(await run(args), { status: "critical", output }, String(output));
});

t.test("the end of the output is kept, with Consul's remark", async (t) => {
  t.equal((await shell("printf 0123456789", { outputMaxOctets: 10 })).output, "0123456789");
  t.equal(
    (await shell("printf 0123456789", { outputMaxOctets: 4 })).output,
    "Captured 4 of 10 bytes\n...\n6789",
  );
  const { output } = await shell("head -c 1000000 /dev/zero | tr '\\0' a; echo end");
  t.equal(output, `Captured 4096 of 1000004 bytes\n...\n${"a".repeat(4092)}end\n`);
  t.equal((await shell("printf 'a\\377b\\000c'")).output, "a\ufffdb\0c", "wrong UTF-8 is replaced");
  t.equal(
    (await shell("printf 'x\\303\\244yz'", { outputMaxOctets: 3 })).output,
    "Captured 3 of 5 bytes\n...\nyz",
    "half a character is left out",
  );
});

t.test("the end of an output, in pieces of every size, against the whole", async (t) => {
  const whole = new TextEncoder().encode("0123456789abcdefghijklmnopqrstuvwxyz");
  for (const size of [1, 2, 3, 5, 7, 36]) {
    for (const max of [0, 1, 4, 35, 36, 100]) {
      const end = createOutputEnd(max);
      for (let at = 0; at < whole.length; at += size) end.add(whole.subarray(at, at + size));
      const kept = new TextDecoder().decode(whole.subarray(Math.max(0, 36 - max)));
      t.equal(end.text(), kept, `pieces of ${size}, ${max} kept`);
      const remark = max < 36 ? `Captured ${max} of 36 bytes\n...\n` : "";
      t.equal(programOutput(end, max), remark + kept);
    }
  }
});

t.test("a program that takes too long is killed with all that it started", async (t) => {
  const time = longTime();
  const result = await shell(`trap '' TERM; echo first; sleep ${time} & sleep ${time}`, {
    timeout: "300ms",
  });
  t.same(result, { status: "critical", output: "Timed out (300ms) running check\n\nfirst\n" });
  t.notOk(await whetherRuns(time, false));
  t.equal(
    (await shell(`sleep ${time}`, { timeout: "0.1s" })).output,
    "Timed out (100ms) running check",
  );
});

t.test("an aborted run kills at once, also what ignores TERM", async (t) => {
  const time = longTime();
  const abort = new AbortController();
  const result = shell(`trap '' TERM HUP INT; sleep ${time} & sleep ${time}`, {
    signal: abort.signal,
  });
  t.ok(await whetherRuns(time, true));
  abort.abort();
  t.equal((await result).status, "critical");
  t.notOk(await whetherRuns(time, false));
});

t.test(
  "what holds the output open after the program's end does not hold up the check",
  async (t) => {
    const time = longTime();
    const from = performance.now();
    const result = await shell(`sleep ${time} & echo done; exit 1`, { timeout: "30s" });
    t.same(result, { status: "warning", output: "done\n" });
    t.ok(performance.now() - from < 10_000, "its timeout is not waited for");
    t.notOk(await whetherRuns(time, false), "and it is killed");
  },
);

t.test("what a program leaves behind on purpose lives on, as under Consul", async (t) => {
  const time = longTime();
  const { status } = await shell(`sleep ${time} >/dev/null 2>&1 & exit 0`);
  t.equal(status, "passing");
  const left = processesNamed(time);
  t.equal(left.length, 1);
  for (const pid of left) process.kill(pid, "SIGKILL");
});

t.test("a program that cannot be killed is not started again until it has ended", async (t) => {
  const directory = temporaryDirectory(t);
  const runs = join(directory, "runs");
  const end = join(directory, "end");
  const denied = () => {
    throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
  };
  const probe = createScriptProbe({ killGroup: denied });
  const script = `echo >>${runs}; [ -e ${end} ] || until [ -e ${end} ]; do sleep 0.05; done`;
  const check = checkOf(["/bin/sh", "-c", script], "200ms");
  const once = () => probe(check, { outputMaxOctets: 4096 }, new AbortController().signal);
  t.equal((await once()).output, "Timed out (200ms) running check");
  t.match((await once()).output, /^the program of an earlier run cannot be ended \(process \d+\)$/);
  t.equal(readFileSync(runs, "utf8"), "\n", "one run");
  writeFileSync(end, "");
  await eventually(async () => (await once()).status === "passing");
  t.equal(readFileSync(runs, "utf8"), "\n\n", "then the next");
});

t.test("endless output is bounded in memory and in time", async (t) => {
  const result = await run(["yes"], { timeout: "500ms", outputMaxOctets: 8 });
  t.match(
    result.output,
    /^Timed out \(500ms\) running check\n\nCaptured 8 of \d+ bytes\n\.\.\.\n(y\n){4}$/,
  );
});

t.test("a pipe that cannot be opened", async (t) => {
  t.same(await run(["true"], {}, { openPipe: () => ({ error: "EMFILE" }) }), {
    status: "critical",
    output: "pipe: EMFILE",
  });
});

t.test("descriptors of this process are not the program's", async (t) => {
  const { output } = await shell("ls /proc/$$/fd");
  const own = spawnSync("/bin/sh", ["-c", "ls /proc/$$/fd"], { encoding: "utf8" }).stdout;
  t.equal(output, own, "no more than any child of this process gets");
});

t.test("who is not given programs runs none, whatever a check says", async (t) => {
  const reach = { denyLinkLocal: false };
  const check = checkOf(["/bin/echo", "ran"]);
  t.same(await createProbe(reach)(check, 4096).result, {
    status: "critical",
    output: 'checks of type "script" do not run',
  });
  const able = createProbe({ ...reach, programs: { dockerHost: "" } });
  t.same(await able(check, 4096).result, { status: "passing", output: "ran\n" });
});
