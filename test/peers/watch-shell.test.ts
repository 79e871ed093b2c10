// A configuration file that a shell script keeps up to date with `watch`, as it is done on thousands of hosts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const script = `#!/bin/sh
# Writes the value of the key to a file; an absent key removes it.
json=$(cat)
if [ "$json" = null ]; then rm -f value; else
  printf %s "$json" | sed 's/.*"Value":"\\([^"]*\\)".*/\\1/' | base64 -d > value.new && mv value.new value
fi
echo "$CONSUL_INDEX $(cat value 2>/dev/null)" >> history
`;

t.test("a handler in shell follows a key", async (t) => {
  const program = await startProgram(t);
  const directory = temporaryDirectory(t);
  symlinkSync(waypostPath, join(directory, "consul"));
  const handler = join(directory, "handler");
  writeFileSync(handler, script);
  chmodSync(handler, 0o755);
  const watch = spawn(
    join(directory, "consul"),
    ["watch", "-type=key", "-key=app/config", "./handler"],
    {
      cwd: directory,
      env: { ...process.env, CONSUL_HTTP_ADDR: `127.0.0.1:${program.httpPort}` },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  t.teardown(() => watch.kill("SIGKILL"));
  const file = join(directory, "value");
  const value = () => (existsSync(file) ? readFileSync(file, "utf8") : null);
  const becomes = async (wanted: string | null) => {
    for (let tries = 0; tries < 1000 && value() !== wanted; tries++) await sleep(10);
    t.equal(value(), wanted);
  };
  const history = () => readFileSync(join(directory, "history"), "utf8").trimEnd().split("\n");
  for (let tries = 0; tries < 1000 && !existsSync(join(directory, "history")); tries++)
    await sleep(10);
  await becomes(null);
  for (let i = 1; i <= 200; i++) await program.http("PUT", "/v1/kv/app/config", `version ${i}`);
  await becomes("version 200");
  const versions = history()
    .slice(1)
    .map((line) => Number(line.split(" ").at(-1)));
  t.same(
    versions,
    [...new Set(versions)].toSorted((a, b) => a - b),
    "each at most once, in order",
  );
  await program.http("DELETE", "/v1/kv/app/config");
  await becomes(null);
  await program.http("PUT", "/v1/kv/app/config", "again");
  await becomes("again");
  const ended = once(watch, "exit");
  watch.kill("SIGTERM");
  await ended;
  t.equal(watch.exitCode, 0);
  const indexes = history().map((line) => Number(line.split(" ")[0]));
  t.same(
    indexes,
    indexes.toSorted((a, b) => a - b),
  );
});

t.test("a loop that waits for a change and reads by itself", async (t) => {
  const program = await startProgram(t);
  const directory = temporaryDirectory(t);
  symlinkSync(waypostPath, join(directory, "consul"));
  // One run of `watch` without a command per turn: it prints what is there and ends.
  const loop = spawn(
    "/bin/sh",
    [
      "-c",
      `last=; while [ "$last" != end ]; do
         now=$(./consul watch -type=key -key=k | sed -n 's/.*"Value": "\\(.*\\)",/\\1/p' | base64 -d)
         if [ "$now" != "$last" ]; then echo "$now"; last=$now; fi
       done`,
    ],
    {
      cwd: directory,
      env: { ...process.env, CONSUL_HTTP_ADDR: `127.0.0.1:${program.httpPort}` },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.teardown(() => loop.kill("SIGKILL"));
  let out = "";
  loop.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const closed = once(loop, "close");
  for (const word of ["one", "two", "end"]) {
    await program.http("PUT", "/v1/kv/k", word);
    for (let tries = 0; tries < 1000 && !out.endsWith(`${word}\n`); tries++) await sleep(10);
  }
  await closed;
  t.equal(out, "one\ntwo\nend\n");
});
