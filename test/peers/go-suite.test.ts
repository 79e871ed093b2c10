/**
 * The tests that come with Debian's Go client (golang-github-armon-consul-api-dev, the ancestor of
 * HashiCorp's), run as they are against the real program: only the address is another.
 */
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasFile, hasPeer } from "./peer.ts";

const name = "github.com/armon/consul-api";
const source = `/usr/share/gocode/src/${name}`;
const skip = hasPeer("go") && hasFile(join(source, "api.go")) ? false : "no Go client";
const LIMIT_MS = 200_000;

/**
 * What Consul 1.10 itself no longer does: `Config.AdvertiseAddr` in agent/self, force-leave of a node
 * that nobody knows, `Checks` of a session that was made without.
 */
const leftOut = ["TestAgent_Join", "TestAgent_ForceLeave", "TestSession_Info"];

t.test("its own tests pass", { skip }, async (t) => {
  const path = temporaryDirectory(t);
  const folder = join(path, "src", name);
  cpSync(source, folder, { recursive: true });
  const program = await startProgram(t);
  const tests: string[] = [];
  for (const file of readdirSync(folder)) {
    const text = readFileSync(join(folder, file), "utf8");
    writeFileSync(
      join(folder, file),
      text.replaceAll("127.0.0.1:8500", `127.0.0.1:${program.httpPort}`),
    );
    tests.push(...[...text.matchAll(/^func (Test\w+)\(/gm)].map(([, test]) => test!));
  }
  const asked = tests.filter((test) => !leftOut.includes(test));
  const environment = {
    GO111MODULE: "off",
    CGO_ENABLED: "0", // no C compiler is needed then
    GOPATH: path,
    GOPROXY: "off",
    GOCACHE: join(path, "c"),
  };
  const run = spawnSync("go", ["test", "-v", "-run", `^(${asked.join("|")})$`, "."], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...environment },
    timeout: LIMIT_MS,
  });
  t.equal(run.status, 0, `${run.stdout}${run.stderr}`);
  const passed = [...run.stdout.matchAll(/^--- PASS: (\w+)/gm)].map(([, test]) => test!);
  for (const test of passed) t.pass(test);
  // Those of ACLs want a token and the endpoints of before 1.4; they skip themselves.
  t.ok(passed.length >= 25, `${passed.length} of ${asked.length} ran`);
});
