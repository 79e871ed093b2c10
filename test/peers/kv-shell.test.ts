// Idioms of shell scripts, run by bash with real pipes: `set -euo pipefail` and nothing forgiven.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("bash") ? false : "bash is not installed";
const run = promisify(execFile);
const LIMIT_MS = 180_000;

t.test("scripts with consul in a pipe", { skip }, async (t) => {
  const [program, other] = [await startProgram(t), await startProgram(t)];
  const directory = temporaryDirectory(t);
  symlinkSync(waypostPath, join(directory, "consul"));
  /** Standard output of a script; one that fails rejects with its standard error. */
  const bash = async (script: string): Promise<string> => {
    const env = {
      ...process.env,
      PATH: `${directory}:${process.env["PATH"]}`,
      CONSUL_HTTP_ADDR: `127.0.0.1:${program.httpPort}`,
      OTHER: `127.0.0.1:${other.httpPort}`,
    };
    const args = ["-euo", "pipefail", "-c", script];
    const { stdout, stderr } = await run("bash", args, { cwd: directory, env, timeout: LIMIT_MS });
    t.equal(stderr, "", "nothing on standard error");
    return stdout;
  };

  await t.test("values of every octet", async (t) => {
    const octets = Buffer.alloc(
      300_000,
      Uint8Array.from({ length: 256 }, (_, i) => i),
    );
    writeFileSync(join(directory, "octets"), octets);
    const sum = createHash("sha256").update(octets).digest("hex");
    await bash("consul kv put x @octets >/dev/null; consul kv get x >got");
    const got = readFileSync(join(directory, "got"));
    t.ok(got.equals(Buffer.concat([octets, Buffer.from("\n")])), "the value and a line's end");
    await bash("cat octets | consul kv put y - >/dev/null; consul kv put z - <octets >/dev/null");
    for (const key of ["x", "y", "z"])
      t.equal(
        await bash(`consul kv get -base64 ${key} | base64 -d | sha256sum | cut -c1-64`),
        `${sum}\n`,
      );
  });

  await t.test("words of scripts", async (t) => {
    t.equal(await bash('consul kv put a 1 >/dev/null; v=$(consul kv get a); echo "[$v]"'), "[1]\n");
    t.equal(
      await bash("printf 'l1\\nl2' | consul kv put b - && consul kv get b"),
      "Success! Data written to: b\nl1\nl2\n",
    );
    t.equal(await bash('consul kv get none 2>/dev/null || echo "code $?"'), "code 1\n");
    t.equal(
      await bash("if consul kv get none >/dev/null 2>&1; then echo yes; else echo no; fi"),
      "no\n",
    );
    t.equal(
      await bash(`consul kv get none 2>&1 >/dev/null | sed 's/^/said: /' || true`),
      "said: Error! No key exists at: none\n",
    );
    t.equal(
      await bash(`consul kv delete -recurse "" >/dev/null
        for k in a b c; do consul kv put "list/$k" "v$k"; done >/dev/null
        consul kv get -keys list/ | while read -r k; do echo "$k=$(consul kv get "$k" </dev/null)"; done`),
      "list/a=va\nlist/b=vb\nlist/c=vc\n",
    );
    t.equal(
      await bash(`i=$(consul kv get -detailed list/a | awk '/^ModifyIndex/{print $2}')
        consul kv put -cas -modify-index="$i" list/a new; consul kv get list/a`),
      "Success! Data written to: list/a\nnew\n",
    );
    t.equal(await bash("consul catalog services | xargs -n1 echo found"), "found consul\n");
    t.equal(await bash("consul catalog nodes | awk 'NR > 1 {print $1, $3}'"), "n1 127.0.0.1\n");
    t.equal(await bash("consul no-such-command 2>/dev/null || echo $?"), "127\n");
  });

  await t.test("many keys, and readers that go away", async (t) => {
    const many = Array.from({ length: 20_000 }, (_, i) => ({
      key: `many/${String(i).padStart(5, "0")}`,
      flags: i,
      value: Buffer.from(`value ${i}`).toString("base64"),
    }));
    writeFileSync(join(directory, "many.json"), JSON.stringify(many));
    t.equal(await bash("consul kv import @many.json | wc -l"), "20000\n");
    t.equal(await bash("consul kv get -recurse many/ | head -1"), "many/00000:value 0\n");
    t.equal(await bash("consul kv get -keys many/ | head -n 1"), "many/00000\n");
    t.equal(await bash("consul kv export many/ | head -c 1"), "[");
    t.equal(
      await bash("consul kv export many/ | consul kv import -http-addr=$OTHER - | tail -1"),
      "Imported: many/19999\n",
    );
    t.equal(
      await bash("cmp <(consul kv export many/) <(consul kv export -http-addr=$OTHER many/)"),
      "",
      "the same on both sides",
    );
    t.equal(
      await bash(
        "consul snapshot save s.snap >/dev/null; consul snapshot restore -http-addr=$OTHER s.snap",
      ),
      "Restored snapshot\n",
    );
    t.equal(await bash("cmp <(consul kv export) <(consul kv export -http-addr=$OTHER)"), "");
    t.equal(
      await bash("consul snapshot inspect s.snap | awk '$1 == \"KVS\" {print $2}'"),
      "20003\n",
    );
  });
});
