// A mistake while an answer is given, or while a message is looked at, ends that question alone.
import t from "tap";
import { a, answering, createWorld, reply } from "./world.ts";

t.test(
  "a client that throws is told once more that it failed; the others have their answer",
  async (t) => {
    const world = createWorld(1);
    const told: string[] = [];
    world.server(1, answering());
    world.ask("a.test", "A", {
      done(answer) {
        told.push(answer.ok ? "answer" : answer.reason);
        if (answer.ok) throw new Error("a mistake");
      },
    });
    const other = world.ask("a.test");
    world.settle();
    t.same(told, ["answer", "failed"]);
    t.equal(other.answer?.ok, true);
    t.equal(world.thrown.length, 1);
    t.equal(world.openSockets(), 0);
  },
);

t.test(
  "a step that throws: SERVFAIL, sockets closed, and the same question is asked anew",
  async (t) => {
    const world = createWorld(1);
    let isBroken = true;
    world.server(1, (question) => {
      const wire = reply(question, { answers: [a(question.name, "192.0.2.9")] });
      if (isBroken)
        Object.defineProperty(wire, "length", {
          get() {
            throw new Error("a mistake");
          },
        });
      return [{ wire }];
    });
    const first = world.ask("a.test");
    world.settle();
    t.match(first.answer, { ok: false, reason: "failed" });
    t.equal(first.calls, 1);
    t.equal(world.thrown.length, 1);
    t.equal(world.openSockets(), 0);
    t.equal(world.forwarder.stats().inFlight, 0);
    isBroken = false;
    const second = world.ask("a.test");
    world.settle();
    t.equal(second.answer?.ok, true);
  },
);
