// The file of the query log: renamed under it, not writable, on a full disk.
import t from "tap";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createQueryLogFile, dnsmasqStamp } from "../../src/dns/query-log/driver.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test("lines in order, also past a rename", async (t) => {
  const path = join(temporaryDirectory(t), "queries.log");
  const problems: string[] = [];
  const file = createQueryLogFile(path, (problem) => problems.push(problem));
  for (let i = 0; i < 1000; i++) file.write(`first ${i}`);
  await written(path, 1000);
  renameSync(path, `${path}.1`);
  file.write("into the old one");
  await written(`${path}.1`, 1001);
  file.reopen();
  for (let i = 0; i < 10; i++) file.write(`second ${i}`);
  await file.close();
  const lines = readFileSync(`${path}.1`, "utf8").split("\n");
  t.same(lines, [...Array.from({ length: 1000 }, (_, i) => `first ${i}`), "into the old one", ""]);
  t.same(
    readFileSync(path, "utf8"),
    Array.from({ length: 10 }, (_, i) => `second ${i}\n`).join(""),
  );
  t.same([problems, file.counts], [[], { lost: 0 }]);
});

t.test("renamed or removed without a word: noticed by the next write a second later", async (t) => {
  const path = join(temporaryDirectory(t), "queries.log");
  const file = createQueryLogFile(path, (problem) => t.fail(problem));
  file.write("first");
  await written(path, 1);
  renameSync(path, `${path}.1`);
  let count = 0;
  for (const until = Date.now() + 10_000; !existsSync(path) && Date.now() < until; await turn())
    file.write(`n${count++}`);
  t.ok(existsSync(path), "there again");
  rmSync(path);
  for (const until = Date.now() + 10_000; !existsSync(path) && Date.now() < until; await turn())
    file.write(`m${count++}`);
  file.write("last");
  await file.close();
  t.match(readFileSync(path, "utf8"), /\nlast\n$/);
  t.match(readFileSync(`${path}.1`, "utf8"), /^first\nn0\n/);
});

t.test("a full disk: lines are lost, counted, told once, and nobody waits", async (t) => {
  const problems: string[] = [];
  const file = createQueryLogFile("/dev/full", (problem) => problems.push(problem));
  file.write("one");
  for (const until = Date.now() + 5000; problems.length === 0 && Date.now() < until;) await turn();
  t.same(problems, ["query log: cannot write to /dev/full: ENOSPC"]);
  t.same(file.counts, { lost: 1 });
  for (let i = 0; i < 5; i++) file.write("more");
  await file.close();
  t.same(file.counts, { lost: 6 });
  t.equal(problems.length, 1);
});

t.test("a file that cannot be opened, and later can", async (t) => {
  const folder = join(temporaryDirectory(t), "later");
  const path = join(folder, "queries.log");
  const problems: string[] = [];
  const file = createQueryLogFile(path, (problem) => problems.push(problem));
  file.write("kept for later");
  for (const until = Date.now() + 5000; problems.length === 0 && Date.now() < until;) await turn();
  t.same(problems, [`query log: cannot open ${path}: ENOENT`]);
  mkdirSync(folder);
  file.reopen();
  await file.close();
  t.equal(readFileSync(path, "utf8"), "kept for later\n");
  t.same(file.counts, { lost: 0 });
});

t.test("what waits is bounded", async (t) => {
  const path = join(temporaryDirectory(t), "queries.log");
  const file = createQueryLogFile(path, (problem) => t.fail(problem));
  const line = "x".repeat(1023);
  // The first goes to the disk at once; no other can before this loop ends.
  for (let i = 0; i < 2000; i++) file.write(line);
  t.ok(file.counts.lost > 900 && file.counts.lost < 1000, `${file.counts.lost} of 2000 lost`);
  await file.close();
  const lines = readFileSync(path, "utf8").split("\n").length - 1;
  t.equal(lines + file.counts.lost, 2000, "the others are there");
});

t.test("the stamp is that of syslog", async (t) => {
  const stamp = dnsmasqStamp();
  t.match(
    stamp(),
    /^(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123]\d \d\d:\d\d:\d\d dnsmasq\[\d+\]: $/,
  );
});

async function written(path: string, lines: number): Promise<void> {
  for (const until = Date.now() + 5000; Date.now() < until;) {
    await turn();
    try {
      if (readFileSync(path, "utf8").split("\n").length - 1 === lines) return;
    } catch {
      // Not there yet.
    }
  }
  throw new Error(`${path} has not got ${lines} lines`);
}
