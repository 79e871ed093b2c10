// The journal against a map and a disk that forgets: what was durable is there, damage is not taken for an end.
import t from "tap";
import { change, createCore, finish, nextWork, type Work } from "../../src/cluster/journal/core.ts";
import { changeLine, headerLine, readJournal } from "../../src/cluster/journal/lines.ts";
import type { StoredEntry, StoredKind } from "../../src/cluster/local-store.ts";
import { createSource, seed, type Source } from "../fuzz/random.ts";

const SECTOR_OCTETS = 512;
const limits = { rewriteOctets: 4_000, batchChanges: 3, chunkOctets: 300 };
const kinds: readonly StoredKind[] = ["services", "checks", "checks/state"];

/** What a disk promises: octets up to the last sync stay, later sectors may or may not. */
function createDisk() {
  let cached: Uint8Array = new Uint8Array();
  let synced: Uint8Array = new Uint8Array();
  return {
    get octets() {
      return cached;
    },
    write(octets: Uint8Array, at: number) {
      const grown = new Uint8Array(Math.max(cached.length, at + octets.length));
      grown.set(cached);
      grown.set(octets, at);
      cached = grown;
    },
    sync: () => void (synced = cached),
    replace(octets: Uint8Array) {
      cached = octets;
      synced = octets;
    },
    /** After a power failure; `keeps` says which of the sectors in doubt made it. */
    afterPowerFailure(keeps: () => boolean, length: number): Uint8Array {
      const left = cached.slice(0, synced.length + length);
      for (let at = synced.length; at < left.length;) {
        const end = Math.min(left.length, (Math.floor(at / SECTOR_OCTETS) + 1) * SECTOR_OCTETS);
        if (!keeps()) left.fill(0, at, end);
        at = end;
      }
      return left;
    },
  };
}

type Model = Map<string, string>;
const modelOf = (entries: Iterable<StoredEntry>): Model =>
  new Map([...entries].map(({ kind, id, text }) => [`${kind} ${id}`, text]));
const shown = (model: Model) => JSON.stringify([...model].toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** One life after the other on one disk; the model is the list of states after each change. */
function createWorld(source: Source) {
  const below = (count: number) => source.below(count);
  const once = (count: number) => source.once(count);
  const disk = createDisk();
  let core = createCore<() => void>(limits, null);
  /** `states[0]` is what the life began with. */
  let states: Model[] = [new Map()];
  /** Changes up to this one were acknowledged as durable; everybody is told once. */
  let held = 0;
  let waiting = 0;
  const counts = { rewrites: 0, failures: 0, cuts: 0, partial: 0 };

  function ask(): void {
    const kind = source.pick(kinds);
    const id = source.pick(["a", 'b "\\ ü', "c\u0000\n", "d/e", "\ud800"]);
    const text = once(3) ? null : JSON.stringify({ v: below(5), pad: "x".repeat(below(900)) });
    const isDurable = !once(3);
    const last = states.at(-1)!;
    if ((last.get(`${kind} ${id}`) ?? null) !== text) {
      const next = new Map(last);
      if (text === null) next.delete(`${kind} ${id}`);
      else next.set(`${kind} ${id}`, text);
      states.push(next);
    }
    const at = states.length - 1;
    const settle = () => {
      waiting--;
      if (isDurable) held = Math.max(held, at);
    };
    waiting++;
    if (!change(core, { kind, id, text, isDurable }, settle)) waiting--;
  }

  /** False when the disk failed. */
  function perform(work: Work<() => void>): boolean {
    const failed = once(12);
    let octets: Uint8Array = new Uint8Array();
    if (work.type === "rewrite") {
      counts.rewrites++;
      octets = Buffer.concat([...work.chunks]);
      if (!failed) disk.replace(new Uint8Array(octets));
    } else {
      octets = failed ? work.octets.subarray(0, below(work.octets.length)) : work.octets;
      disk.write(octets, work.at);
      if (work.sync && !failed) disk.sync();
    }
    const told = finish(core, failed ? "failed" : { octets: disk.octets.length });
    if (failed) waiting -= told.length;
    else for (const settle of told) settle();
    return !failed;
  }

  return {
    disk,
    counts,
    turn(): void {
      for (let count = below(5); count > 0; count--) ask();
      for (let work = nextWork(core, once(2)); work !== null; work = nextWork(core)) {
        if (once(3)) ask();
        if (perform(work)) continue;
        counts.failures++;
        return;
      }
    },
    /** What is to be seen in the file when nobody waits. */
    get expected() {
      return core.file === "sound" ? { found: states.at(-1)!, waiting } : undefined;
    },
    /** The life ends; gives what is wrong with the next one. */
    end(octets: Uint8Array): string | undefined {
      const journal = readJournal(octets);
      if (!journal.ok) return journal.error;
      if (journal.value.cutOctets > 0) counts.cuts++;
      const found = modelOf(journal.value.entries.values());
      const at = states.findLastIndex((state) => shown(state) === shown(found));
      if (at < held) return `state ${at} of ${states.length} found, ${held} was acknowledged`;
      if (at < states.length - 1) counts.partial++;
      disk.replace(octets);
      core = createCore<() => void>(limits, journal.value);
      states = [found];
      held = waiting = 0;
      return undefined;
    },
  };
}

t.test("random changes, failures, kills and power failures", (t) => {
  const source = createSource(1);
  const world = createWorld(source);
  const { disk } = world;
  for (let step = 0; step < 6_000; step++) {
    world.turn();
    const { expected } = world;
    if (expected !== undefined) {
      const journal = readJournal(disk.octets);
      if (!journal.ok) return void t.fail(`seed ${seed} step ${step}: ${journal.error}`);
      const found = modelOf(journal.value.entries.values());
      if (shown(found) !== shown(expected.found) || expected.waiting !== 0)
        t.same(found, expected, `seed ${seed} step ${step}`);
    }
    if (!source.once(10) || disk.octets.length === 0) continue;
    const left = source.once(2)
      ? disk.octets
      : disk.afterPowerFailure(() => source.once(2), source.below(4_000));
    const problem = world.end(left);
    if (problem !== undefined) return void t.fail(`seed ${seed} step ${step}: ${problem}`);
  }
  const { rewrites, failures, cuts, partial } = world.counts;
  const text = `${rewrites} rewrites, ${failures} failures, ${cuts} cut ends, ${partial} states in between`;
  t.ok(rewrites > 300 && failures > 300 && cuts > 20 && partial > 20, text);
  t.end();
});

const entry = (id: string, text: string) => ({ kind: "services", id, text }) as const;
const lines = (...texts: Uint8Array[]) => new Uint8Array(Buffer.concat(texts));

t.test("damage in what was durable is told from an unfinished end", (t) => {
  const whole = lines(
    headerLine(10, 1),
    changeLine(entry("a", "1"), 11, 10),
    changeLine(entry("b", "2"), 12, 11),
    changeLine(entry("c", "3"), 13, 11),
    changeLine(entry("d", "4"), 14, 13),
  );
  const ends = [...whole.keys()].filter((at) => whole[at] === 10).map((at) => at + 1);
  const idsIn = (octets: Uint8Array) => {
    const journal = readJournal(octets);
    return journal.ok ? [...journal.value.entries.values()].map(({ id }) => id).join("") : journal;
  };
  t.equal(idsIn(whole), "abcd");
  for (let at = 0; at < whole.length; at++) {
    const flipped = whole.slice();
    flipped[at]! ^= 1;
    const line = ends.findIndex((end) => at < end) + 1;
    // Line 5 says that all up to line 4 was durable, but who vouches for line 5, or for the newline before it?
    const isEnd = at >= ends[3]! - 1;
    const problem = line === 1 ? "is not that of a journal" : "does not match its checksum";
    const wanted = { ok: false, error: `line ${line} ${problem}` };
    const found = idsIn(flipped);
    if (
      isEnd
        ? found !== (line === 5 ? "abc" : "ab")
        : JSON.stringify(found) !== JSON.stringify(wanted)
    )
      t.same(found, wanted, `octet ${at} changed`);
    const shorter = idsIn(whole.subarray(0, at));
    const whatIsWhole = ["a", "ab", "abc"][ends.findLastIndex((end) => end <= at) - 1];
    if (at < ends[1]!) t.match(shorter, { ok: false }, `${at} octets: less than the first write`);
    else if (shorter !== whatIsWhole) t.equal(shorter, whatIsWhole, `${at} octets`);
  }
  // The lines 3 and 4 were under way together: the second may be on disk without the first.
  const torn = whole.slice(0, ends[3]);
  torn.fill(0, ends[1], ends[2]);
  t.equal(idsIn(torn), "a");
  const rows: [Uint8Array, string][] = [
    [
      lines(headerLine(0, 0), changeLine(entry("a", "1"), 2, 0)),
      "line 2 does not follow from line 1",
    ],
    [lines(), "line 1 is not that of a journal"],
    [lines(changeLine(entry("a", "1"), 1, 0)), "line 1 is not that of a journal"],
  ];
  for (const [octets, error] of rows) t.same(readJournal(octets), { ok: false, error });
  t.end();
});
