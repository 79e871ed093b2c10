/** Replies that are damaged in every way: every question ends, once, and nothing foreign gets in. */
import t from "tap";
import packet, { type Answer } from "dns-packet";
import { equalNames, formatName } from "../../src/dns/name.ts";
import { TYPE } from "../../src/dns/rr.ts";
import {
  a,
  cname,
  createWorld,
  flushAll,
  reply,
  seededRandom,
  silent,
  soa,
  wireName,
} from "./world.ts";

const names = (name: string): Answer[] => [
  cname(name, "x.example.test"),
  a("x.example.test", "192.0.2.1"),
  a("x.example.test", "192.0.2.2"),
];

/** Replies with what a decoder stumbles over: pointers, several sections, names in data, an OPT. */
const originals: { type: string; sections: Parameters<typeof reply>[1] }[] = [
  { type: "A", sections: { answers: names("www.example.test") } },
  { type: "A", sections: { rcode: 3, authorities: [soa("example.test", 900, 300)] } },
  {
    type: "MX",
    sections: {
      answers: [
        {
          type: "MX",
          name: "www.example.test",
          ttl: 60,
          data: { preference: 1, exchange: "mx.test" },
        },
      ],
      authorities: [{ type: "NS", name: "example.test", ttl: 60, data: "ns.example.test" }],
      additionals: [
        a("ns.example.test", "192.0.2.3"),
        {
          type: "OPT",
          name: ".",
          udpPayloadSize: 1232,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    },
  },
  {
    type: "TXT",
    sections: { answers: [{ type: "TXT", name: "www.example.test", ttl: 5, data: ["a", "b"] }] },
  },
];

function* damaged(wire: Buffer): Generator<Buffer> {
  for (let end = 0; end < wire.length; end++) yield wire.subarray(0, end);
  for (let at = 2; at < wire.length; at++)
    for (const octet of [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff, wire[at]! ^ 1, wire[at]! ^ 0x20]) {
      const copy = Buffer.from(wire);
      copy[at] = octet;
      yield copy;
    }
  const random = seededRandom(99);
  for (let i = 0; i < 500; i++) {
    const copy = Buffer.from(wire);
    for (let changes = 1 + (random.uint32() % 6); changes > 0; changes--)
      copy[2 + (random.uint32() % (wire.length - 2))] = random.uint32() & 255;
    yield copy;
  }
}

for (const { type, sections } of originals)
  for (const cacheEnabled of [true, false])
    t.test(`parser: replies, ${type}, cache ${cacheEnabled ? "on" : "off"}`, async (t) => {
      const world = createWorld(2, { cacheEnabled, timeoutMs: 400, cacheOctets: 1_000_000 });
      const problems: string[] = [];
      let count = 0;
      let spoilt: Buffer = Buffer.alloc(0);
      for (const number of [1, 2])
        world.server(number, (question) => {
          const copy = Buffer.from(spoilt);
          if (copy.length >= 2) copy.writeUInt16BE(question.id!, 0);
          return [{ wire: copy }];
        });
      const whole = reply(
        { id: 0, questions: [{ type: type as "A", name: "www.example.test" }] } as never,
        sections,
      );
      for (spoilt of damaged(whole)) {
        count++;
        flushAll(world.forwarder.flush({ name: wireName("."), subtree: true, type: null }));
        const asked = world.ask("www.example.test", type);
        world.settle();
        if (asked.calls !== 1) problems.push(`${spoilt.toString("hex")}: ${asked.calls} answers`);
        if (!cacheEnabled || !asked.answer?.ok) continue;
        let owner = wireName("www.example.test");
        for (const rr of asked.answer.answers) {
          if (rr.type === TYPE.DNAME) continue;
          if (!equalNames(rr.owner, owner))
            problems.push(`${spoilt.toString("hex")}: ${formatName(rr.owner)} is not on the chain`);
          if (rr.type === TYPE.CNAME) owner = rr.data;
        }
      }
      t.ok(count > 900, `${count} damaged replies`);
      t.same(problems.slice(0, 3), []);
      t.equal(world.openSockets(), 0);
      t.equal(world.forwarder.stats().inFlight, 0);
      for (const number of [1, 2]) world.server(number, silent);
    });

t.test("the undamaged replies are understood, by the reading of dns-packet", async (t) => {
  for (const { type, sections } of originals) {
    const world = createWorld(1);
    world.server(1, (question) => [{ wire: reply(question, sections) }]);
    const asked = world.ask("www.example.test", type);
    world.settle();
    t.equal(asked.answer?.ok && asked.answer.answers.length, sections?.answers?.length ?? 0, type);
    t.ok(packet.decode(world.asked[0]!.wire).questions?.[0]?.type === type);
  }
});
