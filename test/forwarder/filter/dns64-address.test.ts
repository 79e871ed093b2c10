// IPv4 addresses in IPv6 addresses: the examples of RFC 6052 section 2.4.
import fc from "fast-check";
import t from "tap";
import { formatAddress, parseAddress } from "../../../src/address.ts";
import { parseNetwork } from "../../../src/config/network.ts";
import {
  embed,
  extract,
  mayEmbed,
  PREFIX_LENGTHS,
} from "../../../src/forwarder/filter/dns64-address.ts";

function network(text: string) {
  const parsed = parseNetwork(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

const ipv4 = parseAddress("192.0.2.33")!;

t.test("the examples of RFC 6052 2.4", async (t) => {
  const rows: [prefix: string, address: string][] = [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"],
    ["64:ff9b::/96", "64:ff9b::192.0.2.33"],
  ];
  for (const [prefix, address] of rows) {
    const expected = parseAddress(address)!;
    t.same(embed(network(prefix), ipv4), expected, prefix);
    t.same(extract(network(prefix), expected), ipv4, `${address} back`);
  }
});

t.test("what was embedded comes out again; the reserved octet is zero", async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...PREFIX_LENGTHS),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (prefixLength, octets, address) => {
        const prefix = { octets: octets.with(8, 0), prefixLength };
        const made = embed(prefix, address);
        t.equal(made[8], 0);
        t.same(extract(prefix, made), address);
        t.equal(extract(prefix, made.with(0, made[0]! ^ 1)), undefined, "another prefix");
      },
    ),
    { numRuns: 200 },
  );
});

t.test("the well-known prefix is for addresses of the Internet only (RFC 6052 3.1)", async (t) => {
  const rows: [address: string, isGlobal: boolean][] = [
    ["8.8.8.8", true],
    ["192.0.0.170", true], // RFC 7050 has it so
    ["100.63.255.255", true],
    ["100.64.0.1", false],
    ["10.1.2.3", false],
    ["127.0.0.1", false],
    ["172.31.0.1", false],
    ["172.32.0.1", true],
    ["192.168.0.1", false],
    ["169.254.169.254", false],
    ["198.18.0.1", false],
    ["224.0.0.1", false],
    ["255.255.255.255", false],
  ];
  for (const [address, isGlobal] of rows) {
    t.equal(mayEmbed(network("64:ff9b::/96"), parseAddress(address)!), isGlobal, address);
    t.ok(mayEmbed(network("64:ff9b:1::/48"), parseAddress(address)!), "RFC 8215 is for any");
  }
  t.equal(
    formatAddress(embed(network("64:ff9b::/96"), parseAddress("8.8.8.8")!)),
    "64:ff9b::808:808",
  );
});
