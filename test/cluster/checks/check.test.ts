import t from "tap";
import {
  aliasResult,
  countResult,
  cutOutput,
  expiredOutput,
  lastOctets,
  outputLimit,
  type AliasedCheck,
  type CheckStatus,
} from "../../../src/cluster/checks/check.ts";
import { createSchedule, MAX_RUNNING_PROBES } from "../../../src/cluster/checks/schedule.ts";
import type { ProbeResult } from "../../../src/cluster/checks/check.ts";
import { parseCheck, type CheckDefinition } from "../../../src/cluster/definition.ts";

function check(body: Record<string, unknown> = {}): CheckDefinition {
  const parsed = parseCheck({ Name: "c", TCP: "h:1", Interval: "10s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return parsed.value;
}

// p, w, c: what a run found; P, W, C: what is reported; "-": nothing is.
const thresholds: { when: Record<string, number>; found: string; reported: string }[] = [
  { when: {}, found: "pwcp", reported: "PWCP" },
  { when: { SuccessBeforePassing: 2 }, found: "ppcpp", reported: "-PC-P" },
  { when: { SuccessBeforePassing: 2 }, found: "pwp", reported: "-WP" },
  { when: { FailuresBeforeCritical: 3 }, found: "cccc", reported: "--CC" },
  { when: { FailuresBeforeCritical: 3 }, found: "ccpccc", reported: "--P--C" },
  { when: { FailuresBeforeWarning: 1, FailuresBeforeCritical: 3 }, found: "ccc", reported: "WWC" },
  { when: { FailuresBeforeWarning: 2, FailuresBeforeCritical: 3 }, found: "ccc", reported: "-WC" },
];

t.test("thresholds", async (t) => {
  const words: Record<string, CheckStatus> = { p: "passing", w: "warning", c: "critical" };
  for (const { when, found, reported } of thresholds) {
    const counters = { successes: 0, failures: 0 };
    const definition = check(when);
    const got = found
      .split("")
      .map(
        (letter) => countResult(counters, definition, words[letter]!)?.[0]?.toUpperCase() ?? "-",
      );
    t.equal(got.join(""), reported, `${JSON.stringify(when)} ${found}`);
  }
});

t.test("output is cut by octets, never inside a character", async (t) => {
  t.equal(cutOutput("0123456789abcdef", 10), "0123456789 ... (captured 10 of 16 bytes)");
  t.equal(cutOutput("0123456789", 10), "0123456789");
  t.equal(cutOutput("ééé", 3), "é ... (captured 3 of 6 bytes)");
  t.equal(lastOctets(new TextEncoder().encode("abcdef"), 3), "def");
  t.equal(lastOctets(new TextEncoder().encode("ééé"), 3), "é");
  t.equal(lastOctets(new TextEncoder().encode("abc"), 9), "abc");
  t.equal(outputLimit(check({ OutputMaxSize: 10 }), 4096), 10);
  t.equal(outputLimit(check({ OutputMaxSize: 9999 }), 4096), 4096, "only lowered");
  t.equal(expiredOutput(""), "TTL expired");
});

t.test("an alias is as bad as the worst of its service and the node", async (t) => {
  const row = (checkId: string, status: string, serviceId = "web"): AliasedCheck => ({
    checkId,
    name: checkId,
    status,
    serviceId,
    output: `${checkId} says`,
    type: "ttl",
  });
  const target = { node: "n", serviceId: "web", serviceExists: true };
  const cases: [string, AliasedCheck[], string][] = [
    ["no checks", [], "passing No checks found."],
    ["all passing", [row("a", "passing"), row("b", "passing", "")], "passing All checks passing."],
    ["of others", [row("a", "critical", "other")], "passing No checks found."],
    [
      "warning first",
      [row("a", "warning"), row("b", "passing")],
      'warning Aliased check "a" failing: a says',
    ],
    [
      "critical wins",
      [row("a", "warning"), row("b", "critical", "")],
      'critical Aliased check "b" failing: b says',
    ],
    [
      "first critical",
      [row("c", "critical"), row("b", "critical")],
      'critical Aliased check "b" failing: b says',
    ],
  ];
  for (const [when, checks, wanted] of cases) {
    const { status, output } = aliasResult(target, checks, () => false);
    t.equal(`${status} ${output}`, wanted, when);
  }
  t.same(
    aliasResult({ ...target, serviceExists: false }, [row("a", "passing", "")], () => false),
    {
      status: "critical",
      output: "Service web could not be found on node n",
    },
  );
  t.match(
    aliasResult(target, [row("al", "critical", "")], ({ checkId }) => checkId === "al"),
    {
      status: "passing",
    },
  );
});

/** A schedule with time and probes in our hand. */
function createScheduleWorld() {
  let nowMs = 0;
  let timers: { atMs: number; run: () => void }[] = [];
  const reports: string[] = [];
  const running: { check: CheckDefinition; resolve: (result: ProbeResult) => void }[] = [];
  let cancelled = 0;
  const schedule = createSchedule({
    timers: {
      after(delayMs, run) {
        const timer = { atMs: nowMs + delayMs, run };
        timers.push(timer);
        return () => void (timers = timers.filter((other) => other !== timer));
      },
    },
    random: { uint32: () => 2 ** 31 },
    probe(check) {
      let resolve: (result: ProbeResult) => void = () => {};
      const result = new Promise<ProbeResult>((settle) => (resolve = settle));
      running.push({ check, resolve });
      return { result, cancel: () => void cancelled++ };
    },
    report: (id, status) => void reports.push(`${id} ${status}`),
  });
  return {
    schedule,
    reports,
    running,
    cancelled: () => cancelled,
    pass(ms: number) {
      nowMs += ms;
      for (;;) {
        const due = timers.find(({ atMs }) => atMs <= nowMs);
        if (due === undefined) return;
        timers = timers.filter((timer) => timer !== due);
        due.run();
      }
    },
    async answer(status: CheckStatus) {
      running.shift()!.resolve({ status, output: "" });
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

t.test("runs are spread, one at a time, an interval after the end of the last", async (t) => {
  const world = createScheduleWorld();
  world.schedule.start("a", check(), 100);
  world.pass(4_999);
  t.equal(world.running.length, 0, "half the interval, as the random number says");
  world.pass(1);
  t.equal(world.running.length, 1);
  world.pass(60_000);
  t.equal(world.running.length, 1, "not a second one beside it");
  await world.answer("passing");
  t.same(world.reports, ["a passing"]);
  world.pass(9_999);
  t.equal(world.running.length, 0);
  world.pass(1);
  t.equal(world.running.length, 1);
});

t.test("intervals below a second are a second", async (t) => {
  const world = createScheduleWorld();
  world.schedule.start("a", check({ Interval: "1ms" }), 100);
  world.pass(499);
  t.equal(world.running.length, 0);
  world.pass(1);
  t.equal(world.running.length, 1);
});

t.test("a check that was stopped or replaced reports nothing any more", async (t) => {
  const world = createScheduleWorld();
  world.schedule.start("a", check(), 100);
  world.pass(5_000);
  world.schedule.start("a", check(), 100);
  t.equal(world.cancelled(), 1);
  await world.answer("critical");
  t.same(world.reports, []);
  world.pass(5_000);
  world.schedule.stop("a");
  await world.answer("critical");
  t.same(world.reports, []);
  t.same(world.schedule.counts, { scheduled: 0, running: 0, waiting: 0 });
});

t.test("the number of probes at a time is bounded; the others wait their turn", async (t) => {
  const world = createScheduleWorld();
  for (let i = 0; i < MAX_RUNNING_PROBES + 3; i++) world.schedule.start(`c${i}`, check(), 100);
  world.pass(5_000);
  t.same(world.schedule.counts, {
    scheduled: MAX_RUNNING_PROBES + 3,
    running: MAX_RUNNING_PROBES,
    waiting: 3,
  });
  world.schedule.stop(`c${MAX_RUNNING_PROBES}`);
  await world.answer("passing");
  t.match(world.schedule.counts, { running: MAX_RUNNING_PROBES, waiting: 1 });
});
