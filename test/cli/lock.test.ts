// Keys, flags, texts and exit codes: command/lock, api/lock.go and api/semaphore.go of Consul.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { startProgram, waypostPath, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

/** A `lock` that is left running. */
function startLock(t: Test, httpPort: number, args: readonly string[], input?: string) {
  const child = spawn(waypostPath, ["lock", `-http-addr=127.0.0.1:${httpPort}`, ...args]);
  t.teardown(() => child.kill("SIGKILL"));
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.end(input);
  const closed = once(child, "close");
  return {
    child,
    async says(pattern: RegExp): Promise<void> {
      for (let tries = 0; tries < 1000 && !pattern.test(out + err); tries++) await sleep(10);
      if (!pattern.test(out + err)) throw new Error(`never said ${pattern}: ${out}${err}`);
    },
    async ended() {
      await closed;
      return { code: child.exitCode, out, err };
    },
  };
}

const keysBelow = async (program: Program, prefix: string) => {
  const { status, text } = await program.http("GET", `/v1/kv/${prefix}?recurse`);
  return status === 404
    ? []
    : (JSON.parse(text) as { Key: string; Value: string; Session?: string }[]);
};

/** How many of a command run at a time, told by themselves. */
function crowd(t: Test) {
  const file = join(temporaryDirectory(t), "crowd");
  return {
    command: `echo + >> ${file}; sleep 0.1; echo - >> ${file}`,
    most(): number {
      let now = 0;
      let most = 0;
      for (const mark of readFileSync(file, "utf8").trim().split("\n"))
        most = Math.max(most, (now += mark === "+" ? 1 : -1));
      return now === 0 ? most : NaN;
    },
    runs: () => readFileSync(file, "utf8").split("+").length - 1,
  };
}

t.test("lock", async (t) => {
  const program = await startProgram(t);
  const { httpPort } = program;
  const cli = (...args: string[]) => runCli(httpPort, ["lock", ...args]);

  await t.test("runs the command, gives the lock back and cleans up", async (t) => {
    t.same(await cli("-verbose", "a/b", 'echo "$CONSUL_LOCK_HELD $(cat)"'), {
      code: 0,
      out: `Setting up lock at path: a/b/.lock
Attempting lock acquisition
Starting handler
true${" "}
Child terminated, releasing lock
Cleanup succeeded
`,
      err: "",
    });
    t.same(await cli("/a/b", "echo", "hi"), { code: 0, out: "hi\n", err: "" });
    t.same(await cli("-verbose", "-n=2", "a/b", "true"), {
      code: 0,
      out: `Setting up semaphore (limit 2) at prefix: a/b
Attempting lock acquisition
Starting handler
Child terminated, releasing lock
Cleanup succeeded
`,
      err: "",
    });
    t.same(await keysBelow(program, "a"), []);
    t.equal((await program.http("GET", "/v1/session/list")).text, "[]");
    t.same(await runCli(httpPort, ["lock", "-pass-stdin", "a", "cat"], { input: "in" }), {
      code: 0,
      out: "in",
      err: "",
    });
  });

  await t.test("exit codes", async (t) => {
    t.same(await cli("a", "exit 3"), {
      code: 0,
      out: "",
      err: "Error running handler: exit status 3\n",
    });
    t.match(await cli("-child-exit-code", "a", "exit 3"), { code: 2 });
    t.match(await cli("-child-exit-code", "a", "exit 0"), { code: 0 });
    t.same(await cli("-child-exit-code", "-shell=false", "a", "/no/such"), {
      code: 2,
      out: "",
      err: "Error starting handler: fork/exec /no/such: no such file or directory\n",
    });
    const refused: [string[], string][] = [
      [["a"], "Key prefix and child command must be specified\n"],
      [[], "Key prefix and child command must be specified\n"],
      [["-n=0", "a", "true"], "Lock holder limit must be positive\n"],
      [["-timeout=-10s", "a", "true"], "Timeout must be positive\n"],
      [["-try=-10s", "a", "true"], "Timeout must be positive\n"],
      [["-monitor-retry=-5", "a", "true"], "Number for 'monitor-retry' must be >= 0\n"],
      [["-n=2", "/", "true"], "Lock setup failed: missing prefix\n"],
    ];
    for (const [args, err] of refused) t.same(await cli(...args), { code: 1, out: "", err });
    t.match(await cli("-timeout=blah", "a", "true"), {
      code: 1,
      err: /^invalid value "blah" for flag -timeout/,
    });
  });

  await t.test("the prefix is one of keys, however it is written", async (t) => {
    for (const [prefix, key] of [
      ["//p", "p/.lock"],
      ["p//q/", "p/q/.lock"],
      ["p/./x/../ü ?", "p/ü ?/.lock"],
      [".", ".lock"],
    ] as const)
      t.match(await cli("-verbose", prefix, "true"), {
        code: 0,
        out: `at path: ${key}\n`,
        err: "",
      });
    t.match(await cli("-verbose", "-n=2", "//p//q/", "true"), {
      code: 0,
      out: "at prefix: p/q/\n",
      err: "",
    });
    const out = "Lock setup failed: ../p leads out of the key/value store\n";
    t.same(await cli("../p", "true"), { code: 1, out: "", err: out });
    t.same(await cli("-n=2", "../p", "true"), { code: 1, out: "", err: out });
  });

  await t.test("-stale does not weaken the watch over the lock", async (t) => {
    t.match(await cli("-verbose", "-stale", "st", "true"), { code: 0, out: /Cleanup succeeded/ });
    for (const n of ["-n=1", "-n=2"])
      t.same(await cli("-stale", n, "st", "sleep 0.5; echo mine"), {
        code: 0,
        out: "mine\n",
        err: "",
      });
  });

  await t.test("what stands in the store while it is held; others wait, or not", async (t) => {
    const holder = startLock(t, httpPort, [
      "m",
      "echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done",
    ]);
    await holder.says(/^up$/m);
    const [key] = await keysBelow(program, "m");
    t.match(key, { Key: "m/.lock", Value: null, Flags: Number(0x2ddccbc058a50c18n), LockIndex: 1 });
    t.match((await program.http("GET", "/v1/kv/m/.lock")).text, '"Flags":3304740253564472344,');
    t.match(JSON.parse((await program.http("GET", `/v1/session/info/${key!.Session}`)).text), [
      {
        Name: `Consul lock for 'echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done' at 'm'`,
        TTL: "15s",
        Behavior: "release",
      },
    ]);
    const began = performance.now();
    t.same(await cli("-timeout=300ms", "m", "echo never"), {
      code: 1,
      out: "",
      err: "Shutdown triggered or timeout during lock acquisition\n",
    });
    t.ok(performance.now() - began < 3000);
    t.same(await cli("-n=2", "m", "echo never"), {
      code: 1,
      out: "",
      err: "Lock acquisition failed: Existing key does not match semaphore use\n",
    });
    const next = startLock(t, httpPort, ["-verbose", "m", "echo mine"]);
    await next.says(/Attempting/);
    holder.child.kill("SIGTERM");
    t.match(await holder.ended(), { code: 0 });
    t.match(await next.ended(), { code: 0, out: /mine\n[^]*Cleanup succeeded\n$/ });
  });

  await t.test("a lock is no semaphore, and a semaphore no lock; limits agree", async (t) => {
    const holder = startLock(t, httpPort, [
      "-n=3",
      "-name=tiger",
      "s",
      "echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done",
    ]);
    await holder.says(/^up$/m);
    const keys = await keysBelow(program, "s");
    const id = keys[1]!.Key.slice("s/".length);
    t.match(keys, [{ Key: "s/.lock" }, { Key: `s/${id}`, Session: id, Value: null }]);
    t.same(JSON.parse(Buffer.from(keys[0]!.Value, "base64").toString()), {
      Limit: 3,
      Holders: { [id]: true },
    });
    t.match((await program.http("GET", "/v1/kv/s/.lock")).text, '"Flags":16210313421097356768,');
    t.match(JSON.parse((await program.http("GET", `/v1/session/info/${id}`)).text), [
      { Name: "tiger", Behavior: "delete" },
    ]);
    t.match(await cli("s", "true"), {
      code: 1,
      err: "Lock acquisition failed: Existing key does not match lock use\n",
    });
    t.match(await cli("-n=2", "s", "true"), {
      code: 1,
      err: "Lock acquisition failed: semaphore limit conflict (lock: 3, local: 2)\n",
    });
    t.match(await cli("-verbose", "-n=3", "s", "true"), {
      code: 0,
      out: /Cleanup aborted, lock in use\n$/,
    });
    // The holder's session ends: its place is free at once, the command is ended with all it started.
    await program.http("PUT", `/v1/session/destroy/${id}`);
    t.match(await holder.ended(), { code: 0 });
    t.same(await keysBelow(program, "s"), []);
  });

  await t.test("whose session ends while it waits for a place gets none", async (t) => {
    const holders = [1, 2].map(() =>
      startLock(t, httpPort, [
        "-n=2",
        "ended",
        "echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done",
      ]),
    );
    for (const holder of holders) await holder.says(/^up$/m);
    const waiter = startLock(t, httpPort, ["-n=2", "-name=waiter", "ended", "echo never"]);
    let id: string | undefined;
    const look = async () => {
      const { text } = await program.http("GET", "/v1/session/list");
      const sessions = JSON.parse(text) as { ID: string; Name: string }[];
      id = sessions.find(({ Name }) => Name === "waiter")?.ID;
    };
    const entry = async () => (await program.http("GET", `/v1/kv/ended/${id}`)).status;
    for (let tries = 0; tries < 500 && (id === undefined || (await entry()) !== 200); tries++) {
      await sleep(10);
      await look();
    }
    await program.http("PUT", `/v1/session/destroy/${id}`);
    t.same(await waiter.ended(), {
      code: 1,
      out: "",
      err: `Lock acquisition failed: session ${id} has ended\n`,
    });
    for (const holder of holders) holder.child.kill("SIGTERM");
    for (const holder of holders) t.match(await holder.ended(), { code: 0 });
    t.same(await keysBelow(program, "ended"), []);
  });

  await t.test("never two holders, never three of a semaphore of two", async (t) => {
    const one = crowd(t);
    const locks = Array.from({ length: 6 }, () => startLock(t, httpPort, ["crowd", one.command]));
    for (const lock of locks) t.match(await lock.ended(), { code: 0, err: "" });
    t.equal(one.most(), 1);
    t.equal(one.runs(), 6);
    const two = crowd(t);
    const places = Array.from({ length: 6 }, () =>
      startLock(t, httpPort, ["-n=2", "crowd", two.command]),
    );
    for (const place of places) t.match(await place.ended(), { code: 0, err: "" });
    t.equal(two.most(), 2);
    t.equal(two.runs(), 6);
    t.same(await keysBelow(program, "crowd"), []);
  });

  await t.test("a lock that is lost: SIGTERM to all that the command started", async (t) => {
    const file = join(temporaryDirectory(t), "marks");
    const holder = startLock(t, httpPort, [
      "-verbose",
      "lost",
      `(trap 'echo inner >> ${file}; exit' TERM; echo up; while :; do sleep 0.02; done) & wait`,
    ]);
    await holder.says(/^up$/m);
    const [key] = await keysBelow(program, "lost");
    await program.http(
      "PUT",
      `/v1/kv/lost/.lock?release=${key!.Session}&flags=3304740253564472344`,
    );
    const { code, out } = await holder.ended();
    t.equal(code, 0);
    t.match(
      out,
      /Lock lost, killing child\nTerminating child pid \d+\nChild terminated\nCleanup succeeded\n$/,
    );
    for (let tries = 0; tries < 100 && !existsSync(file); tries++) await sleep(10);
    t.equal(readFileSync(file, "utf8"), "inner\n");
  });

  await t.test("nobody reads what it tells: it ends and leaves nothing behind", async (t) => {
    const file = join(temporaryDirectory(t), "marks");
    const early = startLock(t, httpPort, ["-verbose", "pipe", `echo ran >> ${file}`]);
    early.child.stdout.destroy();
    t.match(await early.ended(), { code: 1, err: /^Shutdown triggered/ });
    t.notOk(existsSync(file));
    const late = startLock(t, httpPort, [
      "-verbose",
      "pipe",
      `trap 'exit 0' TERM; echo up >&2; while :; do sleep 0.02; done`,
    ]);
    await late.says(/^up$/m);
    late.child.stdout.destroy();
    const [key] = await keysBelow(program, "pipe");
    await program.http("PUT", `/v1/session/destroy/${key!.Session}`);
    t.match(await late.ended(), { code: 0 });
    t.same(await keysBelow(program, "pipe"), []);
    t.equal((await program.http("GET", "/v1/session/list")).text, "[]");
  });

  await t.test("an interrupt while it waits", async (t) => {
    const holder = startLock(t, httpPort, [
      "w",
      "echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done",
    ]);
    await holder.says(/^up$/m);
    const waiter = startLock(t, httpPort, ["-verbose", "w", "echo never"]);
    await waiter.says(/Attempting/);
    await sleep(100);
    waiter.child.kill("SIGINT");
    t.match(await waiter.ended(), {
      code: 1,
      err: "Shutdown triggered or timeout during lock acquisition\n",
    });
    const sessions = JSON.parse((await program.http("GET", "/v1/session/list")).text) as unknown[];
    t.equal(sessions.length, 1, "its session is gone");
    holder.child.kill("SIGINT");
    t.match(await holder.ended(), { code: 0 });
  });
});

t.test("an agent that is killed and comes back: the holder stays, and nobody enters", async (t) => {
  const first = await startProgram(t);
  const { httpPort, dnsPort } = first;
  const file = join(temporaryDirectory(t), "done");
  const holder = startLock(t, httpPort, [
    "-monitor-retry=20",
    "k",
    `echo up; while ! test -e ${file}; do sleep 0.02; done`,
  ]);
  await holder.says(/^up$/m);
  await first.end("SIGKILL");
  const second = await startProgram(
    t,
    {},
    { directory: dirname(first.configFile), httpPort, dnsPort },
  );
  t.match(await runCli(httpPort, ["lock", "-timeout=1500ms", "k", "echo never"]), {
    code: 1,
    out: "",
  });
  const waiter = startLock(t, httpPort, ["-verbose", "k", "echo mine"]);
  await waiter.says(/Attempting/);
  t.equal((await keysBelow(second, "k")).length, 1);
  await runCli(undefined, ["version"]); // time for the waiter to look
  spawn("touch", [file]);
  t.match(await holder.ended(), { code: 0, err: "" });
  t.match(await waiter.ended(), { code: 0, out: /mine/ });
  await second.end("SIGKILL");
  t.match(await runCli(httpPort, ["lock", "k", "true"]), {
    code: 1,
    err: /^Error querying Consul agent: .*connection refused\n$/,
  });
});
