/** Files of names on a real file system: changes, links, and what is no file (S34). */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import t, { type Test } from "tap";
import { followFiles, MAX_FILE_OCTETS } from "../../../src/forwarder/local/driver.ts";
import type { OctetReader } from "../../../src/forwarder/local/text-lines.ts";
import { temporaryDirectory } from "../../temporary-directory.ts";

const limit = { timeout: 30_000 };

/** `name=text` of each file. */
const plain = (path: string): OctetReader<string> => {
  let text = `${basename(path)}=`;
  return {
    feed(octets) {
      text += Buffer.from(octets).toString().trim();
      return text.length < 100;
    },
    end: () => ({ value: text, problems: [] }),
  };
};

/** Gives what is told next: what all files say, or a problem. */
function follow(t: Test, directory: string, ...paths: string[]) {
  const waiting: ((word: string) => void)[] = [];
  const words: string[] = [];
  const say = (word: string): void => {
    const waiter = waiting.shift();
    if (waiter === undefined) words.push(word);
    else waiter(word);
  };
  const files = followFiles(paths, plain, {
    changed: (contents) => say(contents.join(" ")),
    problem: (problem) => say(problem.replaceAll(directory, "DIR")),
  });
  t.teardown(files.stop);
  const next = (): Promise<string> =>
    new Promise((done) => {
      const word = words.shift();
      if (word === undefined) waiting.push(done);
      else done(word);
    });
  return { next, ready: files.ready };
}

t.test("a file and a directory are followed", limit, async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "hosts");
  const more = join(directory, "hosts.d");
  mkdirSync(more);
  writeFileSync(file, "one");
  writeFileSync(join(more, "b"), "two");
  writeFileSync(join(more, "a"), "three");
  writeFileSync(join(more, ".hidden"), "no");
  writeFileSync(join(more, "a~"), "no");
  writeFileSync(join(more, "#a#"), "no");
  const { next, ready } = follow(t, directory, file, more);
  await ready;
  t.equal(await next(), "hosts=one a=three b=two", "in order");
  writeFileSync(file, "one");
  writeFileSync(join(more, "c"), "four");
  t.equal(await next(), "hosts=one a=three b=two c=four", "what says the same is not told");
  writeFileSync(join(more, ".new"), "five");
  renameSync(join(more, ".new"), join(more, "a"));
  t.equal(await next(), "hosts=one a=five b=two c=four", "replaced by renaming");
  unlinkSync(join(more, "b"));
  t.equal(await next(), "hosts=one a=five c=four", "removed");
  unlinkSync(file);
  t.equal(await next(), "cannot read DIR/hosts: ENOENT");
  t.equal(await next(), "a=five c=four");
  writeFileSync(file, "six");
  t.equal(await next(), "hosts=six a=five c=four", "there again");
});

t.test("paths that hold nothing say so, for what others held before", limit, async (t) => {
  const directory = temporaryDirectory(t);
  const { next } = follow(t, directory, join(directory, "hosts"));
  t.equal(await next(), "cannot read DIR/hosts: ENOENT");
  t.equal(await next(), "");
  writeFileSync(join(directory, "hosts"), "one");
  t.equal(await next(), "hosts=one");
});

t.test("links that are swapped, as Kubernetes swaps its volumes", limit, async (t) => {
  const directory = temporaryDirectory(t);
  for (const [version, text] of [
    ["v1", "one"],
    ["v2", "two"],
  ] as const) {
    mkdirSync(join(directory, version));
    writeFileSync(join(directory, version, "hosts"), text);
  }
  symlinkSync("v1", join(directory, "..data"));
  symlinkSync("..data/hosts", join(directory, "hosts"));
  const { next } = follow(t, directory, join(directory, "hosts"));
  t.equal(await next(), "hosts=one");
  symlinkSync("v2", join(directory, "..tmp"));
  renameSync(join(directory, "..tmp"), join(directory, "..data"));
  t.equal(await next(), "hosts=two");
});

t.test("S34: what is no file is told and hangs nothing", limit, async (t) => {
  const directory = temporaryDirectory(t);
  execFileSync("mkfifo", [join(directory, "fifo")]);
  symlinkSync(".", join(directory, "loop"));
  symlinkSync("itself", join(directory, "itself"));
  mkdirSync(join(directory, "sub"));
  writeFileSync(join(directory, "hosts"), "one");
  const { next, ready } = follow(t, directory, directory, join(directory, "fifo"));
  await ready;
  t.equal(await next(), "DIR/fifo is not a file: left out");
  t.equal(await next(), "cannot read DIR/itself: ELOOP");
  t.equal(await next(), "hosts=one");
  const device = follow(t, directory, "/dev/zero");
  t.equal(await device.next(), "/dev/zero is not a file: left out");
  const empty = follow(t, directory, "/dev/null");
  await empty.ready;
  t.equal(await empty.next(), "null=", "an empty file, by custom");
});

t.test("S34: of a file of 1 GB no more than the limit is read", limit, async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "huge");
  writeFileSync(path, "");
  truncateSync(path, 2 ** 30);
  let octets = 0;
  let longestMs = 0;
  let turnMs = performance.now();
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - turnMs);
    turnMs = performance.now();
  }, 1);
  t.teardown(() => clearInterval(timer));
  const problems: string[] = [];
  const files = followFiles(
    [path],
    () => ({
      feed: (part) => (octets += part.length) > 0,
      end: () => ({ value: octets, problems: [] }),
    }),
    { changed: () => {}, problem: (problem) => problems.push(problem.replace(directory, "DIR")) },
  );
  t.teardown(files.stop);
  await files.ready;
  t.equal(octets, MAX_FILE_OCTETS);
  t.same(problems, [`DIR/huge: only the first ${MAX_FILE_OCTETS} octets are read`]);
  t.ok(longestMs < 1000, `others waited ${longestMs.toFixed(0)} ms at most`);
  rmSync(path);
});
