import t from "tap";
import { createSingleEngine } from "../../src/cluster/single/driver.ts";
import {
  createMemoryDisk,
  createMemoryStore,
  type MemoryPoint,
} from "../../src/cluster/single/memory.ts";
import { type EngineHost, engineSuite, proposeAll, turns } from "./engine-suite.ts";
import { createWorld, openEngine } from "./engine-world.ts";
import { createRecorder, encode, withoutEpochs } from "./recorder.ts";

function createMemoryHost(): Promise<EngineHost> {
  const disk = createMemoryDisk();
  let life = 0;
  let held: Promise<void> = Promise.resolve();
  let broken = false;
  let full = false;
  const never = new Promise<never>(() => {});
  return Promise.resolve({
    open(machine) {
      const mine = ++life;
      const gate = async ({ when }: MemoryPoint) => {
        await held;
        if (mine !== life) return never;
        if (broken) throw new Error("input/output error");
        return full && when === "before" ? "full" : "go";
      };
      return openEngine(createWorld(), createMemoryStore(disk, gate), machine);
    },
    crash() {
      life++;
      return Promise.resolve();
    },
    hold() {
      let release = (): void => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return () => release();
    },
    break: () => void (broken = true),
    fill: (now) => void (full = now),
    entries: () => disk.rows.length,
    end: () => Promise.resolve(),
  });
}

t.test("the suite over the memory store", (t) => engineSuite(t, createMemoryHost));

t.test("group commit: what is queued while a batch is written is the next batch", async (t) => {
  const batches: number[] = [];
  let release = (): void => {};
  let hold = false;
  const store = createMemoryStore(createMemoryDisk(), async ({ operation, when, rows }) => {
    if (operation !== "append" || when !== "before") return "go";
    batches.push(rows.length);
    if (hold)
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    return "go";
  });
  const engine = await openEngine(createWorld(), store, createRecorder());
  hold = true;
  const first = engine.propose(encode("first"));
  await turns();
  const others = Array.from({ length: 150 }, (_, i) => engine.propose(encode(`c${i}`)));
  hold = false;
  release();
  await Promise.all([first, ...others]);
  t.same(batches, [1, 1, 64, 64, 22], "epoch, first, then full batches of 64 and the rest");
  t.equal(engine.stats()["batch_entries_max"], 64);
  await engine.close();
});

t.test("snapshots start at their threshold, on the interval's tick", async (t) => {
  const world = createWorld({ limits: { snapshotEntries: 100, trailingEntries: 10 } });
  const disk = createMemoryDisk();
  const engine = await openEngine(world, createMemoryStore(disk), createRecorder());
  await proposeAll(
    engine,
    Array.from({ length: 98 }, (_, i) => `c${i}`),
  );
  world.pass(30_000);
  await turns();
  t.equal(disk.snapshot, null, "99 entries are not enough");
  await proposeAll(engine, ["one more"]);
  world.pass(29_999);
  await turns();
  t.equal(disk.snapshot, null, "not between the ticks");
  world.pass(1);
  await turns();
  t.equal(disk.snapshot, "snapshot-1-100");
  t.same(
    disk.rows.map(({ index }) => index),
    [91, 92, 93, 94, 95, 96, 97, 98, 99, 100],
  );
  t.match(engine.stats(), { snapshot_total: 1, snapshot_index: 100 });
  await engine.close();
});

t.test("octets start a snapshot without waiting for the tick", async (t) => {
  const world = createWorld({ limits: { snapshotOctets: 10_000 } });
  const disk = createMemoryDisk();
  const engine = await openEngine(world, createMemoryStore(disk), createRecorder());
  await proposeAll(
    engine,
    Array.from({ length: 9 }, () => "x".repeat(1000)),
  );
  await turns();
  t.equal(disk.snapshot, null);
  await proposeAll(engine, ["x".repeat(1000)]);
  await turns();
  t.equal(disk.snapshot, "snapshot-1-11");
  t.equal(engine.stats()["octets_since_snapshot"], 0);
  await engine.close();
});

t.test("a snapshot that finds no space is tried again, writes go on", async (t) => {
  let full = true;
  const world = createWorld({ limits: { snapshotEntries: 2 } });
  const disk = createMemoryDisk();
  const store = createMemoryStore(disk, ({ operation, when }) =>
    Promise.resolve(full && operation === "write" && when === "before" ? "full" : "go"),
  );
  const engine = await openEngine(world, store, createRecorder());
  await proposeAll(engine, ["a", "b"]);
  world.pass(30_000);
  await turns();
  t.equal(disk.snapshot, null);
  t.equal(engine.stats()["snapshot_failed_total"], 1);
  await proposeAll(engine, ["c"]);
  full = false;
  world.pass(30_000);
  await turns();
  t.equal(disk.snapshot, "snapshot-1-4");
  await engine.close();
});

t.test("a full disk at start: reads at once, the term opens when there is space", async (t) => {
  let full = true;
  const disk = createMemoryDisk();
  const store = createMemoryStore(disk, ({ when }) =>
    Promise.resolve(full && when === "before" ? "full" : "go"),
  );
  const machine = createRecorder();
  const engine = await openEngine(createWorld(), store, machine);
  t.same(engine.leadership(), { leader: "127.0.0.1:8300", self: false, epoch: 1 });
  t.equal(await engine.barrier("lease"), "ok");
  t.match(await engine.propose(encode("a")), { outcome: "refused", reason: /no leader/ });
  full = false;
  const seen: unknown[] = [];
  engine.onLeadership((now) => seen.push(now));
  store.setSpace({ freeOctets: 1e9, totalOctets: 2e9 });
  await turns();
  t.same(seen, [{ leader: "127.0.0.1:8300", self: true, epoch: 1 }]);
  await proposeAll(engine, ["b"]);
  t.same(machine.texts(), ["epoch 1", "b"]);
  await engine.close();
});

t.test("a state machine that throws stops the engine; nobody is told a lie", async (t) => {
  const world = createWorld();
  const engine = await openEngine(world, createMemoryStore(), createRecorder());
  const outcomes = await Promise.all(
    ["a", "throw", "b"].map((text) => engine.propose(encode(text))),
  );
  t.match(outcomes, [
    { outcome: "committed" },
    { outcome: "unknown", reason: /state machine is broken/ },
    { outcome: "unknown" },
  ]);
  t.match(world.failures, [/state machine is broken/], "the process is told to end, once");
  await engine.close();
});

t.test("the death of an idle store is noticed", async (t) => {
  const world = createWorld();
  const store = createMemoryStore();
  let report = (_reason: string): void => {};
  const dying = {
    ...store,
    onFailure: (listener: (reason: string) => void) => {
      report = listener;
      return () => {};
    },
  };
  const engine = await openEngine(world, dying, createRecorder());
  report("thread ended");
  t.same(world.failures, ["thread ended"]);
  t.same(engine.leadership(), { leader: undefined, self: false, epoch: 1 });
  await engine.close();
});

t.test("reads go on with the old state until a restore is durable; writes wait", async (t) => {
  const disk = createMemoryDisk();
  let release = (): void => {};
  const store = createMemoryStore(disk, async ({ operation, when }) => {
    if (operation === "record" && when === "before")
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    return "go";
  });
  const machine = createRecorder();
  const engine = await openEngine(createWorld(), store, machine);
  const restored = engine.restore({ index: 1, term: 1, chunks: [] });
  const write = engine.propose(encode("meanwhile"));
  await turns();
  t.equal(await engine.barrier("index"), "ok");
  t.same(machine.texts(), ["epoch 1"], "the image is not recorded yet");
  release();
  t.match(await restored, { outcome: "committed", index: 2 });
  t.match(await write, { outcome: "committed", index: 3 }, "writes wait behind it");
  t.same(machine.texts(), ["meanwhile"]);
  await engine.close();
});

t.test("a store that hands out a gap is refused", async (t) => {
  const disk = createMemoryDisk();
  const engine = await openEngine(createWorld(), createMemoryStore(disk), createRecorder());
  await proposeAll(engine, ["a", "b", "c"]);
  await engine.close();
  disk.rows.splice(1, 1);
  const options = { ...createWorld().options, store: createMemoryStore(disk) };
  await t.rejects(createSingleEngine({ ...options, machine: createRecorder() }), /dense log/);
});

t.test("stats name what metrics show", async (t) => {
  const engine = await openEngine(createWorld(), createMemoryStore(), createRecorder());
  await proposeAll(engine, ["a", "b"]);
  t.match(engine.stats(), {
    propose_total: 2,
    committed_total: 3,
    log_entries: 3,
    last_index: 3,
    applied_index: 3,
    queue_entries: 0,
    uncommitted_octets: 0,
    term: 1,
    leader: 1,
  });
  t.same(withoutEpochs(["epoch 1", "x"]), ["x"]);
  await engine.close();
});
