// Proposals on their way to the log engine.
import t from "tap";
import { createPropose } from "../../src/agent/replica.ts";
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
  const propose = createPropose(() => engine);
  t.same(await propose(register(node("n"), service("web", { port: 1e20 }))), {
    outcome: "refused",
    reason: "register command has a wrong member",
  });
  t.equal(proposed.length, 0);
  t.same(await propose(register(node("n"), service("web"))), committed);
  t.equal(proposed.length, 1);
});
