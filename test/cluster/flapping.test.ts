/** What flapping checks may cost the log, and what the catalog shows meanwhile. */
import { ok as holds } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { CHECK_WRITES } from "../../src/cluster/flapping.ts";
import { STATUS_ROUNDS } from "../../src/cluster/sync-queue.ts";
import { inCatalog, settle, startedWorld, type LocalWorld } from "./local-world.ts";

const ids = ["a", "b", "c"];
const severity = ["passing", "warning", "critical"];

const step = fc.record({
  id: fc.constantFrom(...ids),
  status: fc.constantFrom(...severity),
  output: fc.constantFrom("", "one", "two"),
  times: fc.constantFrom(1, 1, 5, 40),
  waitMs: fc.constantFrom(0, 0, 1, 60, 900, 9_000, 40_000),
});

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Times of the commands that wrote this check; undefined: any check. */
function writesOf({ proposed, proposedAtMs }: LocalWorld, id: string | undefined): number[] {
  return proposedAtMs.filter((_, i) => {
    const command = proposed[i]!;
    if (command.type !== "register" || command.service !== null) return false;
    return command.checks.some(({ checkId }) => id === undefined || checkId === id);
  });
}

/** In every window that begins with one of the times. */
function neverAbove(atMs: readonly number[], limit: (windowMs: number) => number, what: string) {
  for (let from = 0; from < atMs.length; from++)
    for (let to = from; to < atMs.length; to++) {
      const [count, windowMs] = [to - from + 1, atMs[to]! - atMs[from]!];
      holds(count <= limit(windowMs), `${what}: ${count} writes in ${windowMs} ms`);
    }
}

function localStatus(world: LocalWorld, id: string): string {
  return world.agent.checks.get(id)!.fields.status;
}

function shown(world: LocalWorld, id: string): string {
  return world.reader.check("node-a", id)!.status;
}

async function play(world: LocalWorld, { id, status, output, times, waitMs }: Step) {
  const other = severity[(severity.indexOf(status) + 1) % 3]!;
  for (let i = 0; i < times; i++) {
    if (i > 0) void world.agent.updateTtl(id, other, output);
    if (i > 0) await settle();
    void world.agent.updateTtl(id, status, output);
    await settle();
  }
  await world.pass(waitMs);
  if (waitMs < STATUS_ROUNDS.intervalMs) return;
  for (const each of ids)
    holds(
      severity.indexOf(shown(world, each)) >= severity.indexOf(localStatus(world, each)),
      `${each} is ${localStatus(world, each)}, not ${shown(world, each)}`,
    );
}

async function isBounded(steps: Step[], checkUpdateIntervalMs: number): Promise<void> {
  const world = await startedWorld({ checkUpdateIntervalMs });
  for (const id of ids) await world.check({ Name: id, TTL: "24h" });
  world.proposed.length = world.proposedAtMs.length = 0;
  for (const each of steps) await play(world, each);
  await world.pass(CHECK_WRITES.intervalMs + STATUS_ROUNDS.intervalMs);
  for (const id of ids) {
    holds(shown(world, id) === localStatus(world, id), `the last state of ${id} is written`);
    const { output } = world.agent.checks.get(id)!.fields;
    if (checkUpdateIntervalMs === 0)
      holds(world.reader.check("node-a", id)!.output === output, `the last output of ${id}`);
    const limit = (ms: number) => 3 * (CHECK_WRITES.burst + ms / CHECK_WRITES.intervalMs) + 2;
    neverAbove(writesOf(world, id), limit, id);
  }
  neverAbove(
    writesOf(world, undefined),
    (ms) => STATUS_ROUNDS.burst + ms / STATUS_ROUNDS.intervalMs,
    "all checks",
  );
  await world.pass(600_000);
  holds(world.agent.counts().sync.flapping === 0, "calm at last");
}

t.test(
  "writes are bounded, the catalog is never healthier, the last state gets there",
  async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.constantFrom(0, 30_000),
        isBounded,
      ),
      { numRuns: 200, seed: 20_261_121 },
    );
    t.pass();
  },
);

t.test("a flapping check is told once in the log, and once when it has stopped", async (t) => {
  const world = await startedWorld();
  await world.check({ Name: "a", TTL: "24h" });
  const before = world.proposed.length;
  for (let i = 0; i < 1000; i++)
    await world.agent.updateTtl("a", i % 2 === 0 ? "passing" : "critical", `run ${i}`);
  t.equal(world.proposed.length - before, 2 * CHECK_WRITES.burst);
  t.equal(inCatalog(world, "a")?.split(" ")[0], "critical");
  t.match(world.agent.counts().sync, { flapping: 1, pending: 1 });
  const flaps = () => world.logged.filter((line) => /flap/.test(line)).length;
  t.equal(flaps(), 1);

  await world.agent.updateTtl("a", "passing", "well");
  t.equal(inCatalog(world, "a")?.split(" ")[0], "critical", "a better state waits");
  await world.pass(CHECK_WRITES.intervalMs);
  t.equal(inCatalog(world, "a"), "passing well");
  await world.agent.updateTtl("a", "critical", "no");
  t.equal(inCatalog(world, "a"), "critical no", "a worse one does not");
  await world.pass(200_000);
  t.match(world.agent.counts().sync, { flapping: 0, pending: 0 });
  t.match(
    world.logged.filter((line) => /flap/.test(line)),
    [/warn/, /info.*stopped flapping/],
  );

  await world.agent.deregisterCheck("a");
  await world.check({ Name: "a", TTL: "24h" });
  await world.agent.updateTtl("a", "passing", "");
  t.equal(inCatalog(world, "a"), "passing", "one that was registered anew is not held");
});

t.test("a full comparison, or a new definition, does not write what is held back", async (t) => {
  const world = await startedWorld();
  await world.check({ Name: "a", TTL: "24h" });
  for (let i = 0; i < 101; i++)
    await world.agent.updateTtl("a", i % 2 === 0 ? "passing" : "critical", "");
  t.equal(inCatalog(world, "a"), "critical");
  await world.agent.reload({ services: [], checks: [] });
  await world.check({ Name: "a", TTL: "23h", Notes: "new" });
  t.match(world.reader.check("node-a", "a"), { status: "critical", notes: "new" });
  await world.pass(CHECK_WRITES.intervalMs);
  t.equal(inCatalog(world, "a"), "passing");
});

t.test("thousands of checks that change together share commands", async (t) => {
  const world = await startedWorld();
  const count = 2000;
  await Promise.all(
    Array.from({ length: count }, (_, i) =>
      world.register({ Name: `s${i % 50}`, ID: `s${i}`, Check: { TTL: "24h", CheckID: `c${i}` } }),
    ),
  );
  const before = world.proposed.length;
  world.hold();
  const updates = Array.from({ length: count }, (_, i) =>
    world.agent.updateTtl(`c${i}`, "passing", "up"),
  );
  for (let i = 0; i < 100; i++) await world.releaseOne();
  await world.release();
  await Promise.all(updates);
  t.ok(world.proposed.length - before <= 20, `${world.proposed.length - before} commands`);
  t.same(
    world.reader.checksOfNode("node-a").filter(({ status }) => status !== "passing"),
    [],
  );
});

t.test("who reports many states one after the other is not slowed down", async (t) => {
  const world = await startedWorld();
  const ids = Array.from({ length: 300 }, (_, i) => `c${i}`);
  for (const id of ids) await world.check({ Name: id, TTL: "24h" });
  const before = world.proposed.length;
  for (const id of ids) await world.agent.updateTtl(id, "passing", "");
  t.equal(world.proposed.length - before, STATUS_ROUNDS.burst);
  await world.pass(STATUS_ROUNDS.intervalMs);
  t.equal(world.proposed.length - before, STATUS_ROUNDS.burst + 2, "300 - 64 checks, 128 each");
  t.ok(ids.every((id) => shown(world, id) === "passing"));
});

t.test("an outage of the log costs one line per try, and loses no state", async (t) => {
  const world = await startedWorld();
  const ids = Array.from({ length: 200 }, (_, i) => `c${i}`);
  for (const id of ids) await world.check({ Name: id, TTL: "24h" });
  for (let i = 0; i < 10_000; i++) world.fates.push("refused");
  const before = world.proposed.length;
  for (const id of ids) {
    await world.agent.updateTtl(id, "passing", "");
    await world.pass(50);
  }
  t.ok(world.proposed.length - before <= ids.length, `${world.proposed.length - before} tries`);
  t.equal(world.agent.counts().sync.pending, ids.length);
  const warnings = world.logged.filter((line) => line.startsWith("warn catalog not written"));
  t.ok(warnings.length <= 2, `${warnings.length} lines`);
  world.fates.length = 0;
  await world.pass(30_000);
  t.ok(ids.every((id) => shown(world, id) === "passing"));
  t.equal(world.agent.counts().sync.pending, 0);
});

t.test("checks whose service somebody removes meanwhile come back with it", async (t) => {
  const world = await startedWorld();
  for (const id of ["x", "y"]) await world.register({ Name: id, Check: { TTL: "24h" } });
  world.hold();
  const updates = ["x", "y"].map((id) => world.agent.updateTtl(`service:${id}`, "passing", "up"));
  await settle();
  world.edit({ type: "deregister", node: "node-a", serviceId: "y", checkId: "" });
  await world.release();
  await Promise.all(updates);
  await world.pass(1_000);
  t.equal(inCatalog(world, "service:x"), "passing up");
  t.equal(inCatalog(world, "service:y"), "passing up");
});

t.test("many long outputs do not make one entry of the log too long", async (t) => {
  const world = await startedWorld({ checkOutputMaxSize: 100_000 });
  for (let i = 0; i < 30; i++) await world.check({ Name: `c${i}`, TTL: "24h" });
  world.hold();
  for (let i = 0; i < 30; i++) void world.agent.updateTtl(`c${i}`, "passing", "x".repeat(90_000));
  await world.release();
  await world.pass(100);
  const octets = world.proposed.map((command) => JSON.stringify(command).length);
  t.ok(Math.max(...octets) < 256 * 1024, `at most ${Math.max(...octets)}`);
  t.same(
    world.reader.checksOfNode("node-a").filter(({ status }) => status !== "passing"),
    [],
  );
});
