import { BlockList } from "node:net";
import fc from "fast-check";
import t from "tap";
import type { Network } from "../../src/address.ts";
import { isInside, parseNetwork } from "../../src/config/network.ts";

function network(text: string): Network {
  const parsed = parseNetwork(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

t.test("what is not in CIDR form is refused", async (t) => {
  for (const bad of [
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/8/8",
    "10.0.0/8",
    "010.0.0.0/8",
    "::/129",
    "::1/",
    "1::2::3/8",
    "fe80::%eth0/10",
    "x/8",
  ])
    t.same(parseNetwork(bad), { ok: false, error: `"${bad}" is not a network such as 10.0.0.0/8` });
});

t.test("what lies inside", async (t) => {
  const everywhere = [network("0.0.0.0/0"), network("::/0")];
  for (const address of ["1.2.3.4", "::1", "fe80::1%eth0", "::ffff:1.2.3.4"])
    t.ok(isInside(everywhere, address), address);
  t.notOk(isInside(everywhere, "/run/waypost.sock"));
  t.notOk(isInside([network("::/0")], "1.2.3.4"), "IPv4 is not a part of IPv6");
  t.ok(isInside([network("::ffff:10.0.0.0/104")], "10.9.9.9"), "a mapped network is IPv4");
  t.notOk(isInside([network("10.0.0.128/25")], "10.0.0.127"));
  t.notOk(isInside([], "10.0.0.1"));
});

t.test("agrees with node:net on what lies in a network", async (t) => {
  const families = [
    { type: "ipv4", bits: 32, address: fc.ipV4() },
    { type: "ipv6", bits: 128, address: fc.ipV6() },
  ] as const;
  for (const { type, bits, address } of families)
    fc.assert(
      fc.property(address, address, fc.nat({ max: bits }), (first, second, length) => {
        const list = new BlockList();
        list.addSubnet(first, length, type);
        for (const each of [first, second])
          t.equal(isInside([network(`${first}/${length}`)], each), list.check(each, type));
      }),
    );
});
