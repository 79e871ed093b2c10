import t from "tap";
import { phaseOf, type CheckStatus, type ProbeResult } from "../../../src/cluster/checks/check.ts";
import { createSchedule, MAX_RUNNING } from "../../../src/cluster/checks/schedule.ts";
import { parseCheck, type CheckDefinition } from "../../../src/cluster/definition.ts";

const SALT = 12_345;

function check(body: Record<string, unknown> = {}): CheckDefinition {
  const parsed = parseCheck({ Name: "c", TCP: "h:1", Interval: "10s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return parsed.value;
}

/** When the check `id` has its first place, with 10 s between two. */
const placeOf = (id: string, intervalMs = 10_000): number => phaseOf(id, SALT) * intervalMs;

/** A schedule with time and probes in our hand. */
function createWorld(maxSockets?: number) {
  let nowMs = 0;
  let timers: { atMs: number; run: () => void }[] = [];
  const reports: string[] = [];
  const running: { check: CheckDefinition; resolve: (result: ProbeResult) => void }[] = [];
  const startedMs: number[] = [];
  let cancelled = 0;
  const schedule = createSchedule({
    clock: { monotonicMs: () => nowMs },
    timers: {
      after(delayMs, run) {
        const timer = { atMs: nowMs + delayMs, run };
        timers.push(timer);
        return () => void (timers = timers.filter((other) => other !== timer));
      },
    },
    random: { uint32: () => SALT },
    probe(check) {
      let resolve: (result: ProbeResult) => void = () => {};
      const result = new Promise<ProbeResult>((settle) => (resolve = settle));
      running.push({ check, resolve });
      startedMs.push(nowMs);
      return { result, cancel: () => void cancelled++ };
    },
    maxSockets,
    report: (id, status) => void reports.push(`${id} ${status}`),
  });
  return {
    schedule,
    reports,
    running,
    startedMs,
    cancelled: () => cancelled,
    now: () => nowMs,
    /** Time goes on to this moment; timers run when they are due. */
    passTo(endMs: number) {
      for (;;) {
        const next = timers.toSorted((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined || next.atMs > endMs) break;
        timers = timers.filter((timer) => timer !== next);
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
      }
      nowMs = endMs;
    },
    /** The process stands still: time passes and no timer runs. */
    standStillTo: (endMs: number) => void (nowMs = endMs),
    async answer(status: CheckStatus = "passing") {
      running.shift()!.resolve({ status, output: "" });
      await new Promise((resolve) => setImmediate(resolve));
    },
    skipped: () => schedule.figures.read().reduce((sum, { skipped }) => sum + skipped, 0),
  };
}

t.test("places are spread evenly, whatever the ids look like", async (t) => {
  for (const name of [(i: number) => `service:web-${i}`, (i: number) => `${i}`]) {
    const counts = Array.from({ length: 20 }, () => 0);
    for (let i = 0; i < 20_000; i++) counts[Math.floor(phaseOf(name(i), SALT) * 20)]!++;
    // 1,000 expected in each; with even chances 5 standard deviations are 154
    for (const count of counts) t.ok(Math.abs(count - 1_000) < 154, `${count} of 1,000`);
  }
  t.not(phaseOf("a", 1), phaseOf("a", 2), "another process has other places");
});

t.test("a run is due at its place of every interval, however long runs take", async (t) => {
  const world = createWorld();
  const place = placeOf("a");
  world.schedule.start("a", check(), 100);
  for (const tookMs of [0, 1, 5_000, 9_999, 0]) {
    const due = place + world.startedMs.length * 10_000;
    world.passTo(due - 0.001);
    t.equal(world.running.length, 0);
    world.passTo(due);
    t.equal(world.running.length, 1);
    world.passTo(due + tookMs);
    await world.answer();
  }
  t.same(
    world.startedMs.map((ms) => Math.round(ms - place)),
    [0, 10_000, 20_000, 30_000, 40_000],
  );
  t.equal(world.skipped(), 0);
});

t.test("a run that takes longer than the interval makes the next ones be skipped", async (t) => {
  const world = createWorld();
  const place = placeOf("a");
  world.schedule.start("a", check(), 100);
  world.passTo(place + 34_000);
  t.equal(world.running.length, 1, "not a second one beside it");
  await world.answer();
  t.equal(world.skipped(), 3);
  world.passTo(place + 39_999);
  t.equal(world.running.length, 0);
  world.passTo(place + 40_001);
  t.equal(world.running.length, 1, "in its place again");
});

t.test("after a standstill checks come at their places, not all at once", async (t) => {
  const world = createWorld();
  const ids = Array.from({ length: 500 }, (_, i) => `c${i}`);
  for (const id of ids) world.schedule.start(id, check(), 100);
  world.standStillTo(95_000);
  world.passTo(95_000);
  const places = ids.map((id) => placeOf(id));
  // those whose last place is less than an interval ago have not missed it
  t.equal(world.running.length, 0);
  world.passTo(105_000);
  t.equal(world.running.length, 500);
  const wanted = places.map((ms) => ms + (ms > 5_000 ? 90_000 : 100_000)).toSorted((a, b) => a - b);
  world.startedMs.forEach((ms, i) => t.ok(Math.abs(ms - wanted[i]!) < 1));
  t.ok(world.skipped() >= 500 * 9);
});

t.test("intervals below a second are a second", async (t) => {
  const world = createWorld();
  world.schedule.start("a", check({ Interval: "1ms" }), 100);
  const place = placeOf("a", 1_000);
  world.passTo(place - 1);
  t.equal(world.running.length, 0);
  world.passTo(place);
  await world.answer();
  world.passTo(place + 999);
  t.equal(world.running.length, 0);
  world.passTo(place + 1_000);
  t.equal(world.running.length, 1);
});

t.test("registered again: the same goes on, another takes its place", async (t) => {
  const world = createWorld();
  const place = placeOf("a");
  for (let ms = 0; ms < place; ms += 500) {
    world.passTo(ms);
    world.schedule.start("a", check({ Notes: String(ms) }), 100);
  }
  world.passTo(place);
  t.equal(world.running.length, 1, "registrations every half second keep nothing from running");
  const same = world.running[0]!.check;
  world.schedule.start("a", { ...same }, 100);
  t.equal(world.cancelled(), 0, "the run under way goes on");
  await world.answer("critical");
  t.same(world.reports, ["a critical"]);
  world.passTo(place + 10_000);
  world.schedule.start("a", check({ Notes: "other" }), 100);
  t.equal(world.cancelled(), 1);
  await world.answer("critical");
  t.same(world.reports, ["a critical"], "nothing of the one that was replaced");
  world.passTo(place + 20_000);
  t.equal(world.running.length, 1);
});

t.test("a check that was stopped reports nothing any more", async (t) => {
  const world = createWorld();
  world.schedule.start("a", check(), 100);
  world.passTo(10_000);
  world.schedule.stop("a");
  t.equal(world.cancelled(), 1);
  await world.answer("critical");
  t.same(world.reports, []);
  world.schedule.stop("never started");
  world.passTo(60_000);
  t.same(world.schedule.counts, { scheduled: 0, running: 0, waiting: 0 });
});

t.test("sockets and processes have bounds of their own; what is over waits its turn", async (t) => {
  const world = createWorld();
  const sockets = MAX_RUNNING.socket + 3;
  for (let i = 0; i < sockets; i++) world.schedule.start(`c${i}`, check(), 100);
  world.passTo(10_000);
  t.same(world.schedule.counts, { scheduled: sockets, running: MAX_RUNNING.socket, waiting: 3 });
  const script = check({ TCP: "", Args: ["true"] });
  for (let i = 0; i < MAX_RUNNING.process + 2; i++) world.schedule.start(`p${i}`, script, 100);
  world.passTo(20_000);
  t.match(world.schedule.counts, {
    running: MAX_RUNNING.socket + MAX_RUNNING.process,
    waiting: 5,
  });
  await world.answer();
  t.match(world.schedule.counts, { waiting: 4 }, "the place of a socket is for a socket");
});

t.test("a machine with few descriptors has fewer places", async (t) => {
  const world = createWorld(2);
  for (const id of ["a", "b", "c"]) world.schedule.start(id, check(), 100);
  world.passTo(10_000);
  t.match(world.schedule.counts, { running: 2, waiting: 1 });
  world.passTo(60_000);
  t.match(world.schedule.counts, { running: 2, waiting: 1 }, "each waits once");
  await world.answer();
  t.match(world.schedule.counts, { running: 2, waiting: 0 });
});

t.test("figures of runs, by kind", async (t) => {
  const world = createWorld();
  world.schedule.start("a", check(), 100);
  const place = placeOf("a");
  for (const [i, status] of (["passing", "critical", "critical"] as const).entries()) {
    world.passTo(place + i * 10_000);
    world.passTo(place + i * 10_000 + 300);
    await world.answer(status);
  }
  const [tcp] = world.schedule.figures.read();
  t.match(tcp, { kind: "tcp", runs: { passing: 1, warning: 0, critical: 2 }, skipped: 0 });
  t.ok(Math.abs(tcp!.durationSum - 0.9) < 1e-6);
  t.equal(tcp!.durationCounts[tcp!.durationBounds.indexOf(0.5)], 3);
});
