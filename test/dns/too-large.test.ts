/** More than fits: the largest answers that a catalog can give, on every road (spec of the DNS interface, 11). */
import t from "tap";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { everywhere } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, tcp, type World } from "./resolver-world.ts";

/** As much metadata as a node may have: 64 pairs of 128 and 512 characters. */
const fullMeta = Object.fromEntries(
  Array.from({ length: 64 }, (_, i) => [`${i}`.padEnd(128, "k"), "v".repeat(512)]),
);

function fleet(world: World, count: number, long: boolean, meta: boolean): void {
  for (let i = 0; i < count; i++)
    world.apply(
      register(
        node(long ? `node-${i}-${"x".repeat(50)}.${"y".repeat(60)}` : `n${i}`, {
          address: `10.1.${i >> 8}.${i & 255}`,
          meta: meta ? fullMeta : null,
        }),
        service("web"),
      ),
    );
}

t.test(
  "ask 28: TCP: at most 64 KiB, readable, SRV with the glue of those that are left",
  async (t) => {
    for (const [what, count, long, meta] of [
      ["1500 short names", 1500, false, false],
      ["1500 long names", 1500, true, false],
      ["metadata of 40 KiB per node", 12, false, true],
      ["one node with it", 1, true, true],
    ] as const)
      for (const enableTruncate of [false, true])
        for (const disableCompression of [false, true]) {
          const world = createWorld({ settings: { enableTruncate, disableCompression } });
          fleet(world, count, long, meta);
          for (const edns of [undefined, 1232])
            for (const type of ["SRV", "ANY"]) {
              const asked = query("web.service.consul", type, edns === undefined ? {} : { edns });
              const wire = world.compute(asked, tcp)!;
              const label = `${what} ${type} TC ${enableTruncate} plain ${disableCompression}`;
              t.ok(wire.length <= 65535, `${label}: ${wire.length}`);
              const reply = decode(wire);
              const answers = reply.answers!.length;
              t.ok(answers >= 1 && answers <= count, label);
              if (type === "ANY" && !disableCompression) t.equal(answers, count, label);
              const glue = reply.additionals!.filter((record) => record.type === "A").length;
              if (type === "SRV") t.equal(glue, answers, `${label}: glue`);
              t.equal(
                reply.additionals!.some((record) => record.type === "OPT"),
                edns !== undefined,
                `${label}: OPT`,
              );
            }
        }
  },
);

t.test("ask 30: UDP: never more than a datagram holds, whatever payload is claimed", async (t) => {
  const world = createWorld({ settings: { enableTruncate: true } });
  fleet(world, 3, true, true);
  for (const [name, type] of [
    ["web.service.consul", "SRV"],
    ["web.service.consul", "A"],
    [`node-0-${"x".repeat(50)}.${"y".repeat(60)}.node.consul`, "A"],
    [`node-0-${"x".repeat(50)}.${"y".repeat(60)}.node.consul`, "TXT"],
    [`node-0-${"x".repeat(50)}.${"y".repeat(60)}.node.consul`, "ANY"],
  ] as const)
    for (const edns of [undefined, 512, 1232, 4096, 65535])
      for (const { road, wire, reply } of everywhere(
        world,
        query(name, type, edns === undefined ? {} : { edns }),
      )) {
        t.equal(reply.rcode, "NOERROR");
        if (road === "tcp") continue;
        const most = Math.max(512, edns ?? 0);
        if (reply.answers!.length > 1)
          t.ok(wire.length <= most, `${name} ${type} ${edns} ${road}: ${wire.length}`);
        t.ok(wire.length <= 65467, `${name} ${type} ${edns} ${road}: ${wire.length}`);
      }
});
