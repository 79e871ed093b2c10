import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import {
  endProgram,
  exitProblem,
  shellArgs,
  startProgram,
  type Program,
  type ProgramStart,
} from "../../../src/cluster/program/driver.ts";

type Run = Omit<ProgramStart, "output">;

function started(start: Run, output: ProgramStart["output"]): Program {
  const program = startProgram({ ...start, output }, {});
  if ("failed" in program) throw new Error(program.failed);
  return program;
}

/** Runs to the end: what it wrote, and Go's word on how it ended. */
async function run(start: Run) {
  let text = "";
  const program = startProgram(
    { ...start, output: (octets) => void (text += Buffer.from(octets).toString()) },
    {},
  );
  if ("failed" in program) return { text, problem: program.failed };
  const exit = await program.exited;
  await program.outputEnded;
  program.close();
  return { text, problem: exitProblem(exit) };
}

const sh = (script: string, rest: Partial<Run> = {}): Run => ({
  args: ["/bin/sh", "-c", script],
  ...rest,
});

t.test("input, environment and end", async (t) => {
  t.same(await run(sh("cat", { input: { text: "a\nb" } })), { text: "a\nb", problem: undefined });
  t.same(await run(sh("cat; echo end")), { text: "end\n", problem: undefined }, "no input");
  t.same(await run(sh('echo "$X$HOME"', { env: { X: "1" } })), {
    text: `1${process.env["HOME"]}\n`,
    problem: undefined,
  });
  t.same(await run(sh("exit 7")), { text: "", problem: "exit status 7" });
  t.same(await run(sh("kill -TERM $$")), { text: "", problem: "signal: terminated" });
  t.same(await run({ args: ["no-such-program"] }), {
    text: "",
    problem: 'exec: "no-such-program": executable file not found in $PATH',
  });
  t.same(await run({ args: ["/no/such"] }), {
    text: "",
    problem: "fork/exec /no/such: no such file or directory",
  });
  t.same(
    await run(sh("exit 0", { input: { text: "x".repeat(1_000_000) } })),
    { text: "", problem: undefined },
    "an input that nobody reads",
  );
});

t.test("the shell is the user's", async (t) => {
  const before = process.env["SHELL"];
  t.teardown(() => void (process.env["SHELL"] = before));
  process.env["SHELL"] = "/bin/own";
  t.same(shellArgs("a b"), ["/bin/own", "-c", "a b"]);
  delete process.env["SHELL"];
  t.same(shellArgs("a b"), ["/bin/sh", "-c", "a b"]);
});

t.test("what takes its time is waited for", async (t) => {
  let reading = 0;
  const program = started(sh("head -c 3000000 /dev/zero"), async () => {
    t.equal(++reading, 1, "one piece at a time");
    await sleep(1);
    reading--;
  });
  await program.exited;
  await program.outputEnded;
});

t.test("a signal reaches the whole group; who does not listen is killed", async (t) => {
  const deaf = started(sh("trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; wait"), (octets) => {
    child = Number(Buffer.from(octets).toString());
  });
  let child = 0;
  while (child === 0) await sleep(10);
  const began = performance.now();
  await endProgram(deaf, 200);
  const took = performance.now() - began;
  t.ok(took > 190 && took < 1500, `${took} ms`);
  t.same(exitProblem(await deaf.exited), "signal: killed");
  const state = () => {
    try {
      return /State:\s+(\w)/.exec(readFileSync(`/proc/${child}/status`, "utf8"))?.[1];
    } catch {
      return undefined;
    }
  };
  for (let tries = 0; tries < 100 && state() !== undefined && state() !== "Z"; tries++)
    await sleep(10);
  t.ok(state() === undefined || state() === "Z", "its descendant too");
  const polite = started(sh("trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done"), () => {});
  await sleep(100);
  await endProgram(polite, 5000);
  t.match(await polite.exited, { code: 3 });
});
