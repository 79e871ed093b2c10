import t from "tap";
import { parseResolvConf, withoutOwn } from "../../src/forwarder/resolvconf.ts";

const at = (address: string, port = 53) => ({ address, port });

/** resolv.conf(5): what a file says. */
const files: [string, string, Partial<ReturnType<typeof parseResolvConf>>][] = [
  ["one server", "nameserver 192.0.2.1\n", { servers: [at("192.0.2.1")] }],
  [
    "several, with comments, tabs, carriage returns and other lines",
    "# made by hand\n; nameserver 9.9.9.9\nsearch example.test\r\nnameserver\t192.0.2.1 # first\r\n\n  nameserver 2001:db8::1\n",
    { servers: [at("192.0.2.1"), at("2001:db8::1")] },
  ],
  [
    "twice the same",
    "nameserver 192.0.2.1\nnameserver 192.0.2.1\n",
    { servers: [at("192.0.2.1")] },
  ],
  ["a scope", "nameserver fe80::1%eth0", { servers: [at("fe80::1%eth0")] }],
  [
    "ports as OpenBSD writes them",
    "nameserver [192.0.2.1]:5353\nnameserver [2001:db8::1]:54\nnameserver [2001:db8::2]",
    { servers: [at("192.0.2.1", 5353), at("2001:db8::1", 54), at("2001:db8::2")] },
  ],
  [
    "what is no address",
    "nameserver dns.example.test\nnameserver 192.0.2.300\nnameserver\nnameserver 192.0.2.1%eth0\nnameserver fe80::1%\nnameserver [192.0.2.1]:0\nnameserver [192.0.2.1]:70000",
    { servers: [] },
  ],
  [
    "options",
    "options timeout:3 attempts:4 rotate trust-ad edns0 ndots:2",
    { timeoutMs: 3000, attempts: 4, rotate: true, trustAd: true },
  ],
  [
    "options cut as in the C library",
    "options timeout:99 attempts:9",
    { timeoutMs: 30_000, attempts: 5 },
  ],
  [
    "options without sense",
    "options timeout:0 attempts: timeout:x",
    { timeoutMs: null, attempts: null },
  ],
  ["an empty file", "", { servers: [], rotate: false, trustAd: false, timeoutMs: null }],
];
for (const [when, text, says] of files)
  t.test(when, async (t) => t.match(parseResolvConf(text), says));

t.test("lines that are not understood are told", async (t) => {
  const { ignored } = parseResolvConf("nameserver 192.0.2.1\nnameserver nonsense\n");
  t.same(ignored, [{ line: 2, text: "nameserver nonsense" }]);
});

t.test("the list is bounded, whatever the file", async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => `nameserver 10.0.${i >> 8}.${i & 255}`);
  const conf = parseResolvConf(many.join("\n"));
  t.equal(conf.servers.length, 16);
  t.equal(conf.ignored.length, 984);
  t.equal(parseResolvConf("nameserver 192.0.2.1 ".repeat(1_000_000)).servers.length, 1);
});

const listening = [at("127.0.0.1", 53), at("127.0.0.1", 8600)];
const host = ["127.0.0.1", "10.1.2.3", "::1", "fe80::9%eth0", "2001:db8::9"];
const own: [string, Parameters<typeof withoutOwn>[1], string, boolean][] = [
  ["our address", { listening, host }, "127.0.0.1", true],
  ["another of the host, not listened on", { listening, host }, "10.1.2.3", false],
  ["another server", { listening, host }, "192.0.2.1", false],
  ["we listen on another port", { listening: [at("127.0.0.1", 8600)], host }, "127.0.0.1", false],
  ["the stub of systemd-resolved", { listening, host }, "127.0.0.53", false],
  [
    "a wildcard takes the addresses of the host",
    { listening: [at("0.0.0.0")], host },
    "10.1.2.3",
    true,
  ],
  ["and all of 127/8", { listening: [at("0.0.0.0")], host }, "127.0.0.53", true],
  ["but no other", { listening: [at("0.0.0.0")], host }, "10.1.2.4", false],
  ["an IPv4 wildcard takes no IPv6", { listening: [at("0.0.0.0")], host }, "2001:db8::9", false],
  ["an IPv6 wildcard takes both", { listening: [at("::")], host }, "10.1.2.3", true],
  ["an IPv6 wildcard takes IPv6", { listening: [at("::")], host }, "2001:db8::9", true],
  ["written otherwise", { listening: [at("::1")], host }, "0:0:0:0:0:0:0:1", true],
  ["mapped", { listening, host }, "::ffff:127.0.0.1", true],
  ["with a scope", { listening: [at("::")], host }, "fe80::9%eth1", true],
];
for (const [when, where, address, dropped] of own)
  t.test(`own addresses: ${when}`, async (t) =>
    t.equal(withoutOwn([at(address)], where).length, dropped ? 0 : 1),
  );
