// However many questions one client's becomes, it is answered in the time of one.
import t from "tap";
import { withDns64 } from "../../../src/forwarder/filter/dns64.ts";
import { createScene, requestOf } from "./scene.ts";
import { createWorld, reply, cname, silent } from "../world.ts";

t.test(
  "ask 8: a chain through zones whose servers are slow, then silent, ends in 3 s",
  async (t) => {
    const zones = [2, 3, 4].map((n) => ({ names: [`z${n}.test`], servers: [`192.0.2.${n}`] }));
    const records = [{ name: "start.test", type: "CNAME", data: "a.z2.test" }];
    const scene = await createScene(t, { zones, records });
    const { world } = scene;
    for (const number of [2, 3])
      world.server(number, (question) => {
        const answers = [cname(question.name, `a.z${number + 1}.test`)];
        return [{ wire: reply(question, { answers }), afterMs: 1300 }];
      });
    world.server(4, silent);
    const ends: number[] = [];
    const startedMs = world.nowMs();
    const ask = (name: string) =>
      scene.pipeline.forward(requestOf(`${name} A`, "127.0.0.1"), () =>
        ends.push(world.nowMs() - startedMs),
      );
    ask("start.test");
    world.settle();
    t.equal(ends.length, 1);
    t.ok(ends[0]! <= 3020, `${ends[0]} ms`);
    const { servers } = world.forwarder.stats();
    t.match(
      servers.find(({ label }) => label === "192.0.2.2:53"),
      { standing: "good" },
    );
    t.equal(world.openSockets(), 0);
  },
);

t.test("a question with little time left says nothing about its servers", async (t) => {
  const world = createWorld(1);
  world.server(1, (question) => [{ wire: reply(question, {}), afterMs: 500 }]);
  const sinceMs = world.nowMs() - 2900;
  const late = world.ask("www.test", "A", { sinceMs });
  world.pass(250);
  t.match(late, { calls: 1, answer: { ok: false } });
  t.ok(late.afterMs <= 220, `${late.afterMs} ms`);
  const fresh = world.ask("www.test");
  world.settle();
  t.match(fresh.answer, { ok: true }, "the failure is not remembered");
  t.match(world.forwarder.stats().servers, [{ standing: "good", counts: { timeouts: 0 } }]);
});

t.test("ask 8: DNS64 with silent servers", async (t) => {
  const world = createWorld(2);
  world.server(1, silent);
  world.server(2, silent);
  const { forward } = world.forwarder;
  const prefix = {
    octets: Uint8Array.of(0, 0x64, 0xff, 0x9b, ...Array.from({ length: 12 }, () => 0)),
  };
  const prefixes = [{ ...prefix, prefixLength: 96 }];
  const settings = { prefixes, clients: [], exclude: [] };
  const ask = withDns64({ ask: forward, askA: forward, askElsewhere: forward }, settings, () => {});
  const ends: number[] = [];
  const startedMs = world.nowMs();
  ask(requestOf("www.test AAAA", "127.0.0.1"), () => ends.push(world.nowMs() - startedMs));
  world.settle();
  t.equal(ends.length, 1);
  t.ok(ends[0]! <= 3220, `${ends[0]} ms`);
});
