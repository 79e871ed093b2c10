/** Unix sockets as clients and other users of the machine see them. */
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { request as requestTls } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import t from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { makeCertificates, noCertificates } from "./certificates.ts";

const isRoot = process.getuid?.() === 0;
const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);

/** Status of GET /v1/status/leader over the socket with this Host. */
function ask(socketPath: string, host = "localhost"): Promise<number | string> {
  return new Promise((resolve) => {
    request({ socketPath, path: "/v1/status/leader", headers: { Host: host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .end();
  });
}

t.test("several sockets beside an address", async (t) => {
  const directory = temporaryDirectory(t);
  const [one, two] = [join(directory, "one.sock"), join(directory, "two.sock")];
  const program = await startProgram(t, {
    addresses: { http: `127.0.0.1 unix://${one} unix://${two}` },
    unix_sockets: { mode: "0660" },
  });
  for (const path of [one, two]) {
    t.equal(await ask(path), 200, path);
    t.equal(await ask(path, "evil.example"), 200, "no browser opens a socket of the file system");
    t.equal(modeOf(path), "660");
  }
  const idle = connect(one);
  await once(idle, "connect");
  t.equal(await program.end("SIGTERM"), 1);
  t.throws(() => statSync(one), "the file goes with the program");
});

t.test("without unix_sockets the umask decides", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "http.sock");
  const umask = process.umask(0o027);
  try {
    await startProgram(t, { addresses: { http: `127.0.0.1 unix://${path}` } });
  } finally {
    process.umask(umask);
  }
  t.equal(modeOf(path), "750");
});

t.test("owner and group", { skip: !isRoot && "needs root" }, async (t) => {
  const directory = temporaryDirectory(t);
  chmodSync(directory, 0o755);
  const path = join(directory, "http.sock");
  await startProgram(t, {
    addresses: { http: `127.0.0.1 unix://${path}` },
    unix_sockets: { user: "nobody", group: "54321", mode: "600" },
  });
  const { uid, gid } = statSync(path);
  t.equal(uid, Number(execFileSync("id", ["-u", "nobody"]).toString()));
  t.equal(gid, 54321);
  t.equal(modeOf(path), "600");
  const script = `require("net").connect(${JSON.stringify(path)}).on("connect", () => process.exit(7)).on("error", () => process.exit(8))`;
  const as = (id: number) =>
    spawnSync(process.execPath, ["-e", script], { uid: id, gid: id, cwd: "/" }).status;
  t.equal(as(uid), 7, "the owner connects");
  t.equal(as(12345), 8, "nobody else does");
});

t.test("values that do not do", async (t) => {
  const directory = temporaryDirectory(t);
  const http = `127.0.0.1 unix://${join(directory, "http.sock")}`;
  const rows: [config: Record<string, unknown>, said: RegExp][] = [
    [{ unix_sockets: { mode: "rw" } }, /unix_sockets\.mode: invalid mode specified: rw/],
    [{ unix_sockets: { mode: "888" } }, /unix_sockets\.mode: invalid mode specified: 888/],
    [{ unix_sockets: { user: "no-such" } }, /unix_sockets\.user: invalid user specified: no-such/],
    [{ unix_sockets: { group: "-1" } }, /unix_sockets\.group: invalid group specified: -1/],
    [{ addresses: { http: "unix:///no/such/dir/s" } }, /HTTP cannot listen on \/no\/such\/dir\/s/],
    [
      { addresses: { http: `unix:///${"a".repeat(200)}` } },
      /HTTP cannot listen on .*a+: .*too long/,
    ],
    [{ addresses: { http: "unix://" } }, /addresses\.http: unix:\/\/ without a path/],
  ];
  for (const [config, said] of rows)
    await t.rejects(startProgram(t, { addresses: { http }, ...config }), said);
});

t.test("a socket that answers is not taken away", async (t) => {
  const path = join(temporaryDirectory(t), "http.sock");
  const addresses = { http: `127.0.0.1 unix://${path}` };
  const first = await startProgram(t, { addresses });
  await t.rejects(startProgram(t, { addresses }), /http\.sock: another program uses it/);
  t.equal(await ask(path), 200);
  await first.end("SIGKILL");
  t.ok(statSync(path).isSocket(), "a killed program leaves its file");
  await startProgram(t, { addresses });
  t.equal(await ask(path), 200, "which the next one takes over");
});

t.test("HTTPS over a Unix socket", { skip: noCertificates }, async (t) => {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server"]);
  const path = join(directory, "https.sock");
  await startProgram(t, {
    addresses: { https: `unix://${path}` },
    cert_file: join(directory, "server.pem"),
    key_file: join(directory, "server.key"),
  });
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const to = { socketPath: path, path: "/v1/status/leader", agent: false };
    const trusted = { ca: readFileSync(join(directory, "ca.pem")), servername: "localhost" };
    requestTls({ ...to, ...trusted }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on("error", reject)
      .end();
  });
  t.equal(status, 200);
});
