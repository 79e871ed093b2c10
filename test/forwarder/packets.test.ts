// S19: whatever servers do, a question costs at most two packets each, has one answer, and in time.
import fc from "fast-check";
import t from "tap";
import { behaviours } from "./scenario.ts";
import { answering, createWorld, reply, type Behaviour, type OneGroup } from "./world.ts";

const words = Object.keys(behaviours);

/** A server that does something else at every message, each after a time of its own. */
const anyBehaviour = fc
  .array(
    fc.record({
      what: fc.oneof(
        fc.constantFrom(...words),
        fc.constant("answers"),
        fc.integer({ min: 1, max: 23 }),
      ),
      afterMs: fc.oneof(
        fc.constant(1),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 4000 }),
      ),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((script): Behaviour => {
    let next = 0;
    return (question, wire) => {
      const { what, afterMs } = script[next++ % script.length]!;
      const said =
        typeof what === "number"
          ? [{ wire: reply(question, { rcode: what & 15 }) }]
          : (what === "answers" ? answering() : behaviours[what]!)(question, wire);
      return said.map((each) => ("wire" in each ? { ...each, afterMs } : each));
    };
  });

const anySettings = fc.record<OneGroup>({
  strategy: fc.constantFrom("sequential", "random", "fastest", "parallel"),
  cacheEnabled: fc.boolean(),
  mixedCase: fc.boolean(),
  timeoutMs: fc.constantFrom(50, 400, 2000, 5000),
  nextOn: fc.constantFrom(null, [3], [2, 3, 5], [5]),
  packetsPerSecond: fc.constantFrom(0, 0, 2, 5),
});

t.test("S19: any behaviour, strategy and setting", { timeout: 120_000 }, async () => {
  const property = fc.property(
    fc.array(anyBehaviour, { minLength: 1, maxLength: 5 }),
    anySettings,
    fc.array(
      fc.record({
        pauseMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5000 })),
        transport: fc.constantFrom("udp" as const, "tcp" as const),
        firstReply: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    (servers, settings, questions) => {
      const world = createWorld(servers.length, settings);
      servers.forEach((behaviour, i) => world.server(i + 1, behaviour));
      const limitMs = Math.max(3000, settings.timeoutMs!) + 20;
      const replies = questions.map(({ pauseMs, ...options }, i) => {
        world.pass(pauseMs);
        return world.ask(`Q${i}.Example.test`, "A", options);
      });
      world.settle();
      for (const [i, { calls, afterMs }] of replies.entries()) {
        if (calls !== 1) throw new Error(`question ${i} was answered ${calls} times`);
        if (afterMs > limitMs) throw new Error(`question ${i} took ${afterMs} ms`);
        const sent = world.asked.filter(
          ({ question }) => question.name.toLowerCase() === `q${i}.example.test`,
        );
        for (let server = 1; server <= servers.length; server++) {
          const { length } = sent.filter((each) => each.server === server);
          if (length > 2) throw new Error(`question ${i} sent ${length} packets to one server`);
        }
        const ids = sent.filter(({ transport }) => transport === "udp");
        for (const [k, { wire }] of ids.entries())
          if (settings.mixedCase !== true && k > 0 && wire.equals(ids[k - 1]!.wire))
            throw new Error(`question ${i} was sent twice with one id`);
      }
      if (world.openSockets() > 0) throw new Error(`${world.openSockets()} sockets stay open`);
      if (world.forwarder.stats().inFlight > 0) throw new Error("something stays in flight");
    },
  );
  const seed = Number(process.env["PACKETS_SEED"] ?? 7);
  fc.assert(property, { numRuns: Number(process.env["PACKETS_RUNS"] ?? 1500), seed });
});
