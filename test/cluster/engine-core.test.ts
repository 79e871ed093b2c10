import t from "tap";
import {
  createCore,
  defaultLimits,
  type Input,
  keepFrom,
  type Output,
  step,
} from "../../src/cluster/single/core.ts";

const octets = (count: number) => new Uint8Array(count);
const propose = (ref: string, count = 1): Input<string> => ({
  type: "propose",
  ref,
  command: octets(count),
});
const epoch: Input<string> = { type: "epoch", command: octets(5) };
const stored: Input<string> = { type: "stored" };
const full: Input<string> = { type: "rolled-back", reason: "full" };
const failed: Input<string> = { type: "failed", reason: "EIO" };
const space = (freeOctets: number): Input<string> => ({
  type: "space",
  space: { freeOctets, totalOctets: 1e9 },
});
const restoreAbove = (imageIndex: number, ref = "R"): Input<string> => ({
  type: "restore",
  ref,
  imageIndex,
});
const restore = restoreAbove(1);
const restored: Input<string> = { type: "restored", octets: 9 };
const dropped: Input<string> = { type: "restore-dropped", reason: "bad image" };
const close: Input<string> = { type: "close" };

/** One line per output, in the order in which the driver carries them out. */
function show(output: Output<string>): string {
  switch (output.type) {
    case "persist":
      return `persist ${output.rows.map(({ index }) => index).join(" ")}`;
    case "apply":
      return `apply ${output.batch.rows.map(({ index }, i) => `${index}=${output.batch.refs[i] ?? "-"}`).join(" ")}`;
    case "settle":
      return `${output.outcome} ${output.ref}: ${output.reason}`;
    case "restore":
      return `restore ${output.ref} at ${output.index}`;
    case "space":
      return `space ${output.space}`;
    case "want-epoch":
    case "leadership":
    case "snapshot":
    case "stop":
    case "drained":
      return output.type;
  }
}

const limits = { ...defaultLimits, batchEntries: 3, batchOctets: 100, uncommittedOctets: 1000 };

/** After term 4 ended with entry 10 in a store whose snapshot holds 1 to 8. */
const createOpenCore = () => {
  const loaded = { term: 4, lastIndex: 10, snapshot: { index: 8, octets: 50 } };
  return createCore<string>(limits, loaded, 0);
};

const opening: [Input<string>, string[]][] = [
  [epoch, ["persist 11"]],
  [stored, ["apply 11=-", "leadership"]],
];

const scenarios: { name: string; steps: [Input<string>, string[]][] }[] = [
  {
    name: "nothing enters the log before the term is open",
    steps: [
      [propose("a"), ["refused a: no leader: the log could not be opened for writing yet"]],
      [epoch, ["persist 11"]],
      [propose("b"), []],
      [stored, ["persist 12", "apply 11=-", "leadership"]],
      [stored, ["apply 12=b"]],
    ],
  },
  {
    name: "a term that could not be opened refuses those behind it and is tried again",
    steps: [
      [epoch, ["persist 11"]],
      [propose("a"), []],
      [full, ["refused a: full"]],
      [space(400e6), ["want-epoch"]],
      [epoch, ["persist 11"]],
      [stored, ["apply 11=-", "leadership"]],
      [space(400e6), []],
    ],
  },
  {
    name: "one batch under way; the queue becomes the next ones, up to three entries",
    steps: [
      ...opening,
      [propose("a"), ["persist 12"]],
      [propose("b"), []],
      [propose("c"), []],
      [propose("d"), []],
      [propose("e"), []],
      [stored, ["persist 13 14 15", "apply 12=a"]],
      [stored, ["persist 16", "apply 13=b 14=c 15=d"]],
      [stored, ["apply 16=e"]],
    ],
  },
  {
    name: "a batch ends before 100 octets are passed, but one entry always fits",
    steps: [
      ...opening,
      [propose("a", 200), ["persist 12"]],
      [propose("b", 60), []],
      [propose("c", 40), []],
      [propose("d", 1), []],
      [propose("e", 200), []],
      [stored, ["persist 13 14", "apply 12=a"]],
      [stored, ["persist 15", "apply 13=b 14=c"]],
      [stored, ["persist 16", "apply 15=d"]],
    ],
  },
  {
    name: "more than 1000 octets are never queued; each entry counts 64 more",
    steps: [
      ...opening,
      [propose("a", 800), ["persist 12"]],
      [propose("b", 73), ["refused b: too many writes under way: 864 octets are not durable yet"]],
      [propose("c", 72), []],
      [propose("d", 0), ["refused d: too many writes under way: 1000 octets are not durable yet"]],
      [stored, ["persist 13", "apply 12=a"]],
      [propose("e", 100), []],
    ],
  },
  {
    name: "a rolled back batch frees its indexes; the queue goes on",
    steps: [
      ...opening,
      [propose("a"), ["persist 12"]],
      [propose("b"), []],
      [full, ["refused a: full", "persist 12"]],
      [stored, ["apply 12=b"]],
    ],
  },
  {
    name: "failure: unknown in the store, refused in the queue, final",
    steps: [
      ...opening,
      [propose("a"), ["persist 12"]],
      [propose("b"), []],
      [failed, ["unknown a: EIO", "refused b: EIO", "leadership", "stop", "drained"]],
      [propose("c"), ["refused c: the log store has failed"]],
      [restore, ["refused R: the log store has failed"]],
      [stored, []],
      [space(1), []],
      [failed, []],
      [close, ["drained"]],
    ],
  },
  {
    name: "space: low warns, full refuses, a quarter more than the limit opens again",
    steps: [
      ...opening,
      [space(255 * 1024 * 1024), ["space low"]],
      [propose("a"), ["persist 12"]],
      [stored, ["apply 12=a"]],
      [space(64 * 1024 * 1024 - 1), ["space full"]],
      [propose("b"), ["refused b: disk is full"]],
      [space(70 * 1024 * 1024), []],
      [propose("c"), ["refused c: disk is full"]],
      [space(80 * 1024 * 1024), ["space low"]],
      [propose("d"), ["persist 13"]],
    ],
  },
  {
    name: "restore: alone in the log, ahead of the queue, takes the next index",
    steps: [
      ...opening,
      [propose("a"), ["persist 12"]],
      [propose("b"), []],
      [restore, []],
      [restoreAbove(1, "S"), ["refused S: another restore is under way"]],
      [stored, ["apply 12=a", "restore R at 13"]],
      [propose("c"), []],
      [{ type: "compact" }, []],
      [restored, ["persist 14 15"]],
      [stored, ["apply 14=b 15=c"]],
    ],
  },
  {
    name: "a dropped restore gives its index back",
    steps: [
      ...opening,
      [restore, ["restore R at 12"]],
      [propose("a"), []],
      [dropped, ["refused R: bad image", "persist 12"]],
    ],
  },
  {
    name: "an image with higher indexes than the log takes one above them, and gives it back",
    steps: [
      ...opening,
      [restoreAbove(700), ["restore R at 701"]],
      [dropped, ["refused R: bad image"]],
      [propose("a"), ["persist 12"]],
      [stored, ["apply 12=a"]],
      [restoreAbove(700), ["restore R at 701"]],
      [propose("b"), []],
      [restored, ["persist 702"]],
      [stored, ["apply 702=b"]],
    ],
  },
  {
    name: "a restore waits for the snapshot under way",
    steps: [
      ...opening,
      [{ type: "compact" }, ["snapshot"]],
      [{ type: "compact" }, []],
      [restore, []],
      [propose("a"), []],
      [{ type: "snapshot-saved", index: 11, octets: 5 }, ["restore R at 12"]],
      [restored, ["persist 13"]],
    ],
  },
  {
    name: "failure during a restore: unknown",
    steps: [
      ...opening,
      [restore, ["restore R at 12"]],
      [failed, ["unknown R: EIO", "leadership", "stop", "drained"]],
    ],
  },
  {
    name: "close drains what was accepted",
    steps: [
      ...opening,
      [propose("a"), ["persist 12"]],
      [propose("b"), []],
      [close, []],
      [propose("c"), ["refused c: server is shutting down"]],
      [stored, ["persist 13", "apply 12=a"]],
      [stored, ["apply 13=b", "drained"]],
    ],
  },
  {
    name: "close waits for a snapshot",
    steps: [
      ...opening,
      [{ type: "compact" }, ["snapshot"]],
      [close, []],
      [{ type: "snapshot-failed" }, ["drained"]],
    ],
  },
];

for (const { name, steps } of scenarios)
  t.test(name, (t) => {
    const core = createOpenCore();
    for (const [i, [input, expected]] of steps.entries()) {
      t.same(step(core, input).map(show), expected, `${i}: ${input.type}`);
      t.ok(core.uncommittedOctets >= 0 && core.uncommittedOctets <= limits.uncommittedOctets);
      t.ok(core.appliedIndex <= core.lastIndex);
    }
    t.end();
  });

t.test("what a trim may delete", (t) => {
  const core = createOpenCore();
  t.equal(keepFrom(core), 1, "fewer entries than are kept");
  core.snapshot.index = 10240;
  t.equal(keepFrom(core), 1);
  core.snapshot.index = 10241;
  t.equal(keepFrom(core), 2, "10240 stay below the snapshot and with it");
  t.end();
});

t.test("a large state is not written again for every 64 MiB of log", (t) => {
  const loaded = { term: 1, lastIndex: 0, snapshot: { index: 0, octets: 500 } };
  const core = createCore<string>({ ...limits, snapshotOctets: 100 }, loaded, 0);
  step(core, epoch);
  step(core, stored);
  const snapshots = Array.from({ length: 12 }, () => {
    step(core, propose("x", 50));
    return step(core, stored).some(({ type }) => type === "snapshot");
  });
  t.same(snapshots.indexOf(true), 9, "only when 500 octets of log have come, 5 with the epoch");
  t.end();
});
