/** Configurations that Debian's dnsmasq and waypost are both given, and the names that they are asked for. */

import type { Scenario } from "./dnsmasq-compare.ts";

const start = "no-resolv\nno-hosts\nlisten-address=127.0.0.1\n";

export const scenarios: readonly Scenario[] = [
  {
    name: "suffixes",
    conf: `${start}
server={a}
server=/corp.example/{b}
server=/deep.corp.example/{c}
server=/back.corp.example/#
server=/never.corp.example/
local=/lan/
server=/.dotted.example/{b}
server=/*.star.example/{c}
server=/*text.example/{d}
server=/exact.text.example/{e}
server=//{f}
server=/two.example/{b}
server=/two.example/{b}
server=/both.example/
server=/both.example/{e}
server=/hash.example/{b}
server=/hash.example/#
server=/mail.text.example/shop.example/{e}
server=/Capital.Example/{d}
`,
    names: [
      "corp.example",
      "deep.corp.example",
      "back.corp.example",
      "never.corp.example",
      "lan",
      "dotted.example",
      "star.example",
      "text.example",
      "exact.text.example",
      "two.example",
      "both.example",
      "hash.example",
      "mail.text.example",
      "shop.example",
      "capital.example",
      "elsewhere.example",
      "single",
    ],
  },
  {
    name: "addresses",
    conf: `${start}
server={a}
server=/served.blocked.example/{b}
address=/v4.example/192.0.2.1
address=/v6.example/2001:db8::6
address=/both.example/192.0.2.2
address=/both.example/2001:db8::2
address=/many.example/192.0.2.3
address=/many.example/192.0.2.4
address=/blocked.example/
address=/open.blocked.example/192.0.2.5
address=/null.example/#
address=/sealed.example/192.0.2.6
local=/sealed.example/
address=/forwarded.example/192.0.2.7
server=/forwarded.example/{b}
address=/*wild.example/192.0.2.8
address=/*.below.example/192.0.2.9
address=/a.list.example/b.list.example/192.0.2.10
address=/mixed.null.example/192.0.2.11
address=/mixed.null.example/#
address=/host.blocked.example/#
`,
    names: [
      "v4.example",
      "v6.example",
      "both.example",
      "many.example",
      "blocked.example",
      "served.blocked.example",
      "open.blocked.example",
      "null.example",
      "sealed.example",
      "forwarded.example",
      "wild.example",
      "below.example",
      "a.list.example",
      "b.list.example",
      "mixed.null.example",
      "host.blocked.example",
      "other.example",
    ],
  },
  {
    name: "everything",
    conf: `${start}
address=/#/192.0.2.99
server=/let.example/{a}
local=/gone.example/
`,
    names: ["any.example", "let.example", "gone.example", "single"],
  },
  {
    name: "reverse",
    conf: `${start}
server={a}
rev-server=10.0.0.0/8,{b}
rev-server=10.20.0.0/15,{c}
rev-server=10.20.30.0/25,{d}
rev-server=192.0.2.7,{e}
rev-server=172.16.0.0/12
rev-server=2001:db8::/32,{b}
rev-server=2001:db8:8000::/33,{c}
rev-server=fd00::/8
server=/168.192.in-addr.arpa/{f}
bogus-priv
`,
    names: [],
    questions: [
      ...[
        "1.2.3.10",
        "9.9.20.10",
        "9.9.21.10",
        "9.9.22.10",
        "1.30.20.10",
        "127.30.20.10",
        "128.30.20.10",
        "7.2.0.192",
        "8.2.0.192",
        "1.1.16.172",
        "1.1.31.172",
        "1.1.32.172",
        "1.1.168.192",
        "1.2.3.4",
        "1.0.0.127",
        "1.1.254.169",
        "255.255.255.255",
        "1.100.51.198",
        "10",
        "168.192",
        "16.172",
      ].map((reversed): [string, string] => [`${reversed}.in-addr.arpa`, "PTR SOA A TXT"]),
      ...[
        "8.b.d.0.1.0.0.2",
        "0.8.8.b.d.0.1.0.0.2",
        "0.7.8.b.d.0.1.0.0.2",
        "1.d.f",
        "8.e.f",
        "0.0.0.0.1.0.2.0.6.2",
      ].map((nibbles): [string, string] => [
        `1${".0".repeat(31 - nibbles.split(".").length)}.${nibbles}.ip6.arpa`,
        "PTR SOA",
      ]),
    ],
  },
  {
    name: "records",
    conf: `${start}
server={a}
local=/corp.example/
host-record=www.corp.example,web.corp.example,192.0.2.10,2001:db8::10
host-record=only4.corp.example,192.0.2.11
host-record=only6.corp.example,2001:db8::12
host-record=two.corp.example,192.0.2.13
host-record=two.corp.example,192.0.2.14
host-record=short,192.0.2.15
host-record=aged.corp.example,192.0.2.16,77
host-record=out.example,192.0.2.17
cname=alias.corp.example,www.corp.example
cname=second.corp.example,alias.corp.example
cname=aged-alias.corp.example,www.corp.example,99
cname=one.corp.example,other.corp.example,only4.corp.example
cname=*.wild.corp.example,www.corp.example
cname=nowhere.corp.example,gone.corp.example
cname=outside.corp.example,www.elsewhere.example
txt-record=text.corp.example,"v=spf1 a -all"
txt-record=text.corp.example,one,"two, three"
txt-record=www.corp.example,also
srv-host=_sip._tcp.corp.example,www.corp.example,5060,1,2
srv-host=_sip._tcp.corp.example,two.corp.example,5061,3,4
srv-host=_none._tcp.corp.example
mx-host=corp.example,mail.corp.example,50
mx-host=corp.example,www.corp.example,60
ptr-record=_http._tcp.corp.example,page._http._tcp.corp.example
naptr-record=corp.example,10,20,S,SIP+D2U,,_sip._udp.corp.example
caa-record=corp.example,0,issue,ca.example
dns-rr=key.corp.example,51,01:23:45:67
`,
    names: [
      "www.corp.example",
      "only4.corp.example",
      "only6.corp.example",
      "two.corp.example",
      "short",
      "aged.corp.example",
      "out.example",
      "alias.corp.example",
      "second.corp.example",
      "aged-alias.corp.example",
      "one.corp.example",
      "wild.corp.example",
      "text.corp.example",
      "_sip._tcp.corp.example",
      "_none._tcp.corp.example",
      "corp.example",
      "key.corp.example",
      "_http._tcp.corp.example",
    ],
    questions: [
      ["nowhere.corp.example", "A AAAA CNAME TXT"],
      ["outside.corp.example", "A AAAA CNAME TXT"],
      ["10.2.0.192.in-addr.arpa", "PTR A"],
      ["11.2.0.192.in-addr.arpa", "PTR"],
      ["13.2.0.192.in-addr.arpa", "PTR"],
      ["99.2.0.192.in-addr.arpa", "PTR"],
      [`0.1${".0".repeat(22)}.8.b.d.0.1.0.0.2.ip6.arpa`, "PTR"],
      ["key.corp.example", "TYPE51"],
      ["corp.example", "CAA NAPTR"],
    ],
    ttls: true,
  },
  {
    name: "hosts",
    conf: `no-resolv
listen-address=127.0.0.1
no-hosts
addn-hosts={dir}/hosts
hostsdir={dir}/hosts.d
expand-hosts
domain=corp.example
local=/corp.example/
domain-needed
bogus-priv
local-ttl=60
server={a}
address=/printer.corp.example/192.0.2.99
`,
    files: {
      hosts: `# comment
192.0.2.20 alpha alpha-alias
192.0.2.21 beta.corp.example beta
2001:db8::20 alpha
192.0.2.22	dotted.other.example   # trailing
10.1.1.1 inside
192.0.2.23 printer
0.0.0.0 nothing.example
::1 six.example
bad line
300.1.1.1 wrong.example
`,
      "hosts.d/more": "192.0.2.24 gamma\n192.0.2.20 second\n",
    },
    names: [
      "alpha",
      "alpha.corp.example",
      "alpha-alias.corp.example",
      "beta",
      "beta.corp.example",
      "dotted.other.example",
      "inside",
      "printer.corp.example",
      "nothing.example",
      "six.example",
      "wrong.example",
      "gamma.corp.example",
      "second.corp.example",
      "absent",
      "absent.corp.example",
    ],
    questions: [
      ["20.2.0.192.in-addr.arpa", "PTR"],
      ["21.2.0.192.in-addr.arpa", "PTR"],
      ["24.2.0.192.in-addr.arpa", "PTR"],
      ["1.1.1.10.in-addr.arpa", "PTR"],
      ["2.1.1.10.in-addr.arpa", "PTR"],
      ["1.2.168.192.in-addr.arpa", "PTR"],
      [`0.2${".0".repeat(22)}.8.b.d.0.1.0.0.2.ip6.arpa`, "PTR"],
    ],
    ttls: true,
  },
  {
    name: "filters",
    conf: `${start}
server={a}
filter-AAAA
filter-rr=MX
bogus-nxdomain=192.0.2.66
alias=1.2.3.0,6.7.8.0,255.255.255.0
alias=198.18.0.1-198.18.0.9,10.0.0.0,255.255.255.0
stop-dns-rebind
rebind-localhost-ok
rebind-domain-ok=/safe.example/
filterwin2k
local=/lan.example/
host-record=dual.lan.example,192.0.2.30,2001:db8::30
`,
    names: ["plain.example", "dual.lan.example"],
    questions: [
      ["bogus.example", "A AAAA TXT"],
      ["doctor.example", "A AAAA"],
      ["range.example", "A"],
      ["private.example", "A AAAA TXT"],
      ["private.safe.example", "A AAAA"],
      ["loopback.example", "A AAAA"],
      ["alias.example", "A AAAA CNAME"],
      ["under_score.example", "ANY A SRV SOA"],
      ["v6.example", "A AAAA"],
      ["nodata.example", "A AAAA MX"],
      ["nx.example", "A AAAA MX"],
    ],
  },
  {
    name: "no AAAA, no A",
    conf: `${start}
server={a}
filter-A
ignore-address=192.0.2.67
no-negcache
`,
    names: ["plain.example"],
    questions: [
      ["v6.example", "A AAAA ANY"],
      ["v4.example", "A AAAA"],
      ["nx.example", "A AAAA TXT"],
      ["nodata.example", "A AAAA"],
    ],
  },
  {
    name: "times",
    conf: `${start}
server={a}
server=/other.example/{b}
max-ttl=300
min-cache-ttl=60
neg-ttl=90
cache-size=1000
local-ttl=42
host-record=own.example,192.0.2.40
`,
    names: ["own.example"],
    questions: [
      ["short.example", "A AAAA"],
      ["long.example", "A AAAA"],
      ["nx.example", "A AAAA"],
      ["nodata.example", "A AAAA"],
      ["nosoa.example", "A AAAA"],
      ["alias.example", "A AAAA"],
    ],
    ttls: true,
  },
  {
    name: "sizes",
    conf: `${start}
server={a}
local=/big.example/
${Array.from({ length: 4 }, (_, i) => `txt-record=big.example,${`${i}`.repeat(255)},${"x".repeat(255)},${i}`).join("\n")}
${Array.from({ length: 60 }, (_, i) => `host-record=many.big.example,192.0.2.${i + 1}`).join("\n")}
`,
    names: [],
    questions: [
      ["big.example", "TXT"],
      ["many.big.example", "A AAAA ANY"],
      ["big.upstream.example", "TXT"],
      ["huge.upstream.example", "TXT"],
    ],
  },
  {
    name: "files",
    conf: `no-resolv
no-hosts
listen-address=127.0.0.1
conf-file={dir}/first
conf-dir={dir}/conf.d,*.conf
servers-file={dir}/servers
server={a}
conf-file={dir}/first
`,
    files: {
      first: "server=/first.example/{b}\nconf-file={dir}/second # again\n",
      second: "address=/second.example/192.0.2.50\nconf-file={dir}/first\n",
      "conf.d/10-a.conf": 'server=/dir.example/{c}\ntxt-record=dir.example,"a # b" # c\n',
      "conf.d/20-b.conf": "local=/quiet.example/\n  server = /spaced.example/{d}   # blanks\n",
      "conf.d/30-c.conf.bak": "broken",
      servers: "server=/servers.example/{e}\nrev-server=10.0.0.0/8,{f}\n",
    },
    names: [
      "first.example",
      "second.example",
      "dir.example",
      "quiet.example",
      "spaced.example",
      "servers.example",
      "other.example",
    ],
    questions: [["1.2.3.10.in-addr.arpa", "PTR"]],
  },
  {
    name: "no cache",
    conf: `${start}
server={a}
server=/zone.example/{b}
cache-size=0
local=/corp.example/
host-record=www.corp.example,192.0.2.60
filter-AAAA
bogus-nxdomain=192.0.2.66
`,
    names: ["zone.example", "www.corp.example"],
    questions: [
      ["nx.example", "A AAAA"],
      ["bogus.example", "A"],
      ["alias.example", "A"],
    ],
  },
  {
    name: "resolv.conf",
    conf: `resolv-file={dir}/resolv.conf
no-hosts
listen-address=127.0.0.1
server={a}
server=/zone.example/{b}
`,
    files: { "resolv.conf": "# nobody\nsearch corp.example\nnameserver 127.0.0.1\n" },
    names: ["zone.example", "other.example"],
  },
];
