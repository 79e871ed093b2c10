/** Following resolv.conf files on a real file system: asks 35 and 36. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { watchResolvConf } from "../../src/forwarder/resolvconf/driver.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** Gives what the watch says next: a list of servers, or what is wrong. */
function follow(t: Test, ...paths: string[]) {
  const waiting: ((word: string) => void)[] = [];
  const words: string[] = [];
  const say = (word: string): void => {
    const waiter = waiting.shift();
    if (waiter === undefined) words.push(word);
    else waiter(word);
  };
  const shorten = (text: string) =>
    paths.reduce((cut, path, i) => cut.replaceAll(path, i === 0 ? "FILE" : `FILE${i + 1}`), text);
  const stop = watchResolvConf(paths, {
    changed: ({ servers }) => say(servers.map(({ address }) => address).join(" ")),
    problem: (problem) => say(shorten(problem)),
  });
  t.teardown(stop);
  return (): Promise<string> =>
    new Promise((done) => {
      const word = words.shift();
      if (word === undefined) waiting.push(done);
      else done(word);
    });
}

const limit = { timeout: 30_000 };

t.test("ask 35, 36: a file is followed; what changes nothing is not told", limit, async (t) => {
  const path = join(temporaryDirectory(t), "resolv.conf");
  writeFileSync(path, "nameserver 192.0.2.1\n");
  const next = follow(t, path);
  t.equal(await next(), "192.0.2.1");
  writeFileSync(path, "# another comment\nsearch example\nnameserver 192.0.2.1\n\n");
  writeFileSync(path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  t.equal(await next(), "192.0.2.1 192.0.2.2", "a change that changes nothing is not told");
  writeFileSync(path, "");
  t.equal(await next(), "FILE names no server; keeping the servers known so far");
  writeFileSync(path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  writeFileSync(`${path}.new`, "nameserver 192.0.2.3\nnameserver bad\n");
  renameSync(`${path}.new`, path);
  t.equal(await next(), "ignored in FILE: line 2 (nameserver bad)", "replaced by renaming");
  t.equal(await next(), "192.0.2.3");
  rmSync(path);
  t.equal(await next(), "cannot read FILE: ENOENT; keeping the servers known so far");
  writeFileSync(path, "nameserver 192.0.2.3\n");
  writeFileSync(path, "nameserver 192.0.2.4\n");
  t.equal(await next(), "192.0.2.4", "it came back");
});

t.test("S34: a FIFO and a device are told, and waited for by nobody", limit, async (t) => {
  const path = join(temporaryDirectory(t), "resolv.conf");
  execFileSync("mkfifo", [path]);
  const next = follow(t, path);
  const refused = "cannot read FILE: it is no file; keeping the servers known so far";
  t.equal(await next(), refused);
  rmSync(path);
  writeFileSync(path, "nameserver 192.0.2.1\n");
  t.equal(await next(), "192.0.2.1");
  rmSync(path);
  symlinkSync("/dev/zero", path);
  t.equal(await next(), refused);
  t.equal(await follow(t, "/dev/null")(), "FILE names no server; keeping the servers known so far");
});

t.test("ask 35: a link, and what it leads to, are followed", limit, async (t) => {
  const elsewhere = temporaryDirectory(t);
  const path = join(temporaryDirectory(t), "resolv.conf");
  const target = join(elsewhere, "stub.conf");
  writeFileSync(target, "nameserver 192.0.2.1\n");
  symlinkSync(target, path);
  const next = follow(t, path);
  t.equal(await next(), "192.0.2.1");
  writeFileSync(target, "nameserver 192.0.2.2\n");
  t.equal(await next(), "192.0.2.2", "the file behind the link was written");
  const other = join(elsewhere, "other.conf");
  writeFileSync(other, "nameserver 192.0.2.3\n");
  symlinkSync(other, `${path}.new`);
  renameSync(`${path}.new`, path);
  t.equal(await next(), "192.0.2.3", "the link was replaced");
  writeFileSync(other, "nameserver 192.0.2.4\n");
  t.equal(await next(), "192.0.2.4", "the file behind the new link was written");
});

t.test("ask 35: a folder on the way is a link that is swapped", limit, async (t) => {
  // As a mounted ConfigMap is changed: the file is a link through `..data`, a link to a folder.
  const folder = temporaryDirectory(t);
  for (const n of [1, 2]) {
    mkdirSync(join(folder, `v${n}`));
    writeFileSync(join(folder, `v${n}`, "resolv.conf"), `nameserver 192.0.2.${n}\n`);
  }
  symlinkSync("v1", join(folder, "..data"));
  const path = join(folder, "resolv.conf");
  symlinkSync(join("..data", "resolv.conf"), path);
  const next = follow(t, path);
  t.equal(await next(), "192.0.2.1");
  symlinkSync("v2", join(folder, "..tmp"));
  renameSync(join(folder, "..tmp"), join(folder, "..data"));
  t.equal(await next(), "192.0.2.2");
});

t.test("ask 35: the folder of the link's target appears later, and again", limit, async (t) => {
  // As /etc/resolv.conf leads to /run/systemd/resolve, which systemd-resolved makes when it starts.
  const run = temporaryDirectory(t);
  const resolve = join(run, "systemd", "resolve");
  const path = join(temporaryDirectory(t), "resolv.conf");
  symlinkSync(join(resolve, "stub-resolv.conf"), path);
  const next = follow(t, path);
  t.equal(await next(), "cannot read FILE: ENOENT; keeping the servers known so far");
  for (const n of [1, 2]) {
    mkdirSync(resolve, { recursive: true });
    writeFileSync(join(resolve, "stub-resolv.conf"), `nameserver 192.0.2.${n}\n`);
    t.equal(await next(), `192.0.2.${n}`);
    rmSync(join(run, "systemd"), { recursive: true });
    t.equal(await next(), "cannot read FILE: ENOENT; keeping the servers known so far");
  }
});

t.test("of several files the one that was written last holds", limit, async (t) => {
  const folder = temporaryDirectory(t);
  const [wired, wireless] = [join(folder, "a.conf"), join(folder, "b.conf")];
  writeFileSync(wireless, "nameserver 192.0.2.2\n");
  writeFileSync(wired, "nameserver 192.0.2.1\n");
  utimesSync(wireless, 1_700_000_000, 1_700_000_000);
  const next = follow(t, wired, wireless);
  t.equal(await next(), "192.0.2.1");
  writeFileSync(wireless, "nameserver 192.0.2.3\n");
  t.equal(await next(), "192.0.2.3", "the other one is newer now");
  rmSync(wireless);
  t.equal(await next(), "192.0.2.1", "what is left holds, however old");
  rmSync(wired);
  t.equal(await next(), "cannot read FILE, FILE2: ENOENT; keeping the servers known so far");
});
