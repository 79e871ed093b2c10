/** Denials without an SOA (dnsmasq `neg-ttl`). */
import t from "tap";
import { createWorld, inWords, saying } from "./world.ts";

for (const { rcode, name } of [
  { rcode: 3, name: "NXDOMAIN" },
  { rcode: 0, name: "NODATA" },
])
  t.test(`${name} without an SOA is kept as long as the settings say`, async (t) => {
    for (const [seconds, expected] of [
      [0, [1, 2, 3]],
      [90, [1, 1, 2]],
      // The bound of all denials holds for these as well.
      [900, [1, 1, 1]],
    ] as const) {
      const world = createWorld(1, { bareDenialSeconds: seconds, prefetch: false });
      world.server(1, saying({ rcode }));
      const asked: number[] = [];
      for (const waitMs of [0, 80_000, 20_000]) {
        world.pass(waitMs);
        const reply = world.ask("gone.test");
        world.pass(10);
        t.match(inWords(reply), rcode === 3 ? /^NXDOMAIN/ : /^NODATA|^NOERROR/);
        asked.push(world.asked.length);
      }
      t.same(asked, expected, `${seconds} s`);
      world.settle();
    }
  });
