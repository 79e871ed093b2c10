// Ask 53: which server failed, and how, in what clients are told (RFC 8914). ignore_address beside it.
import t from "tap";
import packet from "dns-packet";
import { parseAddress } from "../../src/address.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  saying,
  silent,
  type Behaviour,
  type World,
} from "./world.ts";

function errorsOf(world: World, name = "www.test"): string[] {
  const asked = world.ask(name);
  world.settle();
  const { answer } = asked;
  return (answer?.ede ?? []).map(({ code, text }) => `${code} ${text}`.trim());
}

const refusing: Behaviour = () => [{ error: "ECONNREFUSED" }];
const bogus: Behaviour = (question) => [
  {
    wire: reply(question, {
      rcode: 2,
      additionals: [
        {
          type: "OPT",
          name: ".",
          udpPayloadSize: 1232,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          // 6: DNSSEC Bogus.
          options: [{ code: 15, data: Buffer.from("\0\x06no good", "latin1") }] as never,
        },
      ],
    }),
  },
];

t.test("ask 53: failures name the servers in the order of asking", async (t) => {
  const rows: [servers: Behaviour[], errors: string[]][] = [
    [[silent], ["22", "23 192.0.2.1:53 timeout"]],
    [[refusing], ["22", "23 192.0.2.1:53 ECONNREFUSED"]],
    [
      [silent, refusing],
      ["22", "23 192.0.2.1:53 timeout, 192.0.2.2:53 ECONNREFUSED"],
    ],
    [[saying({ rcode: 2 })], ["22 192.0.2.1:53 SERVFAIL"]],
    [[silent, saying({ rcode: 5 })], ["22 192.0.2.1:53 timeout, 192.0.2.2:53 REFUSED"]],
    [[bogus], ["22 192.0.2.1:53 SERVFAIL", "6 no good"]],
    [[() => [{ wire: Buffer.from("neither here nor there") }]], ["22", "23 192.0.2.1:53 timeout"]],
  ];
  for (const [servers, errors] of rows) {
    const world = createWorld(servers.length);
    servers.forEach((behaviour, i) => world.server(i + 1, behaviour));
    t.same(errorsOf(world), errors, errors.join("; "));
    const again = errorsOf(world);
    if (world.forwarder.stats().servers.every(({ standing }) => standing === "dead"))
      t.match(again, ["22", /^23 192\.0\.2\.1:53 /], "all are down: asked again, one may be back");
    else t.same(again, ["13 the same question failed a moment ago"], "kept for a moment");
  }
});

t.test("ask 53: the text is bounded", async (t) => {
  const world = createWorld(9);
  for (let i = 1; i <= 9; i++) world.server(i, refusing);
  const [, text = ""] = errorsOf(world);
  t.ok(text.length <= 93, String(text.length));
  t.match(text, /^23 192\.0\.2\.1:53 ECONNREFUSED, .* and \d more$/);
});

t.test("ask 53: a server that is known to be dead", async (t) => {
  const world = createWorld(2);
  world.server(1, silent);
  world.server(2, silent);
  errorsOf(world);
  world.pass(100);
  for (let i = 0; i < 30; i++) errorsOf(world, `x${i}.test`);
  const [, text = ""] = errorsOf(world, "last.test");
  t.match(text, /192\.0\.2\.1:53 (down, )?timeout, 192\.0\.2\.2:53 (down, )?timeout/);
});

t.test("a failure has texts only; an answer has none", async (t) => {
  const world = createWorld(1);
  t.same(errorsOf(world), []);
});

t.test("ignore_address: the reply is waited past", async (t) => {
  const ignoredAddresses = [{ octets: parseAddress("192.0.2.77")!, prefixLength: 32 }];
  const forged = (question: Parameters<Behaviour>[0]): Buffer =>
    reply(question, { answers: [a(question.name, "192.0.2.77")] });
  const world = createWorld(1, { ignoredAddresses });
  world.server(1, (question) => [
    { wire: forged(question) },
    { wire: reply(question, { answers: [a(question.name, "198.51.100.1")] }), afterMs: 20 },
  ]);
  const right = world.ask("www.test");
  world.settle();
  t.equal(inWords(right), "A 198.51.100.1");
  t.equal(right.afterMs, 20);
  const [server] = world.forwarder.stats().servers;
  t.match(server?.counts, { ignored: 1, replies: 2, timeouts: 0 });

  world.server(1, (question) => [{ wire: forged(question) }]);
  const never = world.ask("other.test");
  world.settle();
  t.equal(inWords(never), "failed");
  t.match(never.answer?.ede, [{ code: 22 }, { code: 23, text: "192.0.2.1:53 ignored address" }]);
  t.equal(server?.standing, "good", "it has answered, so it is not dead");

  world.server(1, answering("192.0.2.78"));
  const others = world.ask("third.test");
  world.settle();
  t.equal(inWords(others), "A 192.0.2.78");
  t.equal(world.openSockets(), 0);
  t.ok(packet.decode(world.asked[0]!.wire), "questions are ordinary ones");
});
