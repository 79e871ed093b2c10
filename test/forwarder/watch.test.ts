/** Following a resolv.conf on a real file system. */
import { renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { watchResolvConf } from "../../src/forwarder/driver.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** Resolves when the watch has called back with a list, or said what is wrong. */
function nextOf(path: string, t: Test) {
  const waiting: ((word: string) => void)[] = [];
  const words: string[] = [];
  const say = (word: string): void => {
    const waiter = waiting.shift();
    if (waiter === undefined) words.push(word);
    else waiter(word);
  };
  const stop = watchResolvConf(
    path,
    ({ servers }) => say(servers.map(({ address }) => address).join(" ")),
    (problem) => say(problem.replaceAll(path, "FILE")),
  );
  t.teardown(stop);
  return (): Promise<string> =>
    new Promise((done) => {
      const word = words.shift();
      if (word === undefined) waiting.push(done);
      else done(word);
    });
}

t.test("resolv.conf is followed", { timeout: 30_000 }, async (t) => {
  const folder = temporaryDirectory(t);
  const path = join(folder, "resolv.conf");
  writeFileSync(path, "nameserver 192.0.2.1\n");
  const next = nextOf(path, t);
  t.equal(await next(), "192.0.2.1");
  writeFileSync(path, "# another comment\nnameserver 192.0.2.1\n\n");
  writeFileSync(path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  t.equal(await next(), "192.0.2.1 192.0.2.2", "a change that changes nothing is not told");
  writeFileSync(path, "");
  t.equal(await next(), "FILE names no server; keeping the servers known so far");
  writeFileSync(`${path}.new`, "nameserver 192.0.2.3\nnameserver bad\n");
  renameSync(`${path}.new`, path);
  t.equal(await next(), "ignored in FILE: line 2 (nameserver bad)", "replaced by renaming");
  t.equal(await next(), "192.0.2.3");
  rmSync(path);
  t.equal(await next(), "cannot read FILE: ENOENT; keeping the servers known so far");
});

t.test(
  "a link to resolv.conf and what it leads to are followed",
  { timeout: 30_000 },
  async (t) => {
    const folder = temporaryDirectory(t);
    const elsewhere = temporaryDirectory(t);
    const path = join(folder, "resolv.conf");
    const target = join(elsewhere, "stub.conf");
    writeFileSync(target, "nameserver 192.0.2.1\n");
    symlinkSync(target, path);
    const next = nextOf(path, t);
    t.equal(await next(), "192.0.2.1");
    writeFileSync(target, "nameserver 192.0.2.2\n");
    t.equal(await next(), "192.0.2.2", "the file behind the link was written");
    const other = join(elsewhere, "other.conf");
    writeFileSync(other, "nameserver 192.0.2.3\n");
    symlinkSync(other, join(folder, "new"));
    renameSync(join(folder, "new"), path);
    t.equal(await next(), "192.0.2.3", "the link was replaced");
    writeFileSync(other, "nameserver 192.0.2.4\n");
    t.equal(await next(), "192.0.2.4", "the file behind the new link was written");
  },
);
