// How an upstream server may be written, and what is said about other texts.
import t from "tap";
import { parseUpstream, resolveUpstreams } from "../../src/config/upstream.ts";
import { upstreamLabel } from "../../src/forwarder/upstream.ts";

/** The label, with #NAME where a certificate is checked against another name than the address. */
function told(text: string): string {
  const parsed = parseUpstream(text);
  return parsed.ok ? upstreamLabel(parsed.value) : parsed.error;
}

const good: [text: string, label: string][] = [
  ["192.0.2.1", "192.0.2.1:53"],
  ["udp://192.0.2.1:5353", "192.0.2.1:5353"],
  ["192.0.2.1#5353", "192.0.2.1:5353"],
  ["2001:DB8::1#5353", "[2001:db8::1]:5353"],
  ["fe80::1%eth0", "[fe80::1%eth0]:53"],
  ["TCP://[2001:db8::1]", "tcp://[2001:db8::1]:53"],
  ["tls://1.1.1.1", "tls://1.1.1.1:853"],
  ["tls://1.1.1.1:853#cloudflare-dns.com", "tls://1.1.1.1:853#cloudflare-dns.com"],
  ["tls://[2606:4700::1111]#1.1.1.1", "tls://[2606:4700::1111]:853#1.1.1.1"],
  ["tls://dns.example@192.0.2.1", "tls://192.0.2.1:853#dns.example"],
  ["tls://dns.example#other.example@192.0.2.1", "tls://192.0.2.1:853#other.example"],
  ["tls://dns.example", "tls://dns.example:853"],
  ["https://192.0.2.1", "https://192.0.2.1:443/dns-query"],
  ["https://192.0.2.1:8443/q?a=1#dns.example", "https://192.0.2.1:8443/q?a=1#dns.example"],
  [
    "https://dns.example/dns-query@192.0.2.1@eth0",
    "https://192.0.2.1:443/dns-query#dns.example@eth0",
  ],
  ["192.0.2.1@eth0", "192.0.2.1:53@eth0"],
  ["192.0.2.1@192.0.2.9", "192.0.2.1:53@192.0.2.9"],
  ["192.0.2.1:54@192.0.2.9#1053", "192.0.2.1:54@192.0.2.9#1053"],
  ["192.0.2.1@eth0@192.0.2.9#1053", "192.0.2.1:53@eth0@192.0.2.9#1053"],
  ["192.0.2.1@#1053", "192.0.2.1:53@#1053"],
  ["192.0.2.1@eth0#1053", "192.0.2.1:53@eth0#1053"],
  ["2001:db8::1@2001:db8::9", "[2001:db8::1]:53@2001:db8::9"],
];

t.test("what is understood", async (t) => {
  for (const [text, label] of good) t.equal(told(text), label, text);
});

const bad: [text: string, error: string][] = [
  ["", "is not an address such as 192.0.2.1 or 192.0.2.1:53"],
  ["0.0.0.0", "is the unspecified address"],
  ["192.0.2.300", "is not an IP address"],
  ["192.0.2.1:0", "has a port that is not from 1 to 65535"],
  ["192.0.2.1:53#53", "has two ports"],
  ["quic://192.0.2.1", "has an unknown scheme: expected udp, tcp, tls or https"],
  ["tls://", "is not a server such as tls://192.0.2.1:853#dns.example"],
  ["tls://192.0.2.1/dns-query", "has a path, which is for https://"],
  ["tls://192.0.2.1#", 'has "" behind #, which is not the name of a certificate'],
  ["https://192.0.2.1/a b", "has a path with characters that a URL escapes"],
  [
    "https://192.0.2.1/dns-query{?dns}",
    "has a template in its path: give the path alone, such as /dns-query",
  ],
  ["192.0.2.1@", 'has "@": expected @interface, @source#port or both'],
  ["192.0.2.1@eth0@eth1", 'has "@eth0@eth1": expected @interface, @source#port or both'],
  ["192.0.2.1@192.0.2.9@eth0", 'has "@192.0.2.9@eth0": expected @interface, @source#port or both'],
  [
    "192.0.2.1@an-interface-too-long",
    'has "@an-interface-too-long", which is neither an interface nor an address',
  ],
  ["192.0.2.1@192.0.2.9#0", 'has a source port that is not from 1 to 65535 in "@192.0.2.9#0"'],
  ["192.0.2.1@2001:db8::9", "cannot be asked from 2001:db8::9: one is IPv4, one is IPv6"],
];

t.test("what is not", async (t) => {
  for (const [text, error] of bad) t.equal(told(text), `"${text}" ${error}`);
});

t.test("host names: every address, each server once, errors with the key", async (t) => {
  const errors: string[] = [];
  const lookup = (host: string): Promise<string[]> =>
    host === "dns.example"
      ? Promise.resolve(["192.0.2.1", "2001:db8::1"])
      : Promise.reject(new Error("ENOTFOUND"));
  const servers = await resolveUpstreams(
    [
      "tls://dns.example",
      "192.0.2.1",
      "tls://192.0.2.1#dns.example",
      "tls://192.0.2.1#other.example",
      "tls://192.0.2.1",
      "gone.example",
      "x:y:z",
    ],
    { key: "forwarder.zones[0].servers", lookup, errors },
  );
  t.same(servers.map(upstreamLabel), [
    "tls://192.0.2.1:853#dns.example",
    "tls://[2001:db8::1]:853#dns.example",
    "192.0.2.1:53",
    "tls://192.0.2.1:853#other.example",
    "tls://192.0.2.1:853",
  ]);
  t.same(errors, [
    'forwarder.zones[0].servers: the host name "gone.example" cannot be resolved',
    'forwarder.zones[0].servers: "x:y:z" is not an address such as 192.0.2.1 or 192.0.2.1:53',
  ]);
});
