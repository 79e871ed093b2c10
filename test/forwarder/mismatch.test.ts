// Replies that are not the reply, broken ones, and how many packets any behaviour can cost.
import t from "tap";
import { behaviours } from "./scenario.ts";
import { createWorld, inWords, reply, type Behaviour } from "./world.ts";

// S5: the kernel checks the address, we check the rest; whatever does not match is ignored.
const notTheReply = [
  "uses another id",
  "answers another name",
  "answers another type",
  "answers another class",
  "answers without question",
  "answers two questions",
  "answers with another opcode",
  "echoes the question",
  "sends garbage",
  "sends nothing but a header",
  "sends an empty datagram",
];
for (const behaviour of notTheReply)
  t.test(`S5: ignored: ${behaviour}`, async (t) => {
    const world = createWorld(2, { timeoutMs: 400 });
    world.server(1, behaviours[behaviour]!);
    const reply = world.ask("www.example.test");
    world.pass(150);
    t.equal(reply.answer, null, "still waiting");
    world.settle();
    t.equal(inWords(reply), "A 198.51.100.1", "the next server answers");
    t.equal(world.forwarder.stats().servers[0]!.counts.nearMisses, 1);
  });

for (const behaviour of [
  "promises more records than it sends",
  "cuts the record",
  "points in a loop",
])
  t.test(`S19: moves on at once: ${behaviour}`, async (t) => {
    const world = createWorld(2);
    world.server(1, behaviours[behaviour]!);
    const reply = world.ask("www.example.test");
    world.settle();
    t.equal(inWords(reply), "A 198.51.100.1");
    t.equal(reply.afterMs, 2);
    t.equal(world.forwarder.stats().servers[0]!.counts.malformed, 1);
  });

// S19: at most 2 x servers packets per question, whatever all of them do.
t.test("S19: no behaviour makes us send more than two packets per server", async (t) => {
  const rcodes = Array.from({ length: 16 }, (_, rcode) => rcode).filter(
    (rcode) => rcode !== 0 && rcode !== 3,
  );
  const all = {
    ...behaviours,
    ...Object.fromEntries(
      rcodes.map((rcode) => [
        `says RCODE ${rcode}`,
        ((_question, wire) => {
          const answer = Buffer.from(wire);
          answer[2]! |= 0x80;
          answer[3]! |= rcode;
          return [{ wire: answer }];
        }) satisfies Behaviour,
      ]),
    ),
  };
  const offences: string[] = [];
  for (const cacheEnabled of [true, false])
    for (const serverCount of [1, 2, 3])
      for (const [words, behaviour] of Object.entries(all)) {
        const world = createWorld(serverCount, { cacheEnabled });
        for (let number = 1; number <= serverCount; number++) world.server(number, behaviour);
        // Asked in mixed case, so that a server that changes it is noticed.
        const reply = world.ask("Www.example.test");
        world.settle();
        const sent = world.asked.length;
        const scene = `${serverCount} servers, cache ${cacheEnabled}, each ${words}`;
        if (sent > 2 * serverCount) offences.push(`${scene}: ${sent} packets`);
        if (reply.calls !== 1) offences.push(`${scene}: answered ${reply.calls} times`);
        if (reply.afterMs > 3020) offences.push(`${scene}: ${reply.afterMs} ms`);
        if (world.openSockets() !== 0)
          offences.push(`${scene}: ${world.openSockets()} sockets left`);
      }
  t.same(offences, []);
});

t.test("the fifth message that does not match is the last that is read (S4)", async (t) => {
  const world = createWorld(1);
  world.server(1, (question) =>
    question.transport === "tcp"
      ? [{ wire: reply(question, { rcode: 3 }) }]
      : Array.from({ length: 1000 }, (_, i) => ({
          wire: reply({ ...question, id: (question.id! + i + 1) & 0xffff }),
        })),
  );
  world.ask("www.example.test");
  world.settle();
  t.equal(world.forwarder.stats().servers[0]!.counts.nearMisses, 5);
});
