/**
 * What every log engine must do, whatever is behind it. A host opens engines over one and the same
 * durable state, one at a time; what it cannot do (hold the disk, break it) it leaves out, and the
 * tests that need it are not run for it.
 */
import type { Test } from "tap";
import type { Engine, Outcome, StateMachine } from "../../src/cluster/engine.ts";
import { createRecorder, encode, type Recorder, resultOf, withoutEpochs } from "./recorder.ts";

export type EngineHost = {
  /** A new life over what the last one left durable. */
  open(machine: StateMachine): Promise<Engine>;
  /** Ends the present life without a goodbye. */
  crash(): Promise<void>;
  /** From now on nothing becomes durable, until the returned function is called. */
  hold?: () => () => void;
  /** From now on every write fails for good. */
  break?: () => void;
  /** From now on there is no space (true), or enough (false). */
  fill?: (full: boolean) => void;
  /** Entries that the store still holds. */
  entries?: (engine: Engine) => number;
  end(): Promise<void>;
};

/** Runs the suite as subtests of `t`. */
export async function engineSuite(
  t: Test,
  createHost: (t: Test) => Promise<EngineHost>,
): Promise<void> {
  const run = (name: string, body: (t: Test, host: EngineHost) => Promise<void>) =>
    t.test(name, async (sub) => {
      const host = await createHost(sub);
      try {
        await body(sub, host);
      } finally {
        await host.end();
      }
    });

  await run("outcomes carry index and result, in the order of the proposals", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    const texts = Array.from({ length: 500 }, (_, i) => `c${i}`);
    const outcomes = await Promise.all(texts.map((text) => engine.propose(encode(text))));
    const first = indexOf(outcomes[0]!);
    t.same(
      outcomes,
      texts.map((text, i) => committed(first + i, text)),
      "dense indexes, own results",
    );
    t.same(withoutEpochs(machine.texts()), texts, "applied in that order");
    t.same(machine.applied, range(1, first + texts.length - 1), "each once, from 1, no gap");
    await engine.close();
  });

  await run("a new life applies the same entries and opens a higher term", async (t, host) => {
    const before = createRecorder();
    const first = await host.open(before);
    await proposeAll(first, ["a", "b", "c"]);
    const epoch = first.leadership().epoch;
    await first.close();
    const after = createRecorder();
    const second = await host.open(after);
    t.same(after.recorded.slice(0, before.recorded.length), before.recorded, "same entries");
    t.ok(second.leadership().epoch > epoch, "epoch rises");
    t.ok(second.leadership().self, "and leads");
    const opening = after.recorded.at(before.recorded.length);
    t.same(
      opening?.text,
      `epoch ${second.leadership().epoch}`,
      "the term's first entry is the epoch",
    );
    t.same(opening?.term, second.leadership().epoch, "written in that term");
    await second.close();
  });

  await run("acknowledged writes survive a crash", async (t, host) => {
    const engine = await host.open(createRecorder());
    const outcomes = await proposeAll(engine, ["a", "b", "c", "d"]);
    void engine.propose(encode("unfinished"));
    await host.crash();
    const machine = createRecorder();
    const next = await host.open(machine);
    for (const { index, result } of outcomes)
      t.ok(has(machine, index, String(result)), `entry ${index} is there`);
    await next.close();
  });

  await run("barrier: state holds every write acknowledged before", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    for (const mode of ["lease", "index"] as const) {
      const outcomes = await proposeAll(engine, [`${mode} 1`, `${mode} 2`]);
      t.same(await engine.barrier(mode), "ok");
      t.ok(
        machine.recorded.some(({ index }) => index === outcomes.at(-1)!.index),
        mode,
      );
    }
    await engine.close();
    t.same(await engine.barrier("lease"), "no leader", "closed: lease");
    t.same(await engine.barrier("index"), "no leader", "closed: index");
  });

  await run("close waits for those under way and refuses later ones", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    const underWay = ["a", "b", "c"].map((text) => engine.propose(encode(text)));
    const closing = engine.close();
    t.match(await engine.propose(encode("late")), { outcome: "refused" }, "late");
    t.match(await Promise.all(underWay), [
      { outcome: "committed" },
      { outcome: "committed" },
      { outcome: "committed" },
    ]);
    await closing;
    const after = createRecorder();
    const next = await host.open(after);
    t.same(withoutEpochs(after.texts()), ["a", "b", "c"], "the late one never entered the log");
    await next.close();
  });

  await run("a command larger than the limit is refused and leaves no trace", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    const huge = await engine.propose(new Uint8Array(1.5 * 1024 * 1024 + 1));
    t.match(huge, { outcome: "refused", reason: /1572865 octets/ });
    const largest = "x".repeat(1.5 * 1024 * 1024);
    t.match(await engine.propose(encode(largest)), { outcome: "committed" });
    t.same(withoutEpochs(machine.texts()), [largest]);
    await engine.close();
  });

  await run("snapshot, trailing entries and restart give the same state", async (t, host) => {
    const before = createRecorder();
    const engine = await host.open(before);
    await proposeAll(engine, numbered("x", 120));
    await engine.compact();
    await proposeAll(engine, numbered("y", 30));
    await engine.close();
    const after = createRecorder();
    const next = await host.open(after);
    t.same(after.installed.length, 1, "starts from the snapshot");
    t.same(after.recorded.slice(0, before.recorded.length), before.recorded, "equal state");
    t.ok(after.applied.length < 40, "and applies only what came later");
    await proposeAll(next, ["z"]);
    t.same(after.texts().at(-1), "z", "takes proposals");
    await next.compact();
    await next.compact();
    await next.close();
  });

  await run("compaction drops entries below the snapshot", async (t, host) => {
    if (host.entries === undefined) return void t.pass("host cannot count");
    const engine = await host.open(createRecorder());
    await proposeAll(engine, numbered("x", 300));
    const full = host.entries(engine);
    t.ok(full > 300, `${full} entries before`);
    await engine.compact();
    const kept = host.entries(engine);
    t.ok(kept < full, `${kept} entries after`);
    await engine.close();
  });

  await run("a snapshot under load is consistent as of its index", async (t, host) => {
    const before = createRecorder();
    const engine = await host.open(before);
    const load = proposeAll(engine, numbered("x", 400));
    await Promise.all([load, engine.compact()]);
    await engine.compact();
    await host.crash();
    const after = createRecorder();
    const next = await host.open(after);
    t.same(after.recorded.slice(0, before.recorded.length), before.recorded, "equal state");
    await next.close();
  });

  await run("restore replaces the state, is one entry and survives", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    const [old] = await proposeAll(engine, ["old"]);
    const image = [{ index: 1, term: 1, text: "restored" }];
    const outcome = await engine.restore({ index: 7, term: 3, chunks: image.map(encode) });
    t.match(outcome, { outcome: "committed" });
    t.ok(indexOf(outcome) > old!.index, "the index does not go back");
    t.ok(indexOf(outcome) > 7, "and is above those of the image");
    t.same(machine.recorded, image, "the image is the state");
    const [after] = await proposeAll(engine, ["new"]);
    t.same(after!.index, indexOf(outcome) + 1, "the log goes on behind it");
    await host.crash();
    const again = createRecorder();
    const next = await host.open(again);
    t.same(withoutEpochs(again.texts()), ["restored", "new"], "after a crash");
    await next.close();
  });

  await run("a damaged image is refused and changes nothing", async (t, host) => {
    const machine = createRecorder();
    const engine = await host.open(machine);
    await proposeAll(engine, ["old"]);
    const broken = await engine.restore({ index: 7, term: 3, chunks: [encode("not json")] });
    t.match(broken, { outcome: "refused" }, "the state machine rejects it");
    const torn = await engine.restore({ index: 7, term: 3, chunks: tornChunks() });
    t.match(torn, { outcome: "refused", reason: /connection lost/ }, "the source fails");
    await proposeAll(engine, ["new"]);
    t.same(withoutEpochs(machine.texts()), ["old", "new"]);
    await engine.close();
    const again = createRecorder();
    const next = await host.open(again);
    t.same(withoutEpochs(again.texts()), ["old", "new"], "nor in the next life");
    await next.close();
  });

  await run("nothing is acknowledged or applied before it is durable", async (t, host) => {
    if (host.hold === undefined) return void t.pass("host cannot hold its disk");
    const machine = createRecorder();
    const engine = await host.open(machine);
    await proposeAll(engine, ["before"]);
    const release = host.hold();
    const outcomes: Outcome[] = [];
    const proposals = ["a", "b"].map(async (text) =>
      outcomes.push(await engine.propose(encode(text))),
    );
    await turns();
    t.same(outcomes, [], "no acknowledgement");
    t.same(withoutEpochs(machine.texts()), ["before"], "nothing applied");
    t.same(await engine.barrier("index"), "ok", "reads go on");
    release();
    await Promise.all(proposals);
    t.match(outcomes, [{ outcome: "committed" }, { outcome: "committed" }]);
    await engine.close();
  });

  await run("a failed store: unknown for those under way, refused afterwards", async (t, host) => {
    if (host.hold === undefined || host.break === undefined)
      return void t.pass("host cannot break its disk");
    const machine = createRecorder();
    const engine = await host.open(machine);
    await proposeAll(engine, ["before"]);
    const seen: boolean[] = [];
    engine.onLeadership(({ self }) => seen.push(self));
    const release = host.hold();
    const first = engine.propose(encode("under way"));
    await turns();
    const second = engine.propose(encode("queued"));
    host.break();
    release();
    t.match(await first, { outcome: "unknown" }, "handed to the store");
    t.match(await second, { outcome: "refused" }, "never left the queue");
    t.match(await engine.propose(encode("later")), { outcome: "refused" });
    t.same(seen, [false], "leadership is given up once");
    t.same(await engine.barrier("lease"), "no leader");
    t.same(withoutEpochs(machine.texts()), ["before"]);
    await engine.close();
  });

  await run(
    "no space: writes are refused, reads go on, writes return with space",
    async (t, host) => {
      if (host.fill === undefined) return void t.pass("host cannot fill its disk");
      const machine = createRecorder();
      const engine = await host.open(machine);
      await proposeAll(engine, ["before"]);
      host.fill(true);
      t.match(await engine.propose(encode("refused")), { outcome: "refused", reason: /full/ });
      t.same(await engine.barrier("index"), "ok");
      t.ok(engine.leadership().self, "leadership is kept");
      host.fill(false);
      await proposeAll(engine, ["after"]);
      t.same(withoutEpochs(machine.texts()), ["before", "after"]);
      const indexes = machine.recorded.map(({ index }) => index);
      t.same(indexes, range(1, indexes.length), "no gap where the refused one was");
      await engine.close();
    },
  );

  await run("leadership listeners can be cancelled", async (t, host) => {
    const engine = await host.open(createRecorder());
    let calls = 0;
    const cancel = engine.onLeadership(() => calls++);
    cancel();
    cancel();
    host.break?.();
    await engine.propose(encode("x"));
    t.same(calls, 0);
    await engine.close();
  });
}

/** Lets everything that is ready run. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Proposes all at once; every one must be committed. */
export async function proposeAll(engine: Engine, texts: readonly string[]) {
  const outcomes = await Promise.all(texts.map((text) => engine.propose(encode(text))));
  return outcomes.map((outcome) => {
    if (outcome.outcome !== "committed") throw new Error(`${outcome.outcome}: ${outcome.reason}`);
    return outcome;
  });
}

const committed = (index: number, text: string) => ({
  outcome: "committed",
  index,
  result: resultOf(index, text),
});

function indexOf(outcome: Outcome): number {
  return outcome.outcome === "committed" ? outcome.index : NaN;
}

function has(machine: Recorder, index: number, result: string): boolean {
  return machine.recorded.some(
    (row) => resultOf(row.index, row.text) === result && row.index === index,
  );
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

async function* tornChunks(): AsyncGenerator<Uint8Array> {
  yield encode({ index: 1, term: 1, text: "half" });
  await turns();
  throw new Error("connection lost");
}
