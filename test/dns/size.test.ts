import t from "tap";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, lines, tcp, udp, type World } from "./resolver-world.ts";

function farm(
  count: number,
  settings: Parameters<typeof createWorld>[0] = {},
  over: (i: number) => object = () => ({}),
  prefix = "farmn",
): World {
  const world = createWorld(settings);
  for (let i = 0; i < count; i++)
    world.apply(
      register(
        node(`${prefix}${i}`, { address: `10.30.${i >> 8}.${i & 255}`, ...over(i) }),
        service("farm", { id: `farm-${i}`, port: 7000 }),
      ),
    );
  return world;
}
const ask = (world: World, type: string, options = {}, client = udp) =>
  world.compute(query("farm.service.consul", type, options), client)!;

// Numbers that Consul 1.10 gave for 50 instances (spec of the DNS interface, section 11); with the OPT
// that Consul loses, one answer less where it takes the room.
t.test("ask 29, 30: payload against number of answers", async (t) => {
  const rows: [type: string, edns: number | undefined, least: number, most: number][] = [
    ["A", undefined, 3, 3],
    ["A", 100, 3, 3],
    ["A", 512, 3, 3],
    ["A", 513, 28, 29],
    ["A", 700, 40, 41],
    ["A", 4096, 50, 50],
    ["SRV", undefined, 3, 3],
    ["SRV", 1232, 19, 20],
    ["SRV", 4096, 50, 50],
  ];
  const world = farm(50, { settings: { enableTruncate: true } });
  for (const [type, edns, least, most] of rows) {
    const wire = ask(world, type, edns === undefined ? {} : { edns });
    const reply = decode(wire);
    const count = reply.answers?.length ?? 0;
    t.ok(count >= least && count <= most, `${type} ${edns}: ${count}`);
    t.ok(wire.length <= Math.max(512, edns ?? 512), `${type} ${edns}: ${wire.length} octets`);
    t.match(reply, { flag_tc: count < 50 });
    t.equal(
      reply.additionals?.some((record) => record.type === "OPT"),
      edns !== undefined,
      "OPT",
    );
    if (type === "SRV") t.equal(lines(reply.additionals).length, count, "glue of each target");
  }
});

t.test(
  "udp_answer_limit: 12 acts as 8, SRV then as many as fit uncompressed; 0 gives none",
  async (t) => {
    const limit = (udpAnswerLimit: number) => farm(12, { settings: { udpAnswerLimit } });
    t.equal(decode(ask(limit(12), "A")).answers?.length, 8);
    t.equal(decode(ask(limit(12), "SRV")).answers?.length, 4);
    const none = decode(ask(limit(0), "A"));
    t.match(none, { rcode: "NOERROR", flag_tc: false, answers: [], authorities: [] });
    t.equal(
      decode(ask(limit(0), "A", { edns: 1232 })).answers?.length,
      12,
      "no such limit with EDNS",
    );
  },
);

t.test("cut SRV answers lose TXT; uncut ones that are too large lose it too", async (t) => {
  const world = farm(10, {}, () => ({ meta: { pool: "green" } }));
  const cut = decode(ask(world, "SRV"));
  t.equal(cut.answers?.length, 3);
  t.same(
    cut.additionals?.map(({ type }) => type),
    ["A", "A", "A"],
  );
  const whole = decode(ask(world, "SRV", { edns: 4096 }));
  t.equal(lines(whole.additionals).length, 20);
  const tight = decode(ask(world, "SRV", { edns: 820 }));
  t.match(tight, { flag_tc: false, answers: { length: 10 } });
  t.same(new Set(tight.additionals?.map(({ type }) => type)), new Set(["A"]));
});

t.test("TCP: 1500 addresses whole, 1500 SRV as 1024 with their glue", async (t) => {
  const world = farm(1500, { settings: { enableTruncate: true } }, () => ({}), "b");
  t.match(decode(ask(world, "A", {}, tcp)), { flag_tc: false, answers: { length: 1500 } });
  const wire = ask(world, "SRV", { edns: 1232 }, tcp);
  t.match(decode(wire), { flag_tc: true, answers: { length: 1024 } });
  t.equal(lines(decode(wire).additionals).length, 1024);
  t.ok(wire.length <= 65535);
  const large = ask(world, "A", { edns: 4096 });
  t.match(
    decode(large),
    { flag_tc: true, answers: { length: 253 }, additionals: [] },
    "as Consul's transcript",
  );
});

t.test("one answer is sent even if it is too large", async (t) => {
  const world = createWorld();
  const meta = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`k${i}`, "z".repeat(100)]));
  world.apply(register(node("n1", { meta }), service("farm")));
  const wire = ask(world, "SRV");
  t.ok(wire.length > 512);
  t.match(decode(wire), { flag_tc: false, answers: { length: 1 } });
});

t.test("without compression there is no pointer, and the count differs accordingly", async (t) => {
  const world = farm(50, { settings: { disableCompression: true } });
  for (const options of [{}, { edns: 700 }, { edns: 4096 }]) {
    const wire = ask(world, "SRV", options);
    t.notOk(Buffer.from(wire.subarray(40)).includes(0xc0), "no pointer octet");
    decode(wire);
  }
  t.equal(
    decode(ask(world, "A", { edns: 700 })).answers?.length,
    Math.floor((700 - 8 - 11 - 37) / 35),
  );
});
