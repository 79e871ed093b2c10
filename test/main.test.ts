import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { AgentStart } from "../src/agent/start.ts";
import { main, type RunAgent } from "../src/main.ts";
import { consulVersion, version } from "../src/version.ts";
import { capturedWorld } from "./cli/captured.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Runs one command line; `runAgent` stands for the agent that the program would start. */
async function run(argv: string[], over: { name?: string; runAgent?: RunAgent } = {}) {
  const { world, text } = capturedWorld(over.name);
  const terminal = {
    name: world.name,
    out: (part: string) => void (text.out += part),
    err: (part: string) => void (text.err += part),
    clock: world.clock,
    processId: 4711,
    world: () => world,
  };
  const refuse: RunAgent = () => Promise.reject(new Error("not to be started"));
  const code = await main(argv, terminal, over.runAgent ?? refuse);
  return { code, ...text };
}

function directory(t: Test, files: Record<string, unknown>): string {
  const path = temporaryDirectory(t);
  for (const [name, tree] of Object.entries(files))
    writeFileSync(join(path, name), JSON.stringify(tree));
  return path;
}

t.test("version", async (t) => {
  const { version: packaged } = JSON.parse(readFileSync("package.json", "utf8")) as {
    version: string;
  };
  t.equal(version, packaged);
  for (const argv of [["version"], ["-v"], ["--version"], ["agent", "-version"]])
    t.same(await run(argv), { code: 0, out: `waypost v${version}\n`, err: "" }, argv.join(" "));
  t.same(await run(["version"], { name: "consul" }), {
    code: 0,
    out: `Consul v${consulVersion}\nwaypost v${version}\nProtocol 2 spoken by default, understands 2 to 3\n`,
    err: "",
  });
});

t.test("help", async (t) => {
  for (const argv of [["help"], ["-h"], ["--help"]]) {
    const { code, out } = await run(argv);
    t.equal(code, 0);
    t.match(
      out,
      /^Usage: waypost <command> \[options\]\n\nCommands:\n\n[^]* {4}agent .*\n[^]* {4}validate /,
    );
  }
  for (const argv of [
    ["help", "acl", "token"],
    ["--help", "acl", "token"],
  ])
    t.match(await run(argv), { code: 0, out: /^Usage: waypost acl token <subcommand>/ });
  t.match(await run(["help", "agent"]), { code: 0, out: /^Usage: waypost agent/ });
  for (const argv of [
    ["help", "help"],
    ["-h", "-h"],
  ])
    t.match(await run(argv), { code: 0, out: /^Usage: waypost <command>/ });
  t.match(await run(["help", "nonsense"]), { code: 127, out: "" });
  t.match(await run(["agent", "-help"]), { code: 0, out: /^Usage: waypost agent.*-dns-port=/s });
  t.match(await run(["validate", "-help"]), { code: 0, out: "Usage: waypost validate" });
  t.match(await run([]), { code: 127, out: /^Usage: waypost/ });
});

t.test("an unknown command ends with 127", async (t) => {
  for (const word of ["frobnicate", "constructor", "-x"])
    t.match(await run([word]), { code: 127, out: "", err: `waypost: unknown command "${word}"` });
});

t.test("validate", async (t) => {
  const good = directory(t, { "a.json": { data_dir: "/d", retry_join: ["192.0.2.1"] } });
  const bad = directory(t, { "b.json": { data_dir: "/d", nod_name: "x", ports: { dns: "53" } } });
  t.match(await run(["validate", good]), {
    code: 0,
    out: "Configuration is valid!\n",
    err: "warning: ",
  });
  t.same(await run(["validate", "-quiet", good]), { code: 0, out: "", err: "" });
  t.same(await run(["validate", join(bad, "b.json")]), {
    code: 1,
    out: "",
    err:
      `Config validation failed: ${bad}/b.json: invalid config key nod_name (did you mean node_name?)\n` +
      `Config validation failed: ${bad}/b.json: ports.dns: expected an integer, got "53"\n`,
  });
  t.match(await run(["validate", good, bad]), { code: 1, out: "" });
  t.match(await run(["validate"]), {
    code: 1,
    err: /^Must specify at least one config file or directory\n\nUsage: waypost validate/,
  });
  t.match(await run(["validate", "-x", good]), {
    code: 1,
    err: "flag provided but not defined: -x",
  });
});

t.test("agent refuses a wrong command line or file", async (t) => {
  t.same(await run(["agent", "-nod", "x"]), {
    code: 1,
    out: "",
    err: "waypost: flag provided but not defined: -nod (did you mean -node?)\n",
  });
  t.same(await run(["agent", "-node", "x"]), {
    code: 1,
    out: "",
    err: "waypost: data_dir cannot be empty\n",
  });
  t.match(await run(["agent", "-dev", "-log-file", "/nowhere/x.log"]), {
    code: 1,
    err: "waypost: log_file: ",
  });
  t.match(await run(["agent", "-dev", "-pid-file", "/nowhere/x.pid"]), {
    code: 1,
    err: "waypost: pid_file: ",
  });
});

t.test(
  "agent hands over configuration, log and reload, and keeps the pid file meanwhile",
  async (t) => {
    const path = directory(t, { "a.json": { data_dir: "/d", log_level: "warn", server: true } });
    const pidFile = join(path, "pid");
    let started: AgentStart | undefined;
    const result = await run(
      ["agent", "-config-dir", path, "-pid-file", pidFile, "-bind", "127.0.0.1", "-join", "a"],
      {
        async runAgent(start) {
          started = start;
          t.equal(readFileSync(pidFile, "utf8"), "4711");
          start.log("info", "not shown");
          start.setLogLevel("info");
          start.log("info", "shown");
          writeFileSync(
            join(path, "a.json"),
            JSON.stringify({ data_dir: "/d", node_name: "other" }),
          );
          t.match(await start.reload(), { ok: true, value: { config: { node_name: "other" } } });
          writeFileSync(join(path, "a.json"), JSON.stringify({ data_dri: "/d" }));
          t.match(await start.reload(), {
            ok: false,
            error: [`${path}/a.json: invalid config key data_dri (did you mean data_dir?)`],
          });
          return 7;
        },
      },
    );
    t.equal(started?.loaded.config.data_dir, "/d");
    t.equal(result.code, 7);
    t.equal(
      result.err,
      "1970-01-01T00:00:00.000Z [WARN]  -join: join has no effect: this version runs one server on its own\n" +
        "1970-01-01T00:00:00.000Z [INFO]  shown\n",
    );
    t.notOk(existsSync(pidFile), "removed at the end");
  },
);

t.test("the log goes to a file too", async (t) => {
  const path = directory(t, {});
  const result = await run(["agent", "-dev", "-log-file", join(path, "w.log")], {
    runAgent({ log }) {
      log("info", "hello");
      return Promise.resolve(0);
    },
  });
  t.match(result.err, "[INFO]  hello\n");
  t.equal(readFileSync(join(path, "w.log"), "utf8"), result.err);
});
