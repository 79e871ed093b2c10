/** The real store, in a process of its own, as the engine and as an operator see it. */
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Engine } from "../../src/cluster/engine.ts";
import { type EngineHost, engineSuite, proposeAll } from "../cluster/engine-suite.ts";
import { createWorld, openEngine } from "../cluster/engine-world.ts";
import { createRecorder } from "../cluster/recorder.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { openRemoteStore, type RemoteStore } from "./remote-store.ts";

function createRealHost(t: Test): Promise<EngineHost> {
  const directory = temporaryDirectory(t);
  const dir = join(directory, "data");
  let store: RemoteStore | undefined;
  return Promise.resolve({
    open(machine) {
      store = openRemoteStore(dir);
      return openEngine(createWorld(), store, machine);
    },
    crash: () => store!.kill(),
    end: async () => store?.kill(),
  });
}

t.test("the suite over the real store", (t) => engineSuite(t, createRealHost));

/** Opens an engine on the real store in the data directory `dir`. */
async function open(dir: string): Promise<{ engine: Engine; store: RemoteStore }> {
  const store = openRemoteStore(dir);
  try {
    return { engine: await openEngine(createWorld(), store, createRecorder()), store };
  } catch (error) {
    await store.kill();
    throw error;
  }
}

/** A data directory for one test, with or without a log of three commands in it. */
async function withFolder(t: Test, filled: boolean): Promise<string> {
  const directory = temporaryDirectory(t);
  const dir = join(directory, "data");
  if (!filled) return dir;
  const { engine } = await open(dir);
  await proposeAll(engine, ["a", "b", "c"]);
  await engine.close();
  return dir;
}

t.test("a new folder belongs to its owner alone", async (t) => {
  const dir = await withFolder(t, true);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.equal(statSync(join(dir, "log")).mode & 0o777, 0o700);
  for (const name of readdirSync(join(dir, "log")))
    t.equal(statSync(join(dir, "log", name)).mode & 0o077, 0, name);
});

t.test("two servers cannot share a folder", async (t) => {
  const dir = await withFolder(t, true);
  const { engine, store } = await open(dir);
  await t.rejects(open(dir), {
    name: "StartRefused",
    message: /log\.db: is in use by another process; two servers cannot share/,
  });
  await proposeAll(engine, ["the first one goes on"]);
  await store.kill();
  const again = await open(dir);
  t.ok(again.engine.leadership().self, "a killed one leaves no lock behind");
  await again.engine.close();
});

t.test("a folder that is no folder, or that cannot be written", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "log"), "");
  await t.rejects(open(directory), {
    name: "StartRefused",
    message: /log: is not a directory/,
  });
  await t.rejects(open(join(directory, "log")), {
    name: "StartRefused",
    message: /cannot be written \(ENOTDIR\); create it, owned by the user/,
  });
  if (process.getuid?.() === 0) return void t.pass("root may write everywhere");
  const closed = join(directory, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o500);
  await t.rejects(open(closed), { message: /cannot be written \(EACCES\)/ });
});

t.test("leftovers of an interrupted snapshot are removed", async (t) => {
  const dir = await withFolder(t, true);
  const interrupted = join(dir, "log/snapshot-1-3.tmp");
  const unrecorded = join(dir, "log/snapshot-1-2");
  for (const file of [interrupted, unrecorded]) writeFileSync(file, "x");
  const { engine } = await open(dir);
  t.notOk(existsSync(interrupted), "unfinished");
  t.notOk(existsSync(unrecorded), "finished, never recorded");
  await engine.compact();
  await engine.compact();
  await proposeAll(engine, ["d"]);
  await engine.compact();
  await engine.close();
  const snapshots = readdirSync(join(dir, "log")).filter((name) => name.startsWith("snapshot"));
  t.same(snapshots, ["snapshot-2-6"], "one snapshot is kept");
});

t.test("identity and figures", async (t) => {
  const dir = await withFolder(t, false);
  const first = openRemoteStore(dir);
  const { clusterId, serverId, lastIndex, term } = await first.load();
  t.match(clusterId, /^[0-9a-f-]{36}$/);
  t.match({ lastIndex, term }, { lastIndex: 0, term: 0 });
  await first.kill();
  const { engine, store } = await open(dir);
  await proposeAll(engine, ["a", "b"]);
  t.match(engine.stats(), {
    commit_total: Number,
    commit_entries_sum: 3,
    fsync_seconds_sum: Number,
    fsync_seconds_max: Number,
    store_octets: Number,
    disk_free_octets: Number,
  });
  t.ok(engine.stats()["fsync_seconds_sum"]! > 0);
  await engine.close();
  const second = openRemoteStore(dir);
  t.match(await second.load(), { clusterId, serverId, lastIndex: 3, term: 1 });
  await second.kill();
  t.same(store.warnings, []);
});
