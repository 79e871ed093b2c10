/** Configurations about servers, times and filters, and messages that are no plain questions. */
import type { Scenario } from "./dnsmasq-compare.ts";
import { oddity, probe, type Parts, type Probe } from "./dnsmasq-probes.ts";

const start = "no-resolv\nno-hosts\nlisten-address=127.0.0.1\n";

/** Three servers, and two of a zone. */
const several = `${start}
server={a}
server={b}
server={c}
server=/zone.example/{d}
server=/zone.example/{e}
`;

const RD = 0x100;
const AD = 0x20;
const CD = 0x10;
const DO = 0x8000;

/** Every choice of RD, AD, CD and DO; the name and its first question decide what is held. */
function bits(names: readonly string[]): Probe[] {
  const flags = { AD, CD } as const;
  return names.flatMap((name) =>
    [0, 1, 2, 3].flatMap((chosen) =>
      ["", "EDNS", "DO"].map((edns) => {
        const words = Object.keys(flags).filter((_, i) => (chosen & (1 << i)) !== 0);
        const parts: Parts = {
          flags: words.reduce((sum, word) => sum | flags[word as keyof typeof flags], RD),
          ...(edns === "" ? {} : { edns: { flags: edns === "DO" ? DO : 0 } }),
        };
        const label = [...words, edns].filter((word) => word !== "").join("+");
        return probe(`${name} A ${label || "plain"}`, name, parts);
      }),
    ),
  );
}

const bitNames = [
  "signed.example",
  "plain.example",
  "nx.example",
  "nodata.example",
  "own.example",
  "denied.example",
  "null.example",
  "alias.example",
];
const bitConf = `${start}
server={a}
host-record=own.example,192.0.2.1
local=/denied.example/
address=/null.example/#
`;

const sizes: readonly Probe[] = [0, 256, 511, 512, 1232, 1400, 4096, 65_535].flatMap((size) =>
  ["big.example", "huge.example", "big.local.example", "own.example"].map((name) =>
    probe(`${name} TXT ${size}`, name, { qtype: 16, edns: { size } }),
  ),
);

const options: Readonly<Record<string, string>> = {
  nsid: "00030000",
  cookie: "000a00080102030405060708",
  "bad cookie": "000a0004 01020304".replace(" ", ""),
  "server cookie": "000a0010 01020304050607080102030405060708".replace(" ", ""),
  padding: "000c0010".padEnd(40, "0"),
  keepalive: "000b0000",
  unknown: "fde90004deadbeef",
  "client subnet": "00080007000118 00cb0071".replace(" ", ""),
  "client subnet of none": "0008000400010000",
  "two of them": "0003000000030000",
  chain: "000d0000",
  expire: "00090000",
};

function optioned(name: string): Probe[] {
  return Object.entries(options).map(([word, hex]) =>
    probe(`${name} A with ${word}`, name, { edns: { options: hex } }),
  );
}

const OPT = "00002904d0000000000000";
const UNKNOWN_RECORD = "0000100001000000000000";

const long = (octet: string) => octet.repeat(63);
const maximal = [long("a"), long("b"), long("c"), "d".repeat(61)].join(".");
const tooLong = [long("a"), long("b"), long("c"), "d".repeat(62)].join(".");

const odd: readonly Probe[] = [
  oddity("a name of 256 octets", tooLong),
  ...[1, 2, 3, 4, 5, 6, 9, 15].map((opcode) =>
    oddity(`opcode ${opcode}`, "own.example", { opcode }),
  ),
  ...[0, 2, 3, 65_535].map((count) =>
    oddity(`QDCOUNT ${count}`, "own.example", { counts: [count, 0, 0, 0] }),
  ),
  oddity("two questions", "own.example", {
    counts: [2, 0, 0, 0],
    tail: "036f776e076578616d706c650000010001",
  }),
  oddity("no question at all", "", { counts: [0, 0, 0, 0], octets: 12 }),
  oddity("a response", "own.example", { flags: 0x8180 }),
  oddity("a response over TCP", "own.example", { flags: 0x8180, tcp: true }),
  oddity("AA, TC, RA and Z in a question", "own.example", {
    flags: RD | 0x400 | 0x200 | 0x80 | 0x40,
  }),
  oddity("an RCODE in a question", "own.example", { flags: RD | 3 }),
  oddity("no RD, own name", "own.example", { flags: 0 }),
  ...["two words", "cut header", "cut name", "cut type"].map((label, i) =>
    oddity(label, "own.example", { octets: [4, 11, 18, 27][i]! }),
  ),
  oddity("cut header over TCP", "own.example", { octets: 11, tcp: true }),
  oddity("a label without an end", "", { question: "3f6f776e" }),
  oddity("a pointer to itself", "", { question: "c00c00010001" }),
  oddity("a pointer ahead", "", { question: "c0ff00010001" }),
  oddity("a pointer into the header", "", { question: "c00400010001" }),
  oddity("a label of type 01", "", { question: "410001000100" }),
  oddity("octets behind the message", "own.example", { tail: "deadbeef" }),
  oddity("an answer in the question", "own.example", {
    counts: [1, 1, 0, 0],
    tail: "c00c000100010000003c0004c0000201",
  }),
  oddity("an authority in the question", "own.example", {
    counts: [1, 0, 1, 0],
    tail: "c00c000100010000003c0004c0000201",
  }),
  oddity("a record beside", "own.example", { counts: [1, 0, 0, 1], tail: UNKNOWN_RECORD }),
  oddity("OPT twice", "own.example", { counts: [1, 0, 0, 2], tail: OPT + OPT }),
  oddity("OPT among the answers", "own.example", { counts: [1, 1, 0, 0], tail: OPT }),
  oddity("OPT with an owner", "own.example", { counts: [1, 0, 0, 1], tail: `0161${OPT}` }),
  oddity("a count without records", "own.example", { counts: [1, 0, 0, 3] }),
  oddity("EDNS version 1", "own.example", { edns: { version: 1 } }),
  oddity("EDNS version 1, other name", "v1.other.example", { edns: { version: 1 } }),
  oddity("an option that is cut", "own.example", { edns: { options: "000300ff" } }),
  oddity("EDNS flags all set", "own.example", { edns: { flags: 0xffff } }),
  ...[3, 4, 254, 255, 0, 2].map((qclass) =>
    oddity(`class ${qclass}, own name`, "own.example", { qclass }),
  ),
  ...[3, 4, 255].map((qclass) =>
    oddity(`class ${qclass}, other name`, `class${qclass}.other.example`, { qclass }),
  ),
  ...[0, 41, 249, 250, 251, 252, 253, 254, 65_535].map((qtype) =>
    oddity(`type ${qtype}, own name`, "own.example", { qtype }),
  ),
  oddity("type 252 over TCP", "own.example", { qtype: 252, tcp: true }),
  ...["version.bind", "authors.bind", "cachesize.bind", "hits.bind", "nosuch.bind"].map((name) =>
    oddity(`${name} CH SOA`, name, { qclass: 3, qtype: 6 }),
  ),
];

const spelled: readonly string[] = [
  "",
  "OWN.EXAMPLE",
  "oWn.eXample",
  "PLAIN.example",
  "pLaIn.ExAmPlE",
  `${long("x")}.example`,
  `${long("X")}.LOCAL.example`,
  maximal,
  "a\\000b.example",
  "a b.example",
  "a\\092b.example",
  '"quoted".example',
  "\\007.example",
  "under_score.example",
  "-dash-.example",
  "*.example",
  "*.local.example",
  "xn--bcher-kva.example",
  "1.2.3.4",
  ...Array.from(
    { length: 3 },
    (_, i) =>
      Array(10 * (i + 1))
        .fill("l")
        .join(".") + ".example",
  ),
  "arpa",
  "in-addr.arpa",
  "example",
  "localhost",
  "www.localhost",
  "a.invalid",
  "a.onion",
  "a.test",
  "a.local",
  "home.arpa",
  "resolver.arpa",
  "1.0.0.127.in-addr.arpa.example",
];

export const scenarios: readonly Scenario[] = [
  { name: "bits", conf: bitConf, names: [], probes: bits(bitNames) },
  {
    name: "bits, proxy-dnssec",
    conf: `${bitConf}proxy-dnssec\n`,
    names: [],
    probes: bits(bitNames),
  },
  {
    name: "EDNS",
    conf: `${start}
server={a}
host-record=own.example,192.0.2.1
txt-record=big.local.example,${Array.from({ length: 4 }, (_, i) => `${i}`.repeat(200)).join(",")}
`,
    names: [],
    probes: [...sizes, ...optioned("own.example"), ...optioned("plain.example")],
  },
  {
    name: "edns-packet-max",
    conf: `${start}
server={a}
edns-packet-max=1280
`,
    names: [],
    probes: sizes,
  },
  {
    name: "odd messages",
    // What dnsmasq passes on without having read it has nowhere to go.
    conf: `${start}
server=/other.example/ready.example/{a}
host-record=own.example,192.0.2.1
`,
    names: [],
    probes: odd,
  },
  {
    name: "spelling",
    conf: `${start}
server={a}
host-record=own.example,192.0.2.1
local=/local.example/
host-record=${long("x")}.local.example,192.0.2.2
`,
    names: [],
    probes: [
      ...spelled.flatMap((name) =>
        [1, 16].map((qtype) => probe(`${JSON.stringify(name)} ${qtype}`, name, { qtype })),
      ),
      oddity("a dot in a label", "a\\046b.example"),
      oddity("octets above 127", "\\255\\254.example"),
    ],
  },
  {
    name: "all-servers",
    conf: `${several}all-servers
`,
    names: [],
    // The answers are the same, whoever is first.
    questions: [
      ["doctor.example", "A"],
      ["range.example", "A"],
      ["private.zone.example", "A AAAA"],
      ["loopback.zone.example", "A AAAA"],
    ],
  },
  {
    name: "strict-order",
    conf: `${several}strict-order
`,
    names: [],
    questions: [
      ["servfail1.example", "A AAAA"],
      ["refused1.example", "A"],
      ["notimp1.example", "A"],
      ["servfail4.zone.example", "A"],
      ["refused4.zone.example", "A"],
    ],
  },
  {
    name: "failing servers",
    conf: `${start}
server={a}
`,
    names: [],
    questions: [
      ["servfail.example", "A TXT"],
      ["refused.example", "A TXT"],
      ["notimp.example", "A"],
    ],
  },
  {
    name: "no servers",
    conf: `${start}
host-record=own.example,192.0.2.1
local=/lan.example/
domain-needed
`,
    names: [],
    questions: [
      ["own.example", "A AAAA"],
      ["other.example", "A"],
      ["x.lan.example", "A"],
      ["bare", "A TXT"],
      ["1.2.0.192.in-addr.arpa", "PTR"],
      ["9.2.0.192.in-addr.arpa", "PTR"],
    ],
  },
  {
    name: "times together",
    conf: `${start}
server={a}
local-ttl=30
min-cache-ttl=60
max-cache-ttl=500
max-ttl=400
neg-ttl=70
host-record=own.example,192.0.2.40
host-record=aged.example,192.0.2.41,77
host-record=ancient.example,192.0.2.42,1000
cname=alias.own.example,own.example,55
address=/net.example/192.0.2.43
txt-record=text.example,x
`,
    names: [],
    questions: [
      ["own.example", "A TXT"],
      ["aged.example", "A"],
      ["ancient.example", "A"],
      ["alias.own.example", "A CNAME"],
      ["x.net.example", "A AAAA"],
      ["text.example", "TXT"],
      ["long.example", "A AAAA TXT"],
      ["v4.example", "A"],
    ],
    ttls: true,
  },
  {
    name: "local-ttl and min-cache-ttl of nothing",
    conf: `${start}
server={a}
local-ttl=0
min-cache-ttl=0
max-ttl=0
max-cache-ttl=0
neg-ttl=0
host-record=own.example,192.0.2.40
`,
    names: [],
    questions: [
      ["own.example", "A"],
      ["long.example", "A"],
      ["nosoa.example", "A"],
    ],
    ttls: true,
  },
  {
    name: "no-negcache",
    conf: `${start}
server={a}
no-negcache
`,
    names: [],
    questions: [
      ["nx.example", "A A A TXT"],
      ["nodata.example", "A AAAA"],
      ["nosoa.example", "A"],
      ["plain.example", "A"],
    ],
  },
  {
    name: "use-stale-cache",
    conf: `${start}
server={a}
use-stale-cache=600
`,
    names: ["plain.example"],
    questions: [
      ["short.example", "A"],
      ["nx.example", "A"],
    ],
  },
  {
    name: "filter-A and filter-AAAA",
    conf: `${start}
server={a}
filter-A
filter-AAAA
host-record=own.example,192.0.2.1,2001:db8::1
address=/net.example/192.0.2.2
address=/net.example/2001:db8::2
`,
    names: [],
    questions: [
      ["plain.example", "A AAAA TXT"],
      ["alias.example", "A AAAA"],
      ["own.example", "A AAAA"],
      ["net.example", "A AAAA"],
      ["v6.example", "A AAAA"],
      ["nx.example", "A"],
    ],
  },
  {
    name: "filter-rr",
    conf: `${start}
server={a}
filter-rr=ANY,TXT,PTR
filter-rr=SRV
host-record=own.example,192.0.2.1
txt-record=own.example,x
`,
    names: [],
    questions: [
      ["plain.example", "A TXT SRV MX ANY"],
      ["own.example", "A TXT ANY"],
      ["5.5.5.5.in-addr.arpa", "PTR"],
      ["1.2.0.192.in-addr.arpa", "PTR"],
      ["alias.example", "A TXT"],
    ],
  },
  {
    name: "bogus-nxdomain and alias",
    conf: `${start}
server={a}
bogus-nxdomain=192.0.2.64/26
bogus-nxdomain=2620:fe::/126
alias=10.9.8.7,172.16.0.1
alias=198.18.0.5,10.0.0.0,255.255.255.0
alias=1.2.3.50-1.2.3.60,6.7.8.0,255.255.255.0
alias=127.0.0.0,128.0.0.0,255.0.0.0
`,
    names: [],
    questions: [
      ["bogus.example", "A"],
      ["v6.example", "AAAA"],
      ["v4.example", "A"],
      ["private.example", "A AAAA"],
      ["range.example", "A"],
      ["doctor.example", "A"],
      ["loopback.example", "A AAAA"],
    ],
  },
];
