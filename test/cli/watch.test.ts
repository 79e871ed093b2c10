import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { freePort } from "../free-port.mjs";
import { startProgram, waypostPath } from "../program.ts";
import { runCli } from "./run.ts";

/** A watch that stays: its lines as they come, and its end. */
function startWatch(t: Test, httpPort: number, args: readonly string[]) {
  const child = spawn(waypostPath, ["watch", `-http-addr=127.0.0.1:${httpPort}`, ...args]);
  t.teardown(() => child.kill("SIGKILL"));
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const closed = once(child, "close");
  const lines = () => out.split("\n").slice(0, -1);
  return {
    child,
    lines,
    err: () => err,
    async line(index: number): Promise<string> {
      for (let tries = 0; tries < 1000 && lines().length <= index; tries++) await sleep(10);
      const line = lines()[index];
      if (line === undefined) throw new Error(`no line ${index}: ${out}${err}`);
      return line;
    },
    async ended(): Promise<number | null> {
      await closed;
      return child.exitCode;
    },
  };
}

t.test("watch", async (t) => {
  const program = await startProgram(t, {
    services: [{ name: "web", port: 80, tags: ["a", "b"] }],
  });
  const { httpPort } = program;
  const cli = (...args: string[]) => runCli(httpPort, ["watch", ...args]);

  await t.test("without a command the data is printed", async (t) => {
    t.same(await cli("-type=key", "-key=none"), { code: 0, out: "null\n", err: "" });
    await program.http("PUT", "/v1/kv/a/b?flags=9007199254740993", "x");
    const key = await cli("-type", "key", "-key", "a/b");
    t.match(
      key.out,
      /^\{\n {4}"Key": "a\/b",\n {4}"CreateIndex": \d+,\n.*"Flags": 9007199254740993,\n {4}"Value": "eA==",\n {4}"Session": ""\n\}\n$/s,
    );
    t.match(JSON.parse((await cli("-type=keyprefix", "-prefix=a/")).out), [{ Key: "a/b" }]);
    t.same(JSON.parse((await cli("-type=services")).out), { consul: [], web: ["a", "b"] });
    t.match(JSON.parse((await cli("-type=nodes")).out), [{ Node: "n1" }]);
    t.match(
      JSON.parse(
        (await cli("-type=service", "-service=web", "-tag=a", "-tag=b", "-passingonly=1")).out,
      ),
      [{ Service: { Service: "web" } }],
    );
    t.same(await cli("-type=service", "-service=web", "-tag=c"), { code: 0, out: "[]\n", err: "" });
    t.match(JSON.parse((await cli("-type=checks", "-state=passing")).out), [
      { CheckID: "serfHealth" },
    ]);
    t.same(await cli("-type=event", "-name=deploy"), { code: 0, out: "[]\n", err: "" });
  });

  await t.test("what is refused", async (t) => {
    const none = await cli();
    t.equal(none.code, 1);
    t.match(none.err, /^Watch type must be specified\n\nUsage: waypost watch /);
    const refused: [string[], string][] = [
      [["-type=key"], "Must specify a single key to watch\n"],
      [["-type=moon"], "Unsupported watch type: moon\n"],
      [["-type=connect_leaf"], "Type connect_leaf is not supported in the CLI tool\n"],
      [["-type=agent_service"], "Type agent_service is not supported in the CLI tool\n"],
      [["-type=nodes", "-key=a"], "Invalid parameters: [key]\n"],
      [
        ["-type=service", "-service=a", "-passingonly=x"],
        'Failed to parse passingonly flag: strconv.ParseBool: parsing "x": invalid syntax\n',
      ],
    ];
    for (const [args, err] of refused) t.same(await cli(...args), { code: 1, out: "", err });
    const port = await freePort();
    const away = await runCli(port, ["watch", "-type=nodes"]);
    t.equal(away.code, 1);
    t.match(away.err, /^Error querying Consul agent: .*connection refused\n$/);
  });

  await t.test("a command runs for each value", async (t) => {
    const watch = startWatch(t, httpPort, ["-type=key", "-key=w", 'echo "$CONSUL_INDEX $(cat)"']);
    t.match(await watch.line(0), /^\d+ null$/);
    await program.http("PUT", "/v1/kv/w", "1");
    const [index, json] = (await watch.line(1)).split(" ");
    t.match(JSON.parse(json!), { Key: "w", Value: "MQ==", ModifyIndex: Number(index) });
    await program.http("PUT", "/v1/kv/other", "1");
    await program.http("PUT", "/v1/kv/w", "1");
    await program.http("DELETE", "/v1/kv/w");
    for (let i = 2; ; i++) if ((await watch.line(i)).endsWith(" null")) break;
    watch.child.kill("SIGTERM");
    t.equal(await watch.ended(), 0);
    t.equal(watch.err(), "");
  });

  await t.test("its failure ends the watch", async (t) => {
    t.same(await cli("-type=nodes", "exit 3"), {
      code: 1,
      out: "",
      err: "Error executing handler: exit status 3\n",
    });
    t.same(await cli("-type=nodes", "-shell=false", "/no/such", "x"), {
      code: 1,
      out: "",
      err: "Error starting handler: fork/exec /no/such: no such file or directory\n",
    });
    t.match(await cli("-type=nodes", "-shell=false", "sh", "-c", "echo $0 '$1'; exit 1", "a b"), {
      code: 1,
      out: "a b $1\n",
    });
  });

  await t.test("a signal is passed on to the command", async (t) => {
    const watch = startWatch(t, httpPort, [
      "-type=nodes",
      "trap 'echo got; exit' INT; echo up; while :; do sleep 0.02; done",
    ]);
    await watch.line(0);
    watch.child.kill("SIGINT");
    t.equal(await watch.ended(), 0);
    t.same(watch.lines(), ["up", "got"]);
  });
});

t.test("an agent that goes away and comes back", async (t) => {
  const first = await startProgram(t);
  const { dnsPort, httpPort } = first;
  const watch = startWatch(t, httpPort, ["-type=key", "-key=k", "cat"]);
  t.equal(await watch.line(0), "null");
  await first.http("PUT", "/v1/kv/k", "1");
  await watch.line(1);
  await first.end("SIGKILL");
  for (let tries = 0; tries < 500 && !/errored/.test(watch.err()); tries++) await sleep(10);
  t.match(watch.err(), /^Watch \(type: key\) errored: .*, retry in [345]\S*s\n$/);
  const directory = first.configFile.replace(/\/[^/]*$/, "");
  const second = await startProgram(t, {}, { directory, dnsPort, httpPort });
  await second.http("PUT", "/v1/kv/k", "2");
  t.match(JSON.parse(await watch.line(2)), { Value: "Mg==" });
  watch.child.kill("SIGTERM");
  t.equal(await watch.ended(), 0);
});
