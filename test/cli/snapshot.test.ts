import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync, gunzipSync } from "node:zlib";
import t from "tap";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

t.test("save, inspect, restore", async (t) => {
  const program = await startProgram(t);
  const directory = temporaryDirectory(t);
  const snapshot = (...args: string[]) =>
    runCli(program.httpPort, ["snapshot", ...args], { cwd: directory });
  const path = (name: string) => join(directory, name);
  const http = (...args: Parameters<typeof program.http>) => program.http(...args);
  for (const [key, value] of [
    ["config/a/x", "1"],
    ["config/a/y", "22"],
    ["config/b", "3"],
    ["other", "4".repeat(5000)],
  ] as const)
    await http("PUT", `/v1/kv/${key}`, value);
  await http("PUT", "/v1/session/create", {});
  await http("PUT", "/v1/catalog/register", {
    Node: "outside",
    Address: "192.0.2.7",
    Service: { Service: "db" },
  });

  await t.test("save", async (t) => {
    const saved = await snapshot("save", "b.snap");
    t.match(saved, { code: 0, err: "", out: /^Saved and verified snapshot to index \d+\n$/ });
    t.same(readdirSync(directory), ["b.snap"], "nothing is left beside it");
    t.equal(statSync(path("b.snap")).mode & 0o777, 0o600);
    t.equal(saved.out, `Saved and verified snapshot to index ${headOf(path("b.snap")).index}\n`);
    t.match(await snapshot("save", "-append-filename=dc,node,version", "-stale", "c.d.snap"), {
      code: 0,
    });
    t.ok(existsSync(path("c.d-1.10.12-dc1-n1.snap")));
    t.same(await snapshot("save"), { code: 1, out: "", err: "Missing FILE argument\n" });
    t.match(await snapshot("save", "a", "b"), { err: "Too many arguments (expected 1, got 2)\n" });
    t.same(await snapshot("save", "-append-filename=day", "x.snap"), {
      code: 1,
      out: "",
      err: '-append-filename: expected version, dc, node or status, got "day"\n',
    });
    t.match(await snapshot("save", "none/x.snap"), {
      code: 1,
      out: "",
      err: /^Error writing unverified snapshot file: open none\/x\.snap\.unverified: no such file/,
    });
  });

  await t.test("inspect: what the file itself says", async (t) => {
    const { head, rows } = contentOf(path("b.snap"));
    const shown = await runCli(undefined, ["snapshot", "inspect", path("b.snap")], {
      env: { CONSUL_HTTP_ADDR: "127.0.0.1:1" },
    });
    t.match(shown, { code: 0, err: "" });
    const value = (name: string) => new RegExp(`^ ${name} +(.*)$`, "m").exec(shown.out)?.[1];
    t.equal(value("ID"), `${head.term}-${head.index}-${head.savedMs}`);
    t.equal(value("Index"), String(head.index));
    t.equal(value("Term"), String(head.term));
    t.equal(value("Version"), "1");
    t.match(shown.out, /^ ID           /, "columns as in Consul");
    const kvOctets = rows
      .filter(([kind]) => kind === "kv")
      .reduce((sum, row) => sum + Buffer.byteLength(JSON.stringify(row)), 0);
    t.match(value("KVS"), new RegExp(`^4 +${(kvOctets / 1024).toFixed(1)}KB$`));
    t.match(value("Session"), /^1 +\d+B$/);
    t.notMatch(shown.out, /Key Name/);

    const json = await snapshot("inspect", "-format=json", "-kvdetails", "b.snap");
    const { Meta, Stats, StatsKV, TotalSize, TotalSizeKV } = JSON.parse(json.out) as Shown;
    t.match(json.out, /^\{\n   "Meta": \{\n      "ID": "/);
    t.same(
      [Meta.Index, Meta.Size],
      [head.index, gunzipped(path("b.snap")).length - headLineOf(path("b.snap")).length - 1],
    );
    t.equal(
      TotalSize,
      Stats.reduce((sum, { Sum }) => sum + Sum, 0),
    );
    t.equal(TotalSizeKV, kvOctets);
    t.same(
      StatsKV?.map(({ Name, Count }) => [Name, Count]),
      [
        ["other", 1],
        ["config/a", 2],
        ["config/b", 1],
      ],
      "the largest first",
    );
    const options = ["-kvdetails", "-kvdepth=1", "-kvfilter=config"];
    const detailed = await snapshot("inspect", ...options, "b.snap");
    t.match(
      detailed.out,
      /\n\n Key Name      Count      Size\n ----          ----       ----\n config        3          \d+B\n ----          ----       ----\n Total                    \d+B\n$/,
    );
  });

  await t.test("inspect: files that are none", async (t) => {
    const whole = readFileSync(path("b.snap"));
    const damaged = Buffer.from(whole);
    damaged[100]! ^= 1;
    for (const [name, octets, problem] of [
      ["damaged.snap", damaged, "its checksum does not match, it is damaged"],
      ["cut.snap", whole.subarray(0, 200), "it is cut off or damaged at its end"],
      ["text.snap", Buffer.from("hello"), "it is not a gzip file, and no snapshot of waypost"],
      ["empty.snap", Buffer.alloc(0), "it is empty"],
      [
        "foreign.snap",
        gzipSync("hello"),
        "it is a gzip file, but no snapshot of waypost (those of Consul cannot be restored)",
      ],
    ] as const) {
      writeFileSync(path(name), octets);
      t.same(await snapshot("inspect", name), {
        code: 1,
        out: "",
        err: `Error reading snapshot: ${problem}\n`,
      });
    }
    t.same(await snapshot("inspect", "none.snap"), {
      code: 1,
      out: "",
      err: "Error opening snapshot file: open none.snap: no such file or directory\n",
    });
    t.match(await snapshot("inspect", "-format=xml", "b.snap"), { err: "Unknown format: xml\n" });
    t.match(await snapshot("inspect"), { code: 1, err: "Missing FILE argument\n" });
  });

  await t.test("restore", async (t) => {
    await http("DELETE", "/v1/kv/?recurse");
    for (const name of ["damaged.snap", "text.snap"])
      t.match(await snapshot("restore", name), {
        code: 1,
        out: "",
        err: /^Error restoring snapshot: Unexpected response code: 500 \(the snapshot is refused: /,
      });
    t.equal((await http("GET", "/v1/kv/other")).status, 404, "nothing has changed");
    t.same(await snapshot("restore", "b.snap"), { code: 0, out: "Restored snapshot\n", err: "" });
    t.equal((await http("GET", "/v1/kv/config/a/y?raw")).text, "22");
    t.same(await snapshot("restore", "none.snap"), {
      code: 1,
      out: "",
      err: "Error opening snapshot file: open none.snap: no such file or directory\n",
    });
    t.match(await snapshot("restore"), { code: 1, err: "Missing FILE argument\n" });
  });
});

t.test("a download that breaks off, or is not whole, leaves the old file", async (t) => {
  const directory = temporaryDirectory(t);
  let cut = false;
  const server = createServer((_, response) => {
    response.setHeader("X-Consul-Index", "5");
    response.write("hello");
    if (cut) setImmediate(() => response.destroy());
    else response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  writeFileSync(join(directory, "b.snap"), "old");
  const save = () => runCli(port, ["snapshot", "save", "b.snap"], { cwd: directory });
  t.match(await save(), {
    code: 1,
    out: "",
    err: /^Error verifying snapshot file: it is not a gz/,
  });
  cut = true;
  t.match(await save(), { code: 1, out: "", err: /^Error (writing|saving|verifying)/ });
  t.same(readdirSync(directory), ["b.snap"]);
  t.equal(readFileSync(join(directory, "b.snap"), "utf8"), "old");
});

t.test("a signal leaves nothing behind", async (t) => {
  const directory = temporaryDirectory(t);
  const server = createServer((_, response) => response.write("hello")); // and never more
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  t.teardown(() => server.closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const args = ["snapshot", "save", `-http-addr=127.0.0.1:${port}`, "b.snap"];
  const child = spawn(waypostPath, args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  const unverified = join(directory, "b.snap.unverified");
  const untilMs = Date.now() + 20_000;
  while (!existsSync(unverified) && Date.now() < untilMs) await sleep(10);
  child.kill("SIGINT");
  await once(child, "close");
  t.equal(child.exitCode, 130);
  t.same(readdirSync(directory), []);
});

t.test("an agent that is away, and rights", async (t) => {
  const directory = temporaryDirectory(t);
  const run = (port: number, ...args: string[]) =>
    runCli(port, ["snapshot", ...args], { cwd: directory });
  t.match(await run(1, "save", "x"), { code: 1, err: /^Error saving snapshot: Get ".*refused\n$/ });
  writeFileSync(join(directory, "y"), "y");
  t.match(await run(1, "restore", "y"), {
    code: 1,
    err: /^Error restoring snapshot: Put ".*refused/,
  });
  const program = await startProgram(t, { acl: { enabled: true, default_policy: "deny" } });
  t.match(await run(program.httpPort, "save", "x"), {
    code: 1,
    out: "",
    err: /^Error saving snapshot: Unexpected response code: 403 \(Permission denied/,
  });
  t.same(readdirSync(directory), ["y"]);
});

type Head = { index: number; term: number; savedMs: number };
type Stats = { Name: string; Count: number; Sum: number }[];
type Shown = {
  Meta: { Index: number; Size: number };
  Stats: Stats;
  StatsKV: Stats | null;
  TotalSize: number;
  TotalSizeKV: number;
};

/** A slow, plain reader of the file: gzip members, a line of JSON, frames of 8 octets and JSON. */
function gunzipped(path: string): Buffer {
  const octets = readFileSync(path);
  const hash = createHash("sha256").update(octets.subarray(0, -58)).digest();
  if (!octets.subarray(-58).includes(hash)) throw new Error("the hash is not that of the file");
  return gunzipSync(octets);
}

function headLineOf(path: string): Buffer {
  const data = gunzipped(path);
  return data.subarray(0, data.indexOf(10));
}

const headOf = (path: string) => JSON.parse(headLineOf(path).toString()) as Head;

function contentOf(path: string): { head: Head; rows: unknown[][] } {
  const image = gunzipped(path).subarray(headLineOf(path).length + 1 + "WPSTATE1".length);
  const rows: unknown[][] = [];
  for (let at = 0; at < image.length;) {
    const length = image.readUInt32LE(at);
    rows.push(...(JSON.parse(image.subarray(at + 8, at + 8 + length).toString()) as unknown[][]));
    at += 8 + length;
  }
  return { head: headOf(path), rows };
}
