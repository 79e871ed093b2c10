// The leader's timers: sessions that expire, tombstones whose time has passed.
import t from "tap";
import { startKvReaper } from "../../src/agent/kv-reaper.ts";
import { startSessionTimer } from "../../src/agent/session-timer.ts";
import type { Command } from "../../src/cluster/command.ts";
import type { Outcome } from "../../src/cluster/engine.ts";
import { createLog, node, register, session } from "../cluster/state-fixtures.ts";
import { settle, World } from "../http/harness.ts";

function start(refuse: () => boolean) {
  const world = new World();
  const { state, run } = createLog();
  const proposed: Command[] = [];
  run(register(node("n")));
  async function propose(command: Command): Promise<Outcome> {
    proposed.push(command);
    if (refuse()) return { outcome: "refused", reason: "disk is full" };
    const { result, topics } = run(command, world.nowMs);
    timer.touched(topics);
    return { outcome: "committed", index: state.reader.index, result };
  }
  const timer = startSessionTimer({
    reader: state.reader,
    propose,
    clock: world.clock,
    timers: world.timers,
  });
  const create = (id: string, ttl: string) => timer.touched(run(session(id, "n", { ttl })).topics);
  return { world, state, run, proposed, propose, timer, create };
}

t.test("sessions end at twice their TTL, and a refusal is tried again", async (t) => {
  let isFull = false;
  const { world, state, timer, create, proposed } = start(() => isFull);
  const left = () => [...state.reader.sessions()].map(({ id }) => id);
  create("none", "");
  create("long", "30s");
  create("short", "10s");
  world.advance(19_999);
  await settle();
  t.same(left(), ["none", "long", "short"]);
  timer.expiry.renew("long", world.nowMs);
  isFull = true;
  world.advance(10);
  await settle();
  t.same(left(), ["none", "long", "short"]);
  t.same(proposed, [{ type: "session-destroy", id: "short" }]);
  isFull = false;
  world.advance(500);
  await settle();
  t.same(left(), ["none", "long"]);
  world.advance(59_000);
  await settle();
  t.same(left(), ["none", "long"], "renewed");
  world.advance(1000);
  await settle();
  t.same(left(), ["none"]);
  t.equal(proposed.length, 3);
  t.equal(world.timerCount, 0, "nothing to wait for");
});

t.test(
  "many that expire at once end in batches; a restart gives every session its time",
  async (t) => {
    const { world, state, timer, create } = start(() => false);
    for (let i = 0; i < 2500; i++) create(`s${i}`, "10s");
    world.advance(15_000);
    timer.restart();
    world.advance(19_999);
    await settle();
    t.equal(state.counts().sessions, 2500);
    for (const rest of [1500, 500, 0]) {
      world.advance(1);
      await settle();
      t.equal(state.counts().sessions, rest);
    }
    timer.stop();
  },
);

t.test("tombstones are reaped when there is something to reap", async (t) => {
  const { world, run, state, propose, proposed } = start(() => false);
  const logTime = { nowMs: () => world.nowMs };
  const stop = startKvReaper({ kv: state.reader.kv, propose, logTime, timers: world.timers });
  const kv = { key: "k", value: "", flags: "0" };
  run({ type: "kv", operation: { verb: "set", ...kv } }, world.nowMs);
  run({ type: "kv", operation: { verb: "delete", key: "k" } }, world.nowMs);
  world.advance(14 * 60_000);
  t.same(proposed, []);
  world.advance(90_000);
  t.same(proposed, [{ type: "kv-reap" }]);
  world.advance(3_600_000);
  t.equal(proposed.length, 1);
  stop();
  t.equal(world.timerCount, 0);
});
