// How long a server is waited for, by what it has done before.
import t from "tap";
import { answering, createWorld, inWords, reply, silent } from "./world.ts";

t.test("a late reply counts once in what a server usually takes", async (t) => {
  const world = createWorld(1);
  const answerAfter = (ms: number): void =>
    world.server(1, (question, wire) =>
      answering()(question, wire).map((said) => ({ ...said, afterMs: ms })),
    );
  answerAfter(5);
  for (let i = 0; i < 30; i++) {
    world.ask(`n${i}.test`);
    world.pass(10);
  }
  answerAfter(45);
  world.ask("late.test");
  world.pass(100);
  const { count, recentMs } = world.forwarder.stats().servers[0]!.roundTrips;
  t.equal(count, 31);
  t.same(
    recentMs.filter((ms) => ms > 5),
    [45],
  );
});

t.test("a server that is back is waited for, also when it answers over TCP alone", async (t) => {
  const world = createWorld(1);
  world.server(1, silent);
  world.ask("before.test");
  world.pass(3000);
  world.server(1, (question, wire) =>
    question.transport === "udp"
      ? [{ wire: reply(question, { flags: 0x0200 }) }]
      : answering()(question, wire).map((said) => ({ ...said, afterMs: 150 })),
  );
  const asked = world.ask("www.test");
  world.settle();
  t.equal(inWords(asked), "A 198.51.100.1");
  t.equal(asked.afterMs, 151);
  t.match(world.events, ["down 1", "all down", "up 1"]);
});
