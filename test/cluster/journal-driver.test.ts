// The journal in real files: modes, order, one write for many, failures and what comes after them.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { createLocalJournal } from "../../src/cluster/journal/driver.ts";
import { defaultLimits } from "../../src/cluster/journal/core.ts";
import type { LocalJournal, StoredEntry } from "../../src/cluster/local-store.ts";

/** Journals of one data directory; timers run when `elapse` is called. */
function createWorld(t: Test, limits = defaultLimits) {
  const dataDir = t.testdir();
  const path = join(dataDir, "local/journal");
  const logged: string[] = [];
  let timers: (() => void)[] = [];
  const deps = {
    limits,
    timers: {
      after(_delayMs: number, run: () => void) {
        timers.push(run);
        return () => void (timers = timers.filter((other) => other !== run));
      },
    },
    log: (level: string, message: string) => void logged.push(`${level} ${message}`),
  };
  return {
    dataDir,
    path,
    logged,
    open: () => createLocalJournal(dataDir, deps),
    elapse() {
      for (const run of timers.splice(0)) run();
    },
  };
}

const service = (id: string, text: string): StoredEntry => ({ kind: "services", id, text });
const put = (journal: LocalJournal, id: string, text: string) =>
  journal.put(service(id, text), true);
const textsOf = async (journal: LocalJournal) =>
  (await journal.load()).map(({ kind, id, text }) => `${kind} ${id} ${text}`);

t.test("what was acknowledged is there for the next one", async (t) => {
  const world = createWorld(t);
  const journal = world.open();
  t.same(await journal.load(), []);
  await journal.remove("services", "nobody");
  t.notOk(existsSync(world.path), "nothing to keep");
  await Promise.all([
    put(journal, "web", "1"),
    put(journal, "web", "2"),
    put(journal, "gone", "3"),
    journal.remove("services", "gone"),
    journal.put({ kind: "checks/state", id: "c", text: "4" }, false),
  ]);
  await put(journal, "api", '{"a":"ü"}');
  const expected = ["services web 2", "checks/state c 4", 'services api {"a":"ü"}'];
  // Not closed: as after a kill.
  t.same(await textsOf(world.open()), expected);
  t.equal(statSync(world.path).mode & 0o777, 0o600, "tokens are for the owner alone");
  t.equal(statSync(join(world.dataDir, "local")).mode & 0o777, 0o700);
  const before = readFileSync(world.path, "utf8");
  await put(journal, "web", "2");
  t.equal(readFileSync(world.path, "utf8"), before, "the same again costs no write");
  await journal.close();
});

t.test("what was asked for before the end is done, later changes are refused", async (t) => {
  const world = createWorld(t);
  const journal = world.open();
  const asked = [put(journal, "a", "1"), put(journal, "b", "2")];
  const closed = journal.close();
  await t.rejects(put(journal, "c", "3"), {
    message: /local\/journal: the agent is being stopped/,
  });
  await Promise.all([...asked, closed]);
  t.same(await textsOf(world.open()), ["services a 1", "services b 2"]);
});

t.test("changes that come while the file is being read keep their order", async (t) => {
  const world = createWorld(t);
  const first = world.open();
  await put(first, "web", "1");
  await put(first, "old", "1");
  await first.close();
  const journal = world.open();
  const changes = [
    put(journal, "web", "2"),
    journal.remove("services", "old"),
    put(journal, "web", "3"),
  ];
  t.same(await textsOf(journal), ["services web 3"]);
  await Promise.all(changes);
  await journal.close();
  t.same(await textsOf(world.open()), ["services web 3"]);
});

t.test("many who wait share a few writes, and the file stays small", async (t) => {
  const limits = { ...defaultLimits, rewriteOctets: 20_000 };
  const world = createWorld(t, limits);
  const journal = world.open();
  let largest = 0;
  for (let round = 0; round < 20; round++) {
    const text = JSON.stringify("x".repeat(200));
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => put(journal, `s${n % 10}`, text.replace("x", `${n}`))),
    );
    largest = Math.max(largest, readFileSync(world.path).lastIndexOf("\n"));
  }
  t.ok(largest < 20_000 + 2 * 50 * 300, `${largest} octets at most, 200,000 were written`);
  t.equal((await world.open().load()).length, 10);
  await journal.close();
});

t.test("a disk that fails is told to all who wait; what they want gets there later", async (t) => {
  const world = createWorld(t);
  const journal = world.open();
  await journal.load();
  writeFileSync(join(world.dataDir, "local"), "a file, not a folder");
  const error = { message: /local\/journal: E(EXIST|NOTDIR)/ };
  await Promise.all([
    t.rejects(put(journal, "a", "1"), error),
    t.rejects(put(journal, "b", "2"), error),
  ]);
  await t.rejects(put(journal, "a", "1"), error, "the same again is tried again");
  rmSync(join(world.dataDir, "local"));
  await put(journal, "c", "3");
  t.same(await textsOf(world.open()), ["services a 1", "services b 2", "services c 3"]);

  rmSync(join(world.dataDir, "local"), { recursive: true });
  writeFileSync(join(world.dataDir, "local"), "again");
  await put(journal, "d", "4").catch(() => {});
  await journal.close();
});

t.test("after a failure the file is written without anybody asking", async (t) => {
  const world = createWorld(t);
  const folder = join(world.dataDir, "local");
  for (const isMended of [false, true]) {
    const journal = world.open();
    await journal.load();
    writeFileSync(folder, "");
    await t.rejects(put(journal, "a", "1"));
    if (isMended) rmSync(folder);
    world.elapse();
    await journal.close();
    t.equal(existsSync(world.path), isMended);
    if (!isMended) rmSync(folder);
  }
  t.same(await textsOf(world.open()), ["services a 1"]);
});

t.test("an unfinished end is left out and written over; damage is an error", async (t) => {
  const world = createWorld(t);
  let journal = world.open();
  await put(journal, "a", "1");
  await put(journal, "b", "2");
  await journal.close();
  const whole = readFileSync(world.path);
  writeFileSync(world.path, whole.subarray(0, whole.lastIndexOf("\n") - 2));
  journal = world.open();
  t.same(await textsOf(journal), ["services a 1"]);
  t.match(world.logged, [/warn the last write of the journal was not finished/]);
  await put(journal, "c", "3");
  await journal.close();
  t.same(await textsOf(world.open()), ["services a 1", "services c 3"]);
  writeFileSync(world.path, "");
  const message = /local\/journal: line 1 is not that of a journal.*restore.*or move it aside/;
  const damaged = world.open();
  await t.rejects(damaged.load(), { message });
  await t.rejects(put(damaged, "a", "1"), { message });
  await damaged.close();
});

t.test("files of Consul are taken over and go; others stay and are named", async (t) => {
  const world = createWorld(t);
  const files = {
    "services/x": '{"Token":"t","Service":{"ID":"web1",\n"Service":"web"}}',
    "services/y": "{",
    "services/z.tmp": "half",
    "checks/x": '{"Check":{"CheckID":"c","Name":"c"},"ChkType":null,"Token":""}',
    "checks/state/x": '{"CheckID":"c","Status":"passing","Output":"","Expires":1}',
  };
  mkdirSync(join(world.dataDir, "services"));
  mkdirSync(join(world.dataDir, "checks/state"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(world.dataDir, name), text);
  const found = await textsOf(world.open());
  t.match(found, [
    'services web1 {"Token":"t","Service":{"ID":"web1","Service":"web"}}',
    /^checks c /,
    /^checks\/state c /,
  ]);
  t.match(world.logged, [/error cannot use .*services\/y, it is left as it is/, /info local/]);
  t.same(
    Object.keys(files).filter((name) => existsSync(join(world.dataDir, name))),
    ["services/y"],
  );
  t.same(await textsOf(world.open()), found);
  t.match(world.logged.at(-1), /warn files of local services are not read/);
});
