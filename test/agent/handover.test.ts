// How long an agent waits for its successor: as long as that one gets on.
import { setTimeout as sleep } from "node:timers/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { offerHandover, takeOver, type Predecessor } from "../../src/agent/handover.ts";
import type { Timers } from "../../src/ports.ts";
import { createWorld } from "../cluster/engine-world.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const SILENCE_MS = 60_000;

async function until(holds: () => boolean): Promise<void> {
  for (const limit = Date.now() + 10_000; !holds(); await sleep(1))
    if (Date.now() > limit) throw new Error("it does not come");
}

/** A runner in virtual time. */
async function offer(t: Test) {
  const dataDir = temporaryDirectory(t);
  const world = createWorld();
  const { log, timers: inWorld } = world.options;
  /** How often the runner began to wait for a sign of life. */
  let waits = 0;
  const timers: Timers = {
    after(delayMs, run) {
      if (delayMs === SILENCE_MS) waits++;
      return inWorld.after(delayMs, run);
    },
  };
  const said: string[] = [];
  const stop = offerHandover(
    dataDir,
    {
      give: () => Promise.resolve(void said.push("given")),
      listening: () => ["127.0.0.1 53"],
      takeBack: () => Promise.resolve(void said.push("taken back")),
      leave: (_, requests) => Promise.resolve(void said.push(`left to ${requests}`)),
    },
    { timers, log },
  );
  t.teardown(stop);
  await until(() => existsSync(join(dataDir, "handover.sock")));
  return { dataDir, world, said, waits: () => waits };
}

/** The same with a successor that has its store. */
async function start(t: Test) {
  const { dataDir, ...runner } = await offer(t);
  const asked = await takeOver(dataDir);
  if (!asked.ok || asked.value === undefined) throw new Error("it is not given");
  const predecessor: Predecessor = asked.value;
  t.teardown(() => predecessor.abandon());
  return { ...runner, predecessor };
}

t.test("a successor that gets on is waited for, however long that takes", async (t) => {
  const { world, predecessor, said, waits } = await start(t);
  let steps = 0;
  predecessor.report(() => steps, world.options.timers);
  for (let i = 0; i < 20; i++) {
    const before = waits();
    world.pass(SILENCE_MS - 5000);
    steps += 1000;
    world.pass(2000);
    await until(() => waits() > before);
  }
  const ready = await predecessor.ready("/run/requests");
  t.ok(ready.ok, "after 19 minutes");
  t.same(said, ["given", "left to /run/requests"]);
});

t.test("one that does nothing for a minute is told to end", async (t) => {
  const { world, predecessor, said, waits } = await start(t);
  let steps = 5;
  predecessor.report(() => steps, world.options.timers);
  await until(() => waits() === 2);
  world.pass(SILENCE_MS);
  t.equal(await predecessor.refused, "no progress for 60 s");
  // Too late: it has been told.
  steps++;
  world.pass(2000);
  world.pass(5000);
  await predecessor.ended;
  await until(() => said.length === 2);
  t.same(said, ["given", "taken back"]);
});

for (const [when, laterMs] of [
  ["when it has been told to end", 0],
  ["when nobody listens to it any more", 5000],
] as const)
  t.test(`one that is ready ${when} does not take over`, async (t) => {
    const { world, predecessor, said, waits } = await start(t);
    predecessor.report(() => 5, world.options.timers);
    await until(() => waits() === 2);
    world.pass(SILENCE_MS);
    world.pass(laterMs);
    // It was held up, and has not read yet what it was told.
    const ready = await predecessor.ready(undefined);
    t.same(ready, { ok: false, error: "no progress for 60 s" });
    await predecessor.ended;
    await until(() => said.length === 2);
    t.same(said, ["given", "taken back"]);
  });

t.test("who says all the same that it is ready is not left to", async (t) => {
  const { dataDir, world, said } = await offer(t);
  const socket = connect({ path: join(dataDir, "handover.sock"), allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  socket.write('{"take":{"pid":1}}\n');
  await once(socket, "data");
  world.pass(SILENCE_MS);
  socket.write('{"ready":{"pid":1}}\n');
  await until(() => said.length === 2);
  t.same(said, ["given", "taken back"]);
});
