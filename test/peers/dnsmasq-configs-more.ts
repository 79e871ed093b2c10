/** More configurations for both: what is said of local names, and of the order of servers. */
import type { Scenario } from "./dnsmasq-compare.ts";

const start = "no-resolv\nno-hosts\nlisten-address=127.0.0.1\n";

const mailHosts = `192.0.2.20 alpha alpha.corp.example
192.0.2.21 beta.corp.example
2001:db8::22 gamma.corp.example
`;
const mail = (name: string, lines: string): Scenario => ({
  name,
  conf: `${start}
server={a}
addn-hosts={dir}/hosts
host-record=record.corp.example,192.0.2.23
mx-host=own.corp.example,mail.own.example,7
host-record=own.corp.example,192.0.2.24
cname=alias.corp.example,beta.corp.example
${lines}
`,
  files: { hosts: mailHosts },
  names: ["alpha", "beta.corp.example", "gamma.corp.example"],
  questions: [
    ["record.corp.example", "MX A ANY"],
    ["own.corp.example", "MX A ANY"],
    ["alias.corp.example", "MX A"],
    ["absent.corp.example", "MX"],
  ],
  ttls: true,
});

export const scenarios: readonly Scenario[] = [
  mail("localmx", "localmx\nmx-target=mx.corp.example"),
  mail("selfmx", "selfmx"),
  mail("selfmx and localmx", "selfmx\nlocalmx\nmx-target=mx.corp.example\nlocal-ttl=50"),
  mail("mx-target", "mx-target=mx.corp.example\nmx-host=bare.corp.example"),
  {
    name: "auth-zone",
    conf: `${start}
server={a}
addn-hosts={dir}/hosts
auth-zone=zone.example,192.0.2.0/24,2001:db8::/32,exclude:192.0.2.99
auth-zone=plain.example
auth-server=ns1.out.example
auth-sec-servers=ns2.out.example,ns3.out.example
auth-soa=77,hostmaster.zone.example,1000,200,3000
auth-ttl=123
host-record=r.zone.example,192.0.2.20,2001:db8::20
host-record=long.zone.example,192.0.2.21,9
txt-record=t.zone.example,hi
cname=c.zone.example,r.zone.example
cname=out.zone.example,host.else.example
cname=*.w.zone.example,r.zone.example
mx-host=zone.example,m.zone.example,5
srv-host=_x._tcp.zone.example,r.zone.example,80
naptr-record=zone.example,1,2,S,SIP,!x!y!
host-record=host.else.example,192.0.2.30
`,
    files: {
      hosts: "192.0.2.10 short\n192.0.2.11 in.zone.example\n198.51.100.12 far.zone.example\n",
    },
    names: [
      "zone.example",
      "r.zone.example",
      "in.zone.example",
      "far.zone.example",
      "plain.example",
    ],
    questions: [
      ["t.zone.example", "TXT A"],
      ["long.zone.example", "A"],
      ["c.zone.example", "A AAAA CNAME MX TXT"],
      ["out.zone.example", "A AAAA CNAME"],
      ["some.w.zone.example", "A AAAA CNAME TXT"],
      ["_x._tcp.zone.example", "SRV A"],
      ["zone.example", "MX NAPTR"],
      ["short", "A"],
      ["short.zone.example", "A"],
      ["11.2.0.192.in-addr.arpa", "PTR"],
      ["77.2.0.192.in-addr.arpa", "PTR"],
    ],
    ttls: true,
  },
  {
    name: "domains of networks",
    conf: `${start}
server={a}
addn-hosts={dir}/hosts
expand-hosts
domain=usual.example
domain=first.example,192.0.2.0/25
domain=range.example,192.0.2.200,192.0.2.210
domain=six.example,2001:db8::/64
domain=own.example,198.51.100.0/24,local
`,
    files: {
      hosts: `192.0.2.1 one
192.0.2.129 two
192.0.2.205 three
192.0.2.211 four
2001:db8::5 five
198.51.100.9 nine
2001:db8:1::6 other
192.0.2.2 dotted.name.example
`,
    },
    names: ["one.first.example", "two.usual.example", "three.range.example", "own.example"],
    questions: [
      ...["one", "two", "three", "four", "five", "nine", "other"].flatMap((name) =>
        [
          "",
          ".usual.example",
          ".first.example",
          ".range.example",
          ".six.example",
          ".own.example",
        ].map((domain): [string, string] => [name + domain, "A AAAA"]),
      ),
      ["1.2.0.192.in-addr.arpa", "PTR"],
      ["129.2.0.192.in-addr.arpa", "PTR"],
      ["205.2.0.192.in-addr.arpa", "PTR"],
      ["9.100.51.198.in-addr.arpa", "PTR"],
      ["10.100.51.198.in-addr.arpa", "PTR"],
      [`5${".0".repeat(23)}.8.b.d.0.1.0.0.2.ip6.arpa`, "PTR"],
    ],
    ttls: true,
  },
  {
    name: "localise-queries",
    conf: `${start}
server={a}
addn-hosts={dir}/hosts
localise-queries
`,
    files: {
      hosts: `127.0.0.5 near
192.0.2.5 near
2001:db8::5 near
192.0.2.6 far
192.0.2.7 far
127.0.0.6 both.example
127.0.0.7 both.example
192.0.2.8 both.example
`,
    },
    names: ["near", "far", "both.example"],
    ttls: true,
  },
  {
    name: "names of interfaces",
    conf: `${start}
server={a}
local=/corp.example/
interface-name=lo.corp.example,lo
interface-name=lo4.corp.example,lo/4
interface-name=lo6.corp.example,lo/6
interface-name=none.corp.example,nosuch0
dynamic-host=dyn.corp.example,0.0.0.8,lo
synth-domain=synth.example,192.0.2.64/28,ip-
synth-domain=count.example,192.0.2.100,192.0.2.105,n*
synth-domain=bare.example,198.51.100.0/30
synth-domain=six.example,2001:db8:5::/124,host-
synth-domain=wide.example,10.0.0.0/8,w-
synth-domain=wide.example,2001:db8:6::/64
synth-domain=over.example,10.20.0.0/16,o-
`,
    names: ["synth.example"],
    questions: [
      ...["lo", "lo4", "lo6", "none", "dyn"].map((name): [string, string] => [
        `${name}.corp.example`,
        "A AAAA TXT ANY",
      ]),
      ...[
        "ip-192-0-2-64",
        "ip-192-0-2-79",
        "ip-192-0-2-80",
        "ip-192-0-2-70",
        "IP-192-0-2-70",
        "ip-192-0-2-070",
        "192-0-2-70",
        "ip-x",
      ].map((name): [string, string] => [`${name}.synth.example`, "A AAAA TXT"]),
      ...["n0", "n5", "n6", "n05", "n"].map((name): [string, string] => [
        `${name}.count.example`,
        "A AAAA",
      ]),
      ["198-51-100-1.bare.example", "A TXT"],
      ["host-2001-db8-5--1.six.example", "AAAA A"],
      ["host-2001-db8-5--f.six.example", "AAAA"],
      ["host-2001-0db8-0005-0000-0000-0000-0000-0001.six.example", "AAAA"],
      ["w-10-9-8-7.wide.example", "A AAAA"],
      ["w-10-20-8-7.wide.example", "A"],
      ["o-10-20-8-7.over.example", "A"],
      ["w-11-0-0-0.wide.example", "A"],
      ["2001-db8-6--7.wide.example", "AAAA TXT"],
      ["7.8.9.10.in-addr.arpa", "PTR"],
      ["7.8.20.10.in-addr.arpa", "PTR"],
      ["70.2.0.192.in-addr.arpa", "PTR"],
      ["101.2.0.192.in-addr.arpa", "PTR"],
      ["2.100.51.198.in-addr.arpa", "PTR"],
      [`1${".0".repeat(19)}.5.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`, "PTR"],
      ["1.0.0.127.in-addr.arpa", "PTR"],
      ["8.0.0.127.in-addr.arpa", "PTR"],
    ],
    ttls: true,
  },
  {
    name: "chains",
    conf: `${start}
server={a}
server=/other.example/{b}
addn-hosts={dir}/hosts
dhcp-range=192.0.2.100,192.0.2.200,1h
dhcp-alternate-port=10671,10681
dhcp-leasefile={dir}/leases
domain=corp.example
local=/corp.example/
expand-hosts
cname=to-host.corp.example,host.corp.example
cname=to-bare.corp.example,host
cname=to-lease.corp.example,leased.corp.example
cname=to-record.corp.example,record.corp.example
cname=long.corp.example,to-host.corp.example
cname=longer.corp.example,long.corp.example
cname=to-address.corp.example,addressed.corp.example
cname=to-nothing.corp.example,gone.corp.example
cname=short,host.corp.example
cname=host2.corp.example,host.corp.example
host-record=record.corp.example,192.0.2.31
address=/addressed.corp.example/192.0.2.32
`,
    files: {
      hosts: "192.0.2.30 host\n192.0.2.33 host2\n",
      leases: `4000000000 02:00:00:00:00:01 192.0.2.101 leased 01:02:00:00:00:00:01
4000000000 02:00:00:00:00:02 192.0.2.102 * *
4000000000 02:00:00:00:00:03 192.0.2.103 host *
1000 02:00:00:00:00:04 192.0.2.104 gone *
`,
    },
    names: ["leased.corp.example"],
    questions: [
      ...[
        "to-host",
        "to-bare",
        "to-lease",
        "to-record",
        "long",
        "longer",
        "to-address",
        "host2",
      ].map((name): [string, string] => [`${name}.corp.example`, "A AAAA CNAME TXT"]),
      ["to-nothing.corp.example", "A CNAME"],
      ["short", "A AAAA CNAME"],
      ["leased", "A AAAA PTR"],
      ["host", "A"],
      ["host.corp.example", "A AAAA"],
      ["101.2.0.192.in-addr.arpa", "PTR"],
      ["102.2.0.192.in-addr.arpa", "PTR"],
      ["30.2.0.192.in-addr.arpa", "PTR"],
      ["alias.other.example", "A CNAME"],
    ],
  },
  {
    name: "conf-dir, hosts directories",
    conf: `${start}
server={a}
conf-dir={dir}/only,*.conf,*.cnf
conf-dir={dir}/without,.bak,.dpkg-old
addn-hosts={dir}/hosts.d
hostsdir={dir}/more.d
`,
    files: {
      "only/a.conf": "address=/a.only.example/192.0.2.1\n",
      "only/b.cnf": "address=/b.only.example/192.0.2.2\n",
      "only/c.other": "address=/c.only.example/192.0.2.3\n",
      "only/.d.conf": "address=/d.only.example/192.0.2.4\n",
      "only/e.conf~": "address=/e.only.example/192.0.2.5\n",
      "only/#f.conf#": "address=/f.only.example/192.0.2.6\n",
      "only/.conf": "address=/g.only.example/192.0.2.7\n",
      "without/a": "address=/a.without.example/192.0.2.8\n",
      "without/b.bak": "broken",
      "without/c.conf": "address=/c.without.example/192.0.2.9\n",
      "without/d.dpkg-old": "broken",
      "hosts.d/a": "192.0.2.10 a.hosts.example\n",
      "hosts.d/b.txt": "192.0.2.11 b.hosts.example a.hosts.example\n",
      "hosts.d/.c": "192.0.2.12 c.hosts.example\n",
      "hosts.d/d~": "192.0.2.13 d.hosts.example\n",
      "hosts.d/#e#": "192.0.2.14 e.hosts.example\n",
      "more.d/a": "192.0.2.15 a.more.example\n",
      "more.d/#b": "192.0.2.16 b.more.example\n",
    },
    names: [],
    questions: [
      ...["a", "b", "c", "d", "e", "f", "g"].map((name): [string, string] => [
        `${name}.only.example`,
        "A",
      ]),
      ...["a", "b", "c", "d"].map((name): [string, string] => [`${name}.without.example`, "A"]),
      ...["a", "b", "c", "d", "e"].map((name): [string, string] => [`${name}.hosts.example`, "A"]),
      ...["a", "b"].map((name): [string, string] => [`${name}.more.example`, "A"]),
      ...[10, 11, 15].map((octet): [string, string] => [`${octet}.2.0.192.in-addr.arpa`, "PTR"]),
    ],
  },
  {
    name: "lists of domains",
    conf: `${start}
server={a}
server=/corp.example/{b}
server=/x.corp.example/y.corp.example/z.corp.example/#
server=/one.example/two.example/*three.example/{c}
server=/*x/{d}
server=/*deep.one.example/{e}
local=/l1.example/l2.example/*.l3.example/
address=/a1.example/a2.example/*a3.example/192.0.2.1
address=/mixed.one.example/::
server=/10.in-addr.arpa/{f}
`,
    names: [
      "x.corp.example",
      "z.corp.example",
      "two.example",
      "three.example",
      "foo.x",
      "x",
      "deep.one.example",
      "l2.example",
      "l3.example",
      "a2.example",
      "a3.example",
      "mixed.one.example",
    ],
    questions: [
      ["boxx", "A"],
      ["a.box", "A"],
      ["1.1.1.10.in-addr.arpa", "PTR"],
    ],
  },
  {
    name: "rev-server lengths",
    conf: `${start}
server={a}
rev-server=10.0.0.0/7,{b}
rev-server=64.0.0.0/2,{c}
rev-server=172.16.0.0/17,{d}
rev-server=192.0.2.128/30,{e}
rev-server=198.51.100.1/31,{f}
rev-server=203.0.113.77,{b}
rev-server=2001:db8::/29,{c}
rev-server=2001:db8:1200::/39,{d}
rev-server=2001:db8::1/128,{e}
rev-server=fc00::/7,{f}
rev-server=128.0.0.0/1,{d}
`,
    names: [],
    questions: [
      ...[
        "1.1.1.10",
        "1.1.1.11",
        "1.1.1.12",
        "1.1.1.64",
        "1.1.1.127",
        "1.1.1.63",
        "1.127.16.172",
        "1.128.16.172",
        "127.2.0.192",
        "128.2.0.192",
        "131.2.0.192",
        "132.2.0.192",
        "0.100.51.198",
        "1.100.51.198",
        "2.100.51.198",
        "77.113.0.203",
        "78.113.0.203",
        "1.1.1.200",
        "1.1.10",
        "10",
        "200",
        "x.1.1.1.10",
      ].map((name): [string, string] => [`${name}.in-addr.arpa`, "PTR"]),
      ...[
        "8.b.d.0.1.0.0.2",
        "f.b.d.0.1.0.0.2",
        "0.c.d.0.1.0.0.2",
        "2.1.8.b.d.0.1.0.0.2",
        "3.1.8.b.d.0.1.0.0.2",
        "4.1.8.b.d.0.1.0.0.2",
        "1.c.f",
        "1.d.f",
        "1.e.f",
      ].map((nibbles): [string, string] => [
        `1${".0".repeat(31 - nibbles.split(".").length)}.${nibbles}.ip6.arpa`,
        "PTR",
      ]),
      ["8.b.d.0.1.0.0.2.ip6.arpa", "PTR SOA"],
    ],
  },
  {
    name: "types by number",
    conf: `${start}
server={a}
local=/corp.example/
dns-rr=empty.corp.example,65280
dns-rr=two.corp.example,65280,01:02
dns-rr=two.corp.example,65280,03
dns-rr=svcb.corp.example,65,00:01:00
dns-rr=tlsa.corp.example,52,03:01:01:ab:cd
dns-rr=loc.corp.example,29,0001020304050607
dns-rr=top.corp.example,65535,ff
dns-rr=as-a.corp.example,1,c0:00:02:01
dns-rr=as-txt.corp.example,16,03:61:62:63
dns-rr=out.example,65280,aa
txt-record=empty-text.corp.example
txt-record=many.corp.example,a,b,c,,d
txt-record=_under.corp.example,"quoted, with comma",plain
caa-record=caa.corp.example,128,issuewild,";"
naptr-record=naptr.corp.example,65535,0,,,
naptr-record=naptr2.corp.example,1,2,U,E2U+sip,!^.*$!sip:x@y!,rep.corp.example
srv-host=_a._udp.corp.example,t.corp.example,0,65535,65535
ptr-record=_dns-sd._udp.corp.example,"a b.corp.example"
mx-host=m.corp.example,x.corp.example,65535
mx-host=m.corp.example,y.corp.example,0
`,
    names: [],
    questions: [
      ["empty.corp.example", "TYPE65280 A"],
      ["two.corp.example", "TYPE65280 TYPE65281"],
      ["svcb.corp.example", "TYPE65"],
      ["tlsa.corp.example", "TLSA TYPE65"],
      ["loc.corp.example", "TYPE29"],
      ["top.corp.example", "TYPE65535"],
      ["as-a.corp.example", "A"],
      ["as-txt.corp.example", "TXT"],
      ["out.example", "TYPE65280"],
      ["empty-text.corp.example", "TXT"],
      ["many.corp.example", "TXT"],
      ["_under.corp.example", "TXT A"],
      ["caa.corp.example", "CAA"],
      ["naptr.corp.example", "NAPTR"],
      ["naptr2.corp.example", "NAPTR"],
      ["_a._udp.corp.example", "SRV"],
      ["_dns-sd._udp.corp.example", "PTR"],
      ["m.corp.example", "MX"],
    ],
    ttls: true,
  },
];
