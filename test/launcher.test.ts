// bin/waypost and bin/ensure-installed.mjs, run as a user would.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync } from "node:fs";
import { readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import t from "tap";
import { consulVersion, version } from "../src/version.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const launcher = resolve("bin/waypost");

function run(program: string, args: string[], over: { cwd?: string; path?: string } = {}) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: over.cwd ?? tmpdir(),
    encoding: "utf8",
    env: { ...process.env, PATH: over.path ?? process.env["PATH"] },
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

const ours = { status: 0, stdout: `waypost v${version}\n`, stderr: "" };
const consuls = {
  status: 0,
  stdout: `Consul v${consulVersion}\nwaypost v${version}\nProtocol 2 spoken by default, understands 2 to 3\n`,
  stderr: "",
};

t.test("runs from anywhere, through symlinks and as consul", async (t) => {
  const path = temporaryDirectory(t);
  mkdirSync(join(path, "a/b"), { recursive: true });
  symlinkSync(launcher, join(path, "direct"));
  symlinkSync("../../direct", join(path, "a/b/consul"));
  symlinkSync(resolve("bin"), join(path, "folder"));
  symlinkSync(resolve("."), join(path, "project"));
  t.same(run(launcher, ["version"]), ours);
  t.same(run("bin/waypost", ["version"], { cwd: process.cwd() }), ours);
  t.same(run("./waypost", ["version"], { cwd: resolve("bin") }), ours);
  t.same(run(join(path, "direct"), ["version"]), ours);
  t.same(run(join(path, "a/b/consul"), ["version"]), consuls);
  t.same(run("./b/consul", ["version"], { cwd: join(path, "a") }), consuls);
  t.same(run(join(path, "folder/waypost"), ["version"]), ours);
  t.same(run(join(path, "project/bin/waypost"), ["version"]), ours);
  t.same(
    run("consul", ["version"], { path: `${join(path, "a/b")}:${process.env["PATH"]}` }),
    consuls,
  );
  t.same(run("sh", [launcher, "version"]), ours);
});

t.test("passes arguments and exit codes on", async (t) => {
  const path = temporaryDirectory(t);
  writeFileSync(
    join(path, "a b.json"),
    '{"data_dir": "/d", "bind_addr": "127.0.0.1", "server": true}',
  );
  t.same(run(launcher, ["validate", "a b.json"], { cwd: path }), {
    status: 0,
    stdout: "Configuration is valid!\n",
    stderr: "",
  });
  t.match(run(launcher, ["no such", "-x"]), { status: 127, stderr: 'unknown command "no such"' });
});

t.test("files in the working directory do not reach into the program", async (t) => {
  const path = temporaryDirectory(t);
  writeFileSync(join(path, ".env"), "WAYPOST_NAME=consul\n");
  writeFileSync(join(path, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(path, "evil.ts"), 'console.log("evil");\n');
  t.same(run(launcher, ["version"], { cwd: path }), ours);
});

t.test("without node_modules it says what to do", async (t) => {
  const path = temporaryDirectory(t);
  cpSync("bin", join(path, "bin"), { recursive: true });
  t.same(run(join(path, "bin/waypost"), ["version"]), {
    status: 1,
    stdout: "",
    stderr: `waypost: the Bun runtime is not installed; run \`npm ci\` in ${path}\n`,
  });
});

t.test("bin/ensure-installed.mjs installs what is missing or outdated, once", async (t) => {
  const path = temporaryDirectory(t);
  cpSync("bin", join(path, "bin"), { recursive: true });
  // npm itself is replaced by a script that notes its arguments: tests do not use the network.
  mkdirSync(join(path, "tools"));
  writeFileSync(join(path, "tools/npm"), `#!/bin/sh\necho "$@" >> "${path}/calls"\n`);
  chmodSync(join(path, "tools/npm"), 0o755);
  writeFileSync(join(path, "package-lock.json"), "{}");
  const calls = (args: string[]) => {
    writeFileSync(join(path, "calls"), "");
    const tools = `${join(path, "tools")}:${process.env["PATH"]}`;
    const result = run(process.execPath, [join(path, "bin/ensure-installed.mjs"), ...args], {
      path: tools,
    });
    t.match(result, { status: 0, stderr: "" });
    return readFileSync(join(path, "calls"), "utf8").trim();
  };
  const installed = join(path, "node_modules/.package-lock.json");
  t.equal(calls([]), "ci --no-audit --no-fund --omit=dev", "nothing is there");
  mkdirSync(join(path, "node_modules/bun"), { recursive: true });
  writeFileSync(join(path, "node_modules/bun/package.json"), "{}");
  writeFileSync(installed, "{}");
  t.equal(calls([]), "", "all is there");
  utimesSync(installed, new Date(0), new Date(0));
  t.equal(calls([]), "ci --no-audit --no-fund --omit=dev", "the lock file is newer");
  writeFileSync(installed, "{}");
  // tap's own build is replaced in the same way.
  const tap = join(path, "node_modules/tap");
  mkdirSync(join(path, "node_modules/@tapjs/test"), { recursive: true });
  writeFileSync(join(path, ".taprc"), "");
  const build = `import { appendFileSync, mkdirSync } from "node:fs";
    appendFileSync(${JSON.stringify(join(path, "calls"))}, "tap " + process.argv.slice(2));
    mkdirSync(${JSON.stringify(join(path, "node_modules/@tapjs/test/test-built"))});`;
  mkdirSync(join(tap, "dist/esm"), { recursive: true });
  writeFileSync(join(tap, "dist/esm/run.mjs"), build);
  t.equal(calls(["--dev"]), "ci --no-audit --no-fund\ntap build", "what tests need is missing");
  writeFileSync(join(tap, "package.json"), "{}");
  t.equal(calls(["--dev"]), "", "nothing to do");
});
