// Proposals on their way to the log engine.
import t from "tap";
import { createLogTime, createPropose } from "../../src/agent/replica.ts";
import type { Engine, Outcome } from "../../src/cluster/engine.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";

t.test("what nobody could read back is refused before the log", async (t) => {
  const proposed: Uint8Array[] = [];
  const committed: Outcome = { outcome: "committed", index: 1, result: { ok: true, value: true } };
  const engine: Pick<Engine, "propose"> = {
    async propose(command) {
      proposed.push(command);
      return committed;
    },
  };
  const propose = createPropose(() => engine, { nowMs: () => 1 });
  t.same(await propose(register(node("n"), service("web", { port: 1e20 }))), {
    outcome: "refused",
    reason: "register command has a wrong member",
  });
  t.equal(proposed.length, 0);
  t.same(await propose(register(node("n"), service("web"))), committed);
  t.equal(proposed.length, 1);
});

t.test("log time follows the monotonic clock and never goes back", async (t) => {
  const at = { monotonic: 500.7, wall: 10_000 };
  const clock = { monotonicMs: () => at.monotonic, wallMs: () => at.wall };
  const state = { timeMs: 0 };
  const time = createLogTime(clock, state);
  t.equal(time.begin(), 10_000);
  at.monotonic += 20.5;
  at.wall -= 5000; // somebody sets the clock back
  t.equal(time.nowMs(), 10_020);
  at.wall += 90_000;
  t.equal(time.nowMs(), 10_020, "or forth");
  state.timeMs = 50_000; // a restored snapshot
  t.equal(time.nowMs(), 50_000);
  at.monotonic += 3;
  t.equal(time.nowMs(), 50_003);
  at.wall = 1000;
  t.equal(time.begin(), 50_000, "an epoch starts after what the log has seen");
  at.wall = 80_000;
  t.equal(time.begin(), 80_000);
});
