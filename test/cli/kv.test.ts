import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli, type Ended, type RunOptions } from "./run.ts";

const wrote = (key: string) => `Success! Data written to: ${key}\n`;
const fine = (out: string): Ended => ({ code: 0, out, err: "" });
const failed = (err: string): Ended => ({ code: 1, out: "", err: `${err}\n` });

t.test("kv", async (t) => {
  const program = await startProgram(t);
  const directory = temporaryDirectory(t);
  const kv = (args: string[], options?: RunOptions) =>
    runCli(program.httpPort, ["kv", ...args], options);
  const stored = async (key: string) => {
    const { text } = await program.http("GET", `/v1/kv/${key}`);
    const [entry] = JSON.parse(text) as { Value: string | null }[];
    return Buffer.from(entry?.Value ?? "", "base64").toString("latin1");
  };
  const indexOf = async (key: string) => {
    const { text } = await program.http("GET", `/v1/kv/${key}`);
    return (JSON.parse(text) as { ModifyIndex: number }[])[0]!.ModifyIndex;
  };

  await t.test("put: where the value comes from", async (t) => {
    t.same(await kv(["put", "a", "1"]), fine(wrote("a")));
    t.same(await kv(["put", "empty"]), fine(wrote("empty")));
    t.same(await kv(["put", "dash", "-x"]), fine(wrote("dash")), "a dash is the start of a value");
    t.same(await stored("dash"), "-x");
    const octets = Uint8Array.from({ length: 256 }, (_, i) => i);
    const path = join(directory, "octets");
    writeFileSync(path, octets);
    t.same(await kv(["put", "file", `@${path}`]), fine(wrote("file")));
    t.same(await stored("file"), Buffer.from(octets).toString("latin1"));
    const long = Buffer.alloc(500_000, octets);
    t.same(await kv(["put", "input", "-"], { input: long }), fine(wrote("input")));
    t.equal(await stored("input"), long.toString("latin1"));
    t.same(await kv(["put", "-base64", "b64", "AP8="]), fine(wrote("b64")));
    t.same(await stored("b64"), "\u0000\u00ff");
    t.same(
      await kv(["put", "-base64", "b64", "A*8="]),
      failed("Error! Cannot base 64 decode data: illegal base64 data at input byte 1"),
    );
    t.same(
      await kv(["put", "x", `@${path}x`]),
      failed(`Error! Failed to read file: open ${path}x: no such file or directory`),
    );
    t.match(await kv(["put", "long", "-"], { input: Buffer.alloc(600_000) }), {
      code: 1,
      out: "",
      err: /^Error! Failed writing data: Unexpected response code: 413 \(Request body\(600000 bytes\) too large/,
    });
    t.same(await kv(["put", "key with/ü ?#%", "1"]), fine(wrote("key with/ü ?#%")));
    t.same(await kv(["get", "key with/ü ?#%"]), fine("1\n"));
  });

  await t.test("put: conditions and locks", async (t) => {
    t.same(await kv(["put", "-flags=18446744073709551615", "f", "1"]), fine(wrote("f")));
    t.match((await program.http("GET", "/v1/kv/f")).text, /"Flags":18446744073709551615,/);
    t.match(await kv(["put", "-flags=18446744073709551616", "f"]), {
      code: 1,
      err: /^invalid value "18446744073709551616" for flag -flags: /,
    });
    const cas = (index: number | string) => ["put", "-cas", `-modify-index=${index}`, "c", "1"];
    t.same(await kv(cas(0)), fine(wrote("c")));
    t.same(
      await kv(cas(0)),
      failed("Error! Did not write to c: CAS performed with index=0 and key already exists."),
    );
    t.same(await kv(cas(1)), failed("Error! Did not write to c: CAS failed"));
    t.same(await kv(cas(await indexOf("c"))), fine(wrote("c")));
    t.same(await kv(["put", "-cas", "c"]), failed("Must specify -modify-index with -cas!"));
    t.same(
      await kv(["put", "-modify-index=1", "c"]),
      failed("Cannot specify -modify-index without -cas!"),
    );
    const { text } = await program.http("PUT", "/v1/session/create", {});
    const { ID: id } = JSON.parse(text) as { ID: string };
    const lock = (verb: string, session = id) => ["put", `-${verb}`, `-session=${session}`, "l"];
    t.same(await kv(lock("release")), failed("Error! Did not release lock"));
    t.same(await kv(lock("acquire")), fine("Success! Lock acquired on: l\n"));
    t.match(await kv(["get", "-detailed", "l"]), { out: new RegExp(`^Session +${id}$`, "m") });
    t.same(await kv(lock("release")), fine("Success! Lock released on: l\n"));
    t.match(await kv(lock("acquire", "a5f7b7d7-0000-4000-8000-000000000000")), {
      code: 1,
      err: /^Error! Failed writing data: Unexpected response code: 500 \(.*invalid session/,
    });
    t.same(
      await kv(["put", "-acquire", "l"]),
      failed("Error! Missing -session (required with -acquire and -release)"),
    );
    t.same(
      await kv(["put", "-acquire", "-release", `-session=${id}`, "l"]),
      failed("Cannot specify both -acquire and -release!"),
    );
    t.same(await kv(["put", `-session=${id}`, "l"]), {
      ...fine(wrote("l")),
      err: "warning: -session has no effect without -acquire or -release\n",
    });
  });

  await t.test("put: arguments", async (t) => {
    t.same(await kv(["put"]), failed("Error! Missing KEY argument"));
    t.same(
      await kv(["put", "a", "b", "c"]),
      failed("Error! Too many arguments (expected 1 or 2, got 3)"),
    );
    t.same(
      await kv(["put", "/a", "1"]),
      failed("Error! Failed writing data: Invalid key. Key must not begin with a '/': /a"),
    );
    t.match(await kv(["put", "-wrong", "a"]), {
      code: 1,
      out: "",
      err: /^flag provided but not defined: -wrong[^]*Usage: waypost kv put /,
    });
  });

  await t.test("get", async (t) => {
    await program.http("DELETE", "/v1/kv/?recurse");
    for (const [key, value] of [
      ["t", "top"],
      ["t/a/1", "one"],
      ["t/a/2", "\u00ff"],
      ["t/b", ""],
    ] as const)
      await program.http("PUT", `/v1/kv/${key}${key === "t/b" ? "?flags=7" : ""}`, value);
    const details = async (key: string, flags = 0) => {
      const index = await indexOf(key);
      return (
        `CreateIndex      ${index}\nFlags            ${flags}\nKey              ${key}\n` +
        `LockIndex        0\nModifyIndex      ${index}\nSession          -\n`
      );
    };
    t.same(await kv(["get", "t"]), fine("top\n"));
    t.same(await kv(["get", "/t"]), fine("top\n"), "a slash in front is taken off");
    t.same(await kv(["get", "-base64", "t"]), fine("dG9w\n"));
    t.same(await kv(["get", "t/b"]), fine("\n"));
    t.same(
      await kv(["get", "-detailed", "t/b"]),
      fine(`${await details("t/b", 7)}Value            \n`),
    );
    t.same(await kv(["get", "-recurse", "t/a"]), fine("t/a/1:one\nt/a/2:ÿ\n"));
    t.same(await kv(["get", "-recurse", "-base64", "t/a"]), fine("t/a/1:b25l\nt/a/2:w78=\n"));
    t.same(
      await kv(["get", "-recurse", "-detailed", "t/a"]),
      fine(
        `${await details("t/a/1")}Value            one\n\n${await details("t/a/2")}Value            ÿ\n`,
      ),
    );
    t.same(await kv(["get", "-keys"]), fine("t\nt/\n"));
    t.same(await kv(["get", "-keys", "t/"]), fine("t/a/\nt/b\n"));
    t.same(await kv(["get", "-keys", "-separator=", "t/"]), fine("t/a/1\nt/a/2\nt/b\n"));
    t.same(await kv(["get", "-keys", "-recurse", "t/a"]), fine("t/a/1\nt/a/2\n"));
    t.same(await kv(["get", "-recurse", "none"]), fine(""));
    t.same(await kv(["get", "-keys", "none"]), fine(""));
    t.same(await kv(["get", "-stale", "t"]), fine("top\n"));
    t.same(await kv(["get", "none"]), failed("Error! No key exists at: none"));
    t.same(await kv(["get"]), failed("Error! Missing KEY argument"));
    t.same(await kv(["get", "/"]), failed("Error! Missing KEY argument"));
    t.same(await kv(["get", "a", "b"]), failed("Too many arguments (expected 1, got 2)"));
  });

  await t.test("delete", async (t) => {
    for (const key of ["d", "d1", "d/x", "e"]) await program.http("PUT", `/v1/kv/${key}`, "1");
    const remove = (...args: string[]) => kv(["delete", ...args]);
    t.same(await remove("e"), fine("Success! Deleted key: e\n"));
    t.same(await remove("e"), fine("Success! Deleted key: e\n"), "a key that is not there");
    t.same(
      await remove("-cas", "-modify-index=1", "d"),
      failed("Error! Did not delete key d: CAS failed"),
    );
    const index = await indexOf("d");
    t.same(await remove("-cas", `-modify-index=${index}`, "/d"), fine("Success! Deleted key: d\n"));
    t.same(await remove("-recurse", "d"), fine("Success! Deleted keys with prefix: d\n"));
    t.equal((await program.http("GET", "/v1/kv/d?recurse")).status, 404);
    t.same(await remove(), failed("Error! Missing KEY argument"));
    t.same(await remove("-cas", "d"), failed("Must specify -modify-index with -cas!"));
    t.same(
      await remove("-cas", "-modify-index=0", "d"),
      failed("Cannot delete a key that does not exist. Provide a -modify-index greater than 0."),
    );
    t.same(
      await remove("-modify-index=3", "d"),
      failed("Cannot specify -modify-index without -cas!"),
    );
    t.same(
      await remove("-recurse", "-cas", "-modify-index=3", "d"),
      failed("Cannot specify both -cas and -recurse!"),
    );
  });

  await t.test("export and import", async (t) => {
    await program.http("DELETE", "/v1/kv/?recurse");
    t.same(await kv(["export"]), fine("[]\n"));
    await program.http("PUT", "/v1/kv/x/<&>?flags=18446744073709551615", "\u0000\u0001");
    await program.http("PUT", "/v1/kv/x/empty", "");
    const text =
      '[\n\t{\n\t\t"key": "x/\\u003c\\u0026\\u003e",\n\t\t"flags": 18446744073709551615,\n' +
      '\t\t"value": "AAE="\n\t},\n\t{\n\t\t"key": "x/empty",\n\t\t"flags": 0,\n\t\t"value": ""\n\t}\n]\n';
    t.same(await kv(["export", "/x"]), fine(text));
    await program.http("DELETE", "/v1/kv/?recurse");
    t.same(
      await kv(["import", "-"], { input: text }),
      fine("Imported: x/<&>\nImported: x/empty\n"),
    );
    t.same(await kv(["export"]), fine(text), "nothing is lost on the way");
    t.same(
      await kv(["import", "-prefix=p/", text]),
      fine("Imported: p/x/<&>\nImported: p/x/empty\n"),
    );
    t.match(await kv(["export", "p/"]), { out: text.replaceAll("x/", "p/x/") });
    const path = join(directory, "many.json");
    const many = Array.from({ length: 1000 }, (_, i) => ({
      key: `m/${String(i).padStart(4, "0")}`,
      flags: i,
      value: Buffer.alloc(i === 500 ? 500_000 : 1000, String(i)).toString("base64"),
    }));
    writeFileSync(path, JSON.stringify(many));
    t.same(
      await kv(["import", `@${path}`]),
      fine(many.map(({ key }) => `Imported: ${key}\n`).join("")),
    );
    t.same(JSON.parse((await kv(["export", "m/"])).out), many);
  });

  await t.test("import: the first key that is refused ends it", async (t) => {
    const entry = (key: string, value = "AAE=") => ({ key, flags: 0, value });
    const given = (...entries: unknown[]) => kv(["import", JSON.stringify(entries)]);
    t.same(await given(entry("i/1"), entry("i/2"), entry("/i"), entry("i/3")), {
      code: 1,
      out: "Imported: i/1\nImported: i/2\n",
      err: "Error! Failed writing data for key /i: Invalid key. Key must not begin with a '/': /i\n",
    });
    t.equal((await program.http("GET", "/v1/kv/i/3")).status, 404);
    t.same(await given(entry("i/1"), entry("i/4", "A")), {
      code: 1,
      out: "Imported: i/1\n",
      err: "Error base 64 decoding value for key i/4: illegal base64 data at input byte 0\n",
    });
    t.same(await given(entry("i/1"), entry(""), entry("i/3")), {
      code: 1,
      out: "Imported: i/1\n",
      err: "Error! Failed writing data for key : Unexpected response code: 400 (Missing key name)\n",
    });
    t.match(await kv(["import", "nothing"]), { code: 1, out: "", err: /^Cannot unmarshal data: / });
    t.match(await kv(["import", '[{"key":1}]']), {
      code: 1,
      err: /^Cannot unmarshal data: json: /,
    });
    for (const flags of ["-1", "1.5", "18446744073709551616"])
      t.match(await kv(["import", `[{"key":"n","flags":${flags}}]`]), {
        code: 1,
        err: /^Cannot unmarshal data: json: cannot unmarshal .* of type uint64/,
      });
    t.same(await kv(["import"]), failed("Error! Missing DATA argument"));
    t.same(await kv(["import", ""]), failed("Error! Empty DATA argument"));
    t.same(
      await kv(["import", "[]", "[]"]),
      failed("Error! Too many arguments (expected 1, got 2)"),
    );
  });
});

t.test("an agent that is away", async (t) => {
  const refused = /: dial tcp 127\.0\.0\.1:1: connect: connection refused\n$/;
  for (const [args, start] of [
    [["get", "a"], /^Error querying Consul agent: Get "http:\/\/127\.0\.0\.1:1\/v1\/kv\/a"/],
    [["put", "a"], /^Error! Failed writing data: Put "/],
    [["put", "-cas", "-modify-index=1", "a"], /^Error! Did not write to a: Put "/],
    [["delete", "a"], /^Error deleting key a: Delete "/],
    [["delete", "-recurse", "a"], /^Error! Did not delete prefix a: Delete "/],
    [["export"], /^Error querying Consul agent: Get "/],
    [["import", '[{"key":"a"},{"key":"b"}]'], /^Error! Failed writing data for key a: Put "/],
  ] as const) {
    const ended = await runCli(1, ["kv", ...args]);
    t.match(ended, { code: 1, out: "", err: start });
    t.match(ended.err, refused);
  }
});

t.test("rights", async (t) => {
  const program = await startProgram(t, {
    acl: { enabled: true, default_policy: "deny", tokens: { master: "root" } },
  });
  const kv = (token: string, ...args: string[]) =>
    runCli(program.httpPort, ["kv", ...args], { env: { CONSUL_HTTP_TOKEN: token } });
  const root = { "X-Consul-Token": "root" };
  const acl = async (path: string, body: unknown) => {
    const url = `http://127.0.0.1:${program.httpPort}/v1/acl/${path}`;
    await fetch(url, { method: "PUT", headers: root, body: JSON.stringify(body) });
  };
  await acl("policy", { Name: "p", Rules: 'key_prefix "a" { policy = "write" }' });
  await acl("token", {
    SecretID: "7b1e2d5c-1111-4222-8333-444455556666",
    Policies: [{ Name: "p" }],
  });
  const own = "7b1e2d5c-1111-4222-8333-444455556666";
  t.same(await kv(own, "put", "a1", "1"), fine(wrote("a1")));
  t.same(
    await kv(own, "put", "b", "1"),
    failed("Error! Failed writing data: Unexpected response code: 403 (Permission denied)"),
  );
  t.same(
    await kv(own, "get", "b"),
    failed("Error querying Consul agent: Unexpected response code: 403 (Permission denied)"),
  );
  t.same(
    await kv(own, "import", '[{"key":"a1"},{"key":"a2"},{"key":"b"},{"key":"a3"}]'),
    {
      code: 1,
      out: "Imported: a1\nImported: a2\n",
      err: "Error! Failed writing data for key b: Unexpected response code: 403 (Permission denied)\n",
    },
    "a transaction that is refused is done key by key",
  );
  t.same(await kv("root", "get", "-keys"), fine("a1\na2\n"));
});

t.test("a page of somebody else is no success", async (t) => {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.end("<html>"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const list = (...keys: string[]) => JSON.stringify(keys.map((key) => ({ key, value: "YQ==" })));
  const foreign = "the answer is not that of an agent\n";
  for (const [args, err] of [
    [["put", "a", "1"], `Error! Failed writing data: ${foreign}`],
    [["import", list("a")], `Error! Failed writing data for key a: ${foreign}`],
    [["import", list("a", "b")], `Error! Failed writing data for key a: ${foreign}`],
  ] as const)
    t.same(await runCli(port, ["kv", ...args]), { code: 1, out: "", err }, args.join(" "));
});
