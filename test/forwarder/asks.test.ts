// What users of other resolvers ask for, each as a scenario by its number.
import t from "tap";
import { play } from "./scenario.ts";
import { a, cname, createWorld, inWords, reply, soa, type World } from "./world.ts";

const scenarios: [title: string, text: string][] = [
  ...["is silent", "refuses connections", "says SERVFAIL", "says REFUSED", "sends garbage"].map(
    (how): [string, string] => [
      `ask 1: the first of two ${how}`,
      `servers 2
       upstream 1 ${how}
       ask www.test
       expect A 198.51.100.1 within 210 ms
       ask other.test
       expect A 198.51.100.1 within 210 ms`,
    ],
  ),
  ...["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"].map((rcode): [string, string] => [
    `ask 2: ${rcode} of one is not the last word`,
    `servers 3
     upstream 1 says ${rcode}
     upstream 2 says ${rcode} after 20 ms
     ask www.test
     expect A 198.51.100.1 within 50 ms
     stale servfail: 0`,
  ]),
  [
    "ask 24: the new address is seen after the TTL and a round trip",
    `servers 1
     upstream 1 answers 198.51.100.1 for 60 s
     ask db.test
     expect A 198.51.100.1
     30000 ms pass
     upstream 1 answers 198.51.100.2 for 60 s
     20000 ms pass
     ask db.test
     expect A 198.51.100.1 after 0 ms
     10000 ms pass
     ask db.test
     expect A 198.51.100.2 after 1 ms
     sent 1 1`,
  ],
  [
    "ask 24: TTL 0 is used by those who wait for it, and not kept",
    `servers 1
     upstream 1 answers 198.51.100.1 for 0 s
     ask db.test
     expect A 198.51.100.1
     upstream 1 answers 198.51.100.2 for 0 s
     ask db.test
     expect A 198.51.100.2
     sent 1 1`,
  ],
  [
    "ask 27: what is truncated is asked for over TCP, and kept whole",
    `servers 1
     upstream 1 truncates
     ask www.test
     expect A 198.51.100.1 after 2 ms
     sent 1 1tcp
     ask www.test over TCP
     expect A 198.51.100.1 after 0 ms
     sent`,
  ],
  [
    "ask 27: truncated in the middle of a record",
    `servers 1
     upstream 1 truncates in the middle of a record
     ask www.test
     expect A 198.51.100.1
     sent 1 1tcp`,
  ],
  [
    "ask 27: without TCP there the next one is asked",
    `servers 2
     upstream 1 truncates and has no TCP
     ask www.test
     expect A 198.51.100.1
     sent 1 1tcp 2`,
  ],
  [
    "ask 27: and without a next one clients are told to try TCP themselves",
    `servers 1
     upstream 1 truncates and has no TCP
     ask www.test
     expect TC
     ask other.test over TCP
     expect failed`,
  ],
  [
    "ask 46: UDP first, TCP for what is truncated only",
    `servers 1
     ask a.test over TCP
     expect A 198.51.100.1
     ask b.test
     expect A 198.51.100.1
     sent 1 1`,
  ],
  [
    "ask 48: however many ask while it is on its way",
    `servers 1
     upstream 1 answers 198.51.100.1 after 100 ms
     ask www.test
     ask WWW.test over TCP
     ask www.TEST with EDNS
     expect A 198.51.100.1 after 100 ms
     sent 1`,
  ],
];

for (const [title, text] of scenarios) t.test(title, async (t) => play(t, text));

const settled = (world: World, ...asking: Parameters<World["ask"]>): string => {
  const asked = world.ask(...asking);
  world.settle();
  return inWords(asked);
};

t.test("ask 31: NODATA of a delegated zone keeps the SOA of that zone", async (t) => {
  const world = createWorld(1);
  world.server(1, (question) => [
    {
      wire:
        question.type === "A"
          ? reply(question, { answers: [a(question.name, "192.0.2.1")] })
          : reply(question, { authorities: [soa("deep.example.test", 900, 60)] }),
    },
  ]);
  for (const round of [1, 2]) {
    const asked = world.ask("www.deep.example.test", "AAAA");
    world.settle();
    t.equal(inWords(asked), "NODATA", `round ${round}`);
    const { answer } = asked;
    t.same(
      answer?.ok && answer.authority.map(({ owner }) => Buffer.from(owner).toString("latin1")),
      ["\u0004deep\u0007example\u0004test\0"],
    );
    t.match(answer, { rcode: 0, cacheableSeconds: round === 1 ? 60 : 59 });
    t.equal(settled(world, "www.deep.example.test"), "A 192.0.2.1", "A beside it");
  }
  t.equal(world.asked.length, 2);
});

t.test("ask 32: each link of a chain lives as long as its shortest, and once", async (t) => {
  const world = createWorld(1);
  let address = "192.0.2.1";
  world.server(1, (question) => [
    {
      wire: reply(question, {
        answers: [cname(question.name, "lb.test", 300), a("lb.test", address, 2)],
      }),
    },
  ]);
  t.equal(settled(world, "www.test"), "CNAME lb.test. A 192.0.2.1");
  address = "192.0.2.2";
  world.pass(1000);
  t.equal(settled(world, "www.test"), "CNAME lb.test. A 192.0.2.1");
  world.pass(1100);
  t.equal(settled(world, "www.test"), "CNAME lb.test. A 192.0.2.2");
});

t.test(
  "S10: 1232 octets are asked for; up to 64 KiB come over TCP when they do not fit",
  async (t) => {
    for (const count of [90, 250, 2700]) {
      const world = createWorld(1);
      const many = Array.from(
        { length: count },
        (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
      );
      world.server(1, (question) => {
        const { name, transport, additionals } = question;
        const whole = reply(question, { answers: many.map((each) => a(name, each)) });
        const [opt] = additionals as unknown as { udpPayloadSize: number }[];
        const fits = transport === "tcp" || whole.length <= (opt?.udpPayloadSize ?? 512);
        return [{ wire: fits ? whole : reply(question, { flags: 0x0200 }) }];
      });
      for (const round of [1, 2]) {
        const asked = world.ask("big.test", "A", {
          edns: { payload: 4096, options: new Uint8Array(0) },
        });
        world.settle();
        const { answer } = asked;
        t.equal(answer?.ok && answer.answers.length, count, `${count}, round ${round}`);
        t.equal(answer?.ok && answer.tc, false);
      }
      t.same(
        world.asked.map(({ transport, question }) => [
          transport,
          (question.additionals as unknown as { udpPayloadSize: number }[])[0]!.udpPayloadSize,
        ]),
        [
          ["udp", 1232],
          ["tcp", 1232],
        ],
      );
    }
  },
);

t.test("S20: fifty links, a loop, a name that is its own alias, DNAMEs that grow", async (t) => {
  const links = (names: string[]) => names.slice(1).map((to, i) => cname(names[i]!, to));
  const rows: [what: string, answers: ReturnType<typeof links>, words: string, packets: number][] =
    [
      [
        "fifty",
        links(["x.test", ...Array.from({ length: 50 }, (_, i) => `l${i}.test`)]),
        "failed",
        1,
      ],
      ["a loop", links(["x.test", "y.test", "x.test"]), "failed", 1],
      ["its own", links(["x.test", "X.test"]), "failed", 1],
      [
        "DNAMEs",
        [
          { type: "DNAME", name: "test", ttl: 60, data: "test.test" } as never,
          cname("x.test", "x.test.test"),
          cname("x.test.test", "x.test.test.test"),
        ],
        "TYPE39 CNAME x.test.test. CNAME x.test.test.test.",
        1,
      ],
    ];
  for (const [what, answers, words, packets] of rows) {
    const world = createWorld(1);
    world.server(1, (question) => [{ wire: reply(question, { answers }) }]);
    for (const round of [1, 2]) t.equal(settled(world, "x.test"), words, `${what}, round ${round}`);
    t.equal(world.asked.length, packets, `${what}: packets`);
  }
});

t.test("S21: as many keys and signatures as fit cost no more than other records", async (t) => {
  const key = (i: number) =>
    ({
      type: "DNSKEY",
      name: "big.test",
      ttl: 60,
      data: {
        flags: 257,
        algorithm: 13,
        key: Buffer.from(`key number ${i}, of no use to anybody`),
      },
    }) as const;
  const signature = (i: number) =>
    ({
      type: "RRSIG",
      name: "big.test",
      ttl: 60,
      data: {
        typeCovered: "DNSKEY",
        algorithm: 13,
        labels: 2,
        originalTTL: 60,
        expiration: 2,
        inception: 1,
        keyTag: i,
        signersName: "test",
        signature: Buffer.from(`signature number ${i}, of no use to anybody`),
      },
    }) as const;
  const numbers = Array.from({ length: 400 }, (_, i) => i);
  const answers = [...numbers.map(key), ...numbers.map(signature)];
  const world = createWorld(1);
  let whole: Buffer | undefined;
  world.server(1, (question) => {
    if (question.transport === "udp") return [{ wire: reply(question, { flags: 0x0200 }) }];
    whole ??= reply(question, { answers });
    whole.writeUInt16BE(question.id!, 0);
    return [{ wire: whole }];
  });
  const edns = { payload: 4096, options: new Uint8Array(0) };
  const took: number[] = [];
  for (let i = 0; i < 30; i++) {
    const asked = world.ask("big.test", "DNSKEY", { do: true, edns });
    const startedMs = performance.now();
    world.settle(500);
    took.push(performance.now() - startedMs);
    t.equal(asked.answer?.ok && asked.answer.answers.length, 800, "passed on, not verified");
    world.pass(70_000);
  }
  took.sort((x, y) => x - y);
  t.comment(`median ${took[15]!.toFixed(2)} ms for ${whole!.length} octets`);
  t.ok(took[15]! < 20, `${took[15]} ms, of 50`);
  t.equal(world.asked.length, 60);
});
