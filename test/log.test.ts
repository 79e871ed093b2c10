import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openLogFile } from "../src/log-file.ts";
import { createLog } from "../src/log.ts";
import type { LogLevel } from "../src/ports.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

function start(over: { level?: LogLevel; json?: boolean } = {}) {
  const lines: string[] = [];
  const now = { ms: 5_000 };
  const clock = { monotonicMs: () => now.ms, wallMs: () => Date.UTC(2026, 0, 31, 12) + now.ms };
  const write = (line: string) => void lines.push(line);
  return { lines, now, ...createLog({ level: "info", json: false, write, clock, ...over }) };
}

t.test("one line per call, in the form of Consul's log", async (t) => {
  const { log, lines } = start({ level: "trace" });
  log("info", "ready");
  log("warn", "upstream failed", { server: "192.0.2.1:53", reason: "timed out", tries: 3 });
  log("error", "no", { error: new Error("disk full"), none: undefined, text: 'a"b', list: [1] });
  log("trace", "t");
  log("debug", "d");
  t.same(lines, [
    "2026-01-31T12:00:05.000Z [INFO]  ready\n",
    '2026-01-31T12:00:05.000Z [WARN]  upstream failed: server=192.0.2.1:53 reason="timed out" tries=3\n',
    '2026-01-31T12:00:05.000Z [ERROR] no: error="disk full" text="a\\"b" list=[1]\n',
    "2026-01-31T12:00:05.000Z [TRACE] t\n",
    "2026-01-31T12:00:05.000Z [DEBUG] d\n",
  ]);
});

t.test("as JSON", async (t) => {
  const { log, lines } = start({ json: true });
  log("warn", "two\nlines", { port: 53 });
  t.same(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      {
        "@level": "warn",
        "@message": "two\nlines",
        "@timestamp": "2026-01-31T12:00:05.000Z",
        port: 53,
      },
    ],
  );
  t.equal(lines[0]!.indexOf("\n"), lines[0]!.length - 1, "still one line");
});

t.test("what comes from outside cannot forge a line", async (t) => {
  const { log, lines } = start();
  log("info", "name\n2026 [ERROR] forged\u001b[31m", { name: "a\nb" });
  t.equal(lines.join("").split("\n").length, 2);
  t.notOk(lines.join("").includes("\u001b"));
});

t.test("levels", async (t) => {
  const { log, lines, setLevel } = start({ level: "warn" });
  log("info", "hidden");
  log("warn", "shown");
  setLevel("debug");
  log("debug", "shown too");
  setLevel("error");
  log("warn", "hidden");
  t.equal(lines.length, 2);
});

t.test("a follower has its own level and form, until it is cancelled", async (t) => {
  const { log, lines, follow } = start({ level: "error" });
  const followed: string[] = [];
  const write = (line: string) => followed.push(line) > 0;
  const cancel = follow({ level: "debug", json: true, write });
  log("debug", "seen");
  log("trace", "not seen");
  log("error", "by both");
  cancel();
  log("error", "after the end");
  t.same(
    followed.map((line) => (JSON.parse(line) as Record<string, unknown>)["@message"]),
    ["the log follows", "seen", "by both"],
  );
  t.equal(lines.length, 2);
});

t.test("lines that a follower has no room for are counted", async (t) => {
  const { log, now, follow } = start();
  const followed: string[] = [];
  let room = 2;
  const write = (line: string) => room-- > 0 && followed.push(line) > 0;
  follow({ level: "error", json: false, write });
  for (let i = 0; i < 5; i++) log("error", `line ${i}`);
  now.ms += 1000;
  log("error", "no room to say so either");
  room = 10;
  now.ms += 1000;
  log("error", "room again");
  t.match(followed, [
    /\[INFO\] {2}the log follows: level=error\n$/,
    /line 0\n$/,
    /log lines left out: count=5\n$/,
    /room again\n$/,
  ]);
});

t.test("secrets stay out", async (t) => {
  const { log, lines } = start();
  log("info", "x", { token: "s3cret", SecretID: "s3cret", encrypt: "s3cret", "X-Token": "s3cret" });
  t.notMatch(lines[0]!, "s3cret");
  t.match(lines[0]!, "token=<hidden>");
});

t.test("at most 100 lines in a second; the others are counted", async (t) => {
  const { log, lines, now } = start();
  for (let i = 0; i < 250; i++) log("info", `line ${i}`);
  t.equal(lines.length, 100);
  now.ms += 999;
  log("info", "still the same second");
  t.equal(lines.length, 100);
  now.ms += 1;
  log("info", "next second");
  t.match(lines[100], "log lines left out: count=151");
  t.match(lines[101], "next second");
  t.equal(lines.length, 102);
});

t.test("log files", async (t) => {
  const now = { ms: 1_000_000 };
  const open = (path: string, over = {}) =>
    openLogFile({
      path,
      rotateBytes: 0,
      rotateDurationMs: 86_400_000,
      maxFiles: 0,
      wallMs: () => now.ms,
      ...over,
    });

  t.test("appends; a directory gets waypost.log", async (t) => {
    const path = temporaryDirectory(t);
    writeFileSync(join(path, "waypost.log"), "before\n");
    const file = open(path);
    file.write("after\n");
    file.close();
    t.equal(readFileSync(join(path, "waypost.log"), "utf8"), "before\nafter\n");
  });

  t.test("rotates by size and by age, keeps the newest", async (t) => {
    const path = temporaryDirectory(t);
    const file = open(join(path, "a.log"), {
      rotateBytes: 10,
      rotateDurationMs: 5000,
      maxFiles: 2,
    });
    for (const line of ["12345678\n", "next 1\n", "next 2\n", "next 3\n"]) {
      now.ms++;
      file.write(line);
    }
    t.equal(readFileSync(join(path, "a.log"), "utf8"), "next 3\n");
    now.ms += 5000;
    file.write("old\n");
    file.close();
    t.equal(readFileSync(join(path, "a.log"), "utf8"), "old\n");
    const kept = readdirSync(path).filter((name) => name !== "a.log");
    t.same(
      kept.toSorted().map((name) => readFileSync(join(path, name), "utf8")),
      ["next 2\n", "next 3\n"],
    );
  });

  t.test("-1 keeps no old file", async (t) => {
    const path = temporaryDirectory(t);
    const file = open(join(path, "a.log"), { rotateBytes: 4, maxFiles: -1 });
    file.write("one\n");
    now.ms++;
    file.write("two\n");
    file.close();
    t.same(readdirSync(path), ["a.log"]);
  });

  t.test("a path that cannot be opened throws", async (t) => {
    t.throws(() => open(join(temporaryDirectory(t), "absent", "a.log")), { code: "ENOENT" });
  });
});
