// The timer that removes expired tokens: when it looks, and how much it removes at once.
import t from "tap";
import { startTokenReaper } from "../../src/agent/acl.ts";
import type { Command } from "../../src/cluster/command.ts";
import { createLog } from "../cluster/state-fixtures.ts";
import { World } from "../http/harness.ts";

const token = (n: number, expirationTimeMs: number): Command => ({
  type: "acl-token-set",
  token: {
    accessorId: `a${n}`,
    secretId: `s${n}`,
    description: "",
    policies: [],
    local: false,
    createTimeMs: 0,
    expirationTimeMs,
  },
});

t.test("expired tokens are removed, a bounded number per look", async (t) => {
  const world = new World();
  const { state, run } = createLog();
  const startMs = world.clock.wallMs();
  const proposed: Extract<Command, { type: "acl-tokens-reap" }>[] = [];
  const stop = startTokenReaper({
    reader: state.acl,
    clock: world.clock,
    timers: world.timers,
    propose(command) {
      if (command.type === "acl-tokens-reap") proposed.push(command);
      return Promise.resolve(run(command));
    },
  });
  world.advance(5000);
  t.equal(proposed.length, 0, "nothing expires");
  for (let n = 0; n < 300; n++) run(token(n, startMs + 60_000));
  run(token(300, startMs + 90_000));
  world.advance(54_000);
  t.equal(proposed.length, 0, "not before the time");
  world.advance(1000);
  t.same(
    proposed.map(({ accessorIds }) => accessorIds.length),
    [256],
  );
  world.advance(1000);
  t.same(
    proposed.map(({ accessorIds }) => accessorIds.length),
    [256, 44],
  );
  t.equal(state.acl.expiring.size, 1);
  world.advance(28_000);
  t.equal(proposed.length, 2);
  world.advance(1000);
  t.same(proposed.at(-1), {
    type: "acl-tokens-reap",
    accessorIds: ["a300"],
    expiredMs: startMs + 90_000,
  });
  run(token(301, startMs + 100_000));
  stop();
  world.advance(60_000);
  t.equal(proposed.length, 3, "stopped");
});
