// Directives about whole sets of local names: domains of networks, mail of hosts, zones with an SOA record.
import t from "tap";
import { read, tree } from "./dnsmasq.ts";

const forwarder = (value: object) => ({ forwarder: value });

/** Lines, with `;` for the end of a line, and the JSON beyond that of an empty file. */
const cases: [lines: string, json: object][] = [
  [
    "domain=a.test,192.0.2.1,192.0.2.6;domain=b.test,2001:db8::/64;domain=c.test,eth0;expand-hosts",
    forwarder({
      expand_hosts: true,
      host_domains: [
        { domain: "c.test", networks: ["10.1.2.0/24", "fd00:1::/64", "fe80::/64"] },
        { domain: "b.test", networks: ["2001:db8::/64"] },
        {
          domain: "a.test",
          networks: ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"],
        },
      ],
    }),
  ],
  ["domain=a.test,192.0.2.9,192.0.2.1", {}],
  ["selfmx", forwarder({ host_mx: "self" })],
  [
    "localmx;mx-target=m.test",
    forwarder({
      host_mx: "m.test.",
      records: [{ name: "host-1", type: "MX", data: "1 m.test." }],
    }),
  ],
  [
    "localmx;selfmx",
    forwarder({ host_mx: "self", records: [{ name: "host-1", type: "MX", data: "1 host-1." }] }),
  ],
  [
    "auth-zone=a.test,10.1.0.0/16;auth-server=ns.test",
    forwarder({
      zones: [{ names: ["a.test"], local: true }],
      records: [
        {
          name: "a.test",
          type: "SOA",
          data: "ns.test. hostmaster.ns.test. 1 1200 180 1209600 600",
          ttl: "600s",
        },
        { name: "a.test", type: "NS", data: "ns.test.", ttl: "600s" },
      ],
    }),
  ],
  [
    "auth-zone=a.test,10.1.2.3/16,exclude:10.1.9.0/24;auth-server=ns.test,eth0;auth-sec-servers=n2.test;auth-soa=7,me@a.test,1,2,3;auth-ttl=9;txt-record=b.a.test,x;txt-record=c.test,x",
    forwarder({
      zones: [{ names: ["a.test", "10.1.0.0/16"], local: true }],
      records: [
        { name: "b.a.test", type: "TXT", data: '"x"', ttl: "9s" },
        { name: "c.test", type: "TXT", data: '"x"' },
        ...["a.test", "1.10.in-addr.arpa"].flatMap((name) => [
          { name, type: "SOA", data: "ns.test. me.a.test. 7 1 2 3 9", ttl: "9s" },
          { name, type: "NS", data: "ns.test.", ttl: "9s" },
          { name, type: "NS", data: "n2.test.", ttl: "9s" },
        ]),
      ],
    }),
  ],
];

t.test("lines → JSON", async (t) => {
  for (const [lines, json] of cases) t.same(tree(lines.replaceAll(";", "\n")), json, lines);
});

t.test("what auth-zone leaves open is told", async (t) => {
  const rows: [lines: string, told: string][] = [
    ["auth-zone=a.test", "main.conf:1: auth-zone: without auth-server the zone has no SOA record"],
    [
      "auth-zone=a.test\nauth-server=ns.test,eth0",
      "main.conf:2: auth-server: who asks eth0 gets the same answers as all others: dns_listen, dns_access and forwarder.views say who gets which",
    ],
    [
      "auth-zone=a.test,x/9\nauth-server=ns.test",
      'main.conf:1: auth-zone: "x/9" is neither a network nor an interface',
    ],
  ];
  for (const [lines, told] of rows) {
    const { notes, errors } = read(`${lines}\n`);
    t.ok([...notes, ...errors].includes(told), lines);
  }
});
