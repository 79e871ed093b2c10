// Files that a configuration of dnsmasq's includes, and lines that are refused or have no effect.
import t from "tap";
import { treeOf } from "../../src/config/dnsmasq/tree.ts";
import { readStatements, type Statement } from "../../src/config/dnsmasq/statements.ts";
import { atOnce } from "../../src/slices.ts";
import { filesOf, read } from "./dnsmasq.ts";

const portOf = (files: Record<string, string>) => {
  const { entries, errors } = read(files);
  return { ports: treeOf(entries)["ports"], errors };
};

t.test("conf-file stands for its lines, in place", async (t) => {
  t.match(portOf({ "main.conf": "conf-file=a\n", a: "port=1053" }), {
    ports: { dns: 1053 },
    errors: [],
  });
  t.match(read({ "main.conf": 'conf-file="with blank"', "with blank": "x" }), {
    errors: ['with blank:1: dnsmasq knows no option "x"'],
  });
  t.match(read("conf-file=gone"), {
    errors: ["main.conf:1: gone: no such file or directory"],
  });
  t.same(read("conf-file=\nconf-file\n").errors, []);
});

t.test("a file is read once, so circles end", async (t) => {
  const { errors, entries } = read({
    "main.conf": "server=192.0.2.1\nconf-file=a\nconf-file=link\n",
    a: "conf-file=main.conf\nserver=192.0.2.2\nconf-file=a\n",
    link: "->a",
  });
  t.same(errors, []);
  t.match(treeOf(entries), { recursors: ["192.0.2.1", "192.0.2.2"] });
});

t.test(
  "files nested too deep, too long lines, too much in all are refused with their place",
  async (t) => {
    const deep = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`${i}`, `\nconf-file=${i + 1}`]),
    );
    t.same(read({ "main.conf": "conf-file=0", ...deep, "40": "" }).errors, [
      "31:2: 32: included more than 32 files deep",
    ]);
    t.same(read(`\nserver=${"x".repeat(70_000)}`).errors, [
      "main.conf:2: the line is longer than 65536 characters",
    ]);
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`d/${i}`, ""]));
    t.match(read({ "main.conf": "conf-dir=d", ...many }).errors, [
      "main.conf:1: d/9999: more than 10000 files",
    ]);
  },
);

t.test("conf-dir: by suffix, in the order of octets, without what editors leave", async (t) => {
  const files = {
    "d/10.conf": "server=192.0.2.10",
    "d/9.conf": "server=192.0.2.9",
    "d/B.conf": "server=192.0.2.2",
    "d/a.conf": "server=192.0.2.1",
    "d/a.conf.bak": "broken",
    "d/a.conf~": "broken",
    "d/.hidden.conf": "broken",
    "d/#a.conf#": "broken",
    "d/sub.conf/": "",
    "d/.conf": "broken",
  };
  const servers = (line: string, more: Record<string, string> = {}) => {
    const { entries, errors } = read({ "main.conf": line, ...files, ...more });
    return [treeOf(entries)["recursors"], errors];
  };
  const all = ["192.0.2.10", "192.0.2.9", "192.0.2.2", "192.0.2.1"];
  t.same(servers("conf-dir=d,*.conf"), [all, []]);
  t.same(servers("conf-dir=d,.bak"), [all, []]);
  t.same(servers("conf-dir=d, *.conf , .bak,*"), [all, []]);
  t.same(
    servers("conf-dir=d,*.conf,9.conf"),
    [["192.0.2.10", "192.0.2.9", "192.0.2.2", "192.0.2.1"], []],
    "a suffix is shorter than the name",
  );
  t.match(servers("conf-dir=d"), [all, ['d/a.conf.bak:1: dnsmasq knows no option "broken"']]);
  t.match(servers("conf-dir=gone"), [
    undefined,
    ["main.conf:1: cannot access directory gone: no such file or directory"],
  ]);
});

t.test("servers-file: servers only; what else it holds is left out with a note", async (t) => {
  const config = read({
    "main.conf": "listen-address=127.0.0.1\nservers-file=s\nserver=/b.test/192.0.2.2",
    s: "server=/a.test/192.0.2.1\n\nport=54\nbogus\nrev-server=10.0.0.0/8,192.0.2.3",
  });
  t.same(config.errors, []);
  t.same(config.notes, [
    "s:3: a servers-file has server and rev-server lines only: left out",
    's:4: dnsmasq knows no option "bogus"',
  ]);
  t.equal(config.serversFile, "s");
  t.match(treeOf(config.entries), {
    ports: { dns: 53 },
    forwarder: { zones: [{ names: ["b.test"] }, { names: ["a.test"] }, { names: ["10.0.0.0/8"] }] },
  });
  t.same(read("listen-address=::1\nservers-file=gone").notes, [
    "main.conf:2: gone: no such file or directory",
  ]);
});

const refused: [text: string, error: string][] = [
  ["servr=1.2.3.4", 'dnsmasq knows no option "servr" (did you mean server?)'],
  ["--port=53", 'dnsmasq knows no option "--port" (did you mean port?)'],
  ["port 53", 'dnsmasq knows no option "port 53"'],
  ["bogus-priv=1", "bogus-priv takes no value"],
  ["address", "address needs a value"],
  ["port=53\nport=53", "port may stand once only, and is at main.conf:1"],
  ["cache-size", "cache-size: needs a number"],
  ["port=x", 'port: expected a number from 0 to 65535, got "x"'],
  ["port=65536", 'port: expected a number from 0 to 65535, got "65536"'],
  ["neg-ttl=1h", 'neg-ttl: expected a number from 0 to 2147483647, got "1h"'],
  [
    "conf-script=/bin/true",
    "conf-script: programs are not run for configuration; put their output into a file for conf-file",
  ],
  ["server=1.2.3.4#x", 'server: "x" is no port'],
  ["server=1.2.3.4@::1", "server: an IPv4 server cannot be asked from an IPv6 address"],
  ["server=1.2.3.4@1.1.1.1@eth0", "server: an interface can be given only once"],
  ["address=/x/example", 'address: "example" is no IP address'],
  ["rev-server=10.0.0.0/0,1.1.1.1", "rev-server: the length of the prefix must be from 1 to 32"],
  ["rev-server=x,1.1.1.1", 'rev-server: "x" is no IP address'],
  ["listen-address=lo", 'listen-address: "lo" is no IP address'],
  ["bogus-nxdomain=1.2.3.4/33", 'bogus-nxdomain: the prefix of "1.2.3.4/33" is too long'],
  ["alias=1.1.1.1", "alias: expected IPv4 addresses: old,new[,mask]"],
  ["cname=a", "cname: expected an alias, a comma and a target"],
  ["cname=a,b\ncname=A,c", "cname: A is an alias already at main.conf:1"],
  ["cname=b,b", "cname: b leads to a loop"],
  ["mx-host=a,b,c", "mx-host: the preference must be from 0 to 65535"],
  ["host-record=a", "host-record: expected a name, a comma and an address"],
  [
    `host-record=${"a".repeat(64)},1.2.3.4`,
    `host-record: "${"a".repeat(64)}" has a label of more than 63 octets`,
  ],
  ["filter-rr=TYPE_1", 'filter-rr: "TYPE_1" is no type of records'],
  ["fast-dns-retry=20", "fast-dns-retry: must be at least 50 (milliseconds)"],
  ["local-service=all", "local-service: expected net or host"],
  ["log-facility=nowhere", 'log-facility: "nowhere" is no facility'],
  ["port-limit=0", "port-limit: must be at least 1"],
];

t.test("what dnsmasq refuses is refused, with file and line", async (t) => {
  for (const [text, error] of refused) {
    const line = text.split("\n").length;
    t.same(read(text).errors, [`main.conf:${line}: ${error}`], text);
  }
  t.same(read("x\n\ny\nbogus-priv\n").errors.length, 2, "all mistakes, not the first only");
});

t.test("what has no effect is told with file and line", async (t) => {
  const { notes, errors } = read(
    "dhcp-range=10.0.0.2,10.0.0.9\nenable-tftp\ndnssec\nipset=/x/y\nuser=nobody\nkeep-in-foreground\ninterface=lo\nlog-queries=auth",
  );
  t.same(errors, []);
  t.match(notes, [
    /^main.conf:1: dhcp-range: no effect: DHCP is not served/,
    /^main.conf:2: enable-tftp: no effect: TFTP is not served/,
    /^main.conf:3: dnssec: no effect: answers are not validated/,
    /^main.conf:4: ipset: no effect: /,
    /^main.conf:5: user: no effect: /,
    /^main.conf:8: log-queries: all questions are logged, as without auth$/,
  ]);
  t.equal(notes.length, 6);
  t.match(read("local-service").notes, []);
  t.match(read("").notes, [/^main.conf:1: clients of connected networks alone are answered/]);
});

t.test("a long file that only denies names is a blocklist", async (t) => {
  const list = (end: string, count = 5000) =>
    Array.from({ length: count }, (_, i) => `address=/ad${i}.example.test/${end}`).join("\n");
  const config = (ads: string) => {
    const { entries, errors } = read({
      "main.conf": "conf-file=ads\nconf-file=more",
      ads,
      more: "",
    });
    t.same(errors, []);
    const { blocklists, blocklist_answer, addresses } = treeOf(entries)["forwarder"] as Record<
      string,
      unknown
    >;
    return { blocklists, blocklist_answer, hasAddresses: addresses !== undefined };
  };
  const asList = (answer: string) => ({
    blocklists: ["ads"],
    blocklist_answer: answer,
    hasAddresses: false,
  });
  const asLines = { blocklists: undefined, blocklist_answer: undefined, hasAddresses: true };
  t.same(config(list("")), asList("nxdomain"));
  t.same(config(`# of today\n\n${list("")}\nlocal=/x.test/ \n`), asList("nxdomain"));
  t.same(config(list("#")), asList("null"));
  t.same(config(list("", 10)), asLines, "a short one");
  t.same(config(`${list("")}\n${list("#", 1)}`), asLines, "two answers");
  t.same(config(`${list("")}\naddress=/*ad.test/`), asLines, "a pattern");
  t.same(config(`${list("")}\nserver=/ad.test/#`), asLines, "an exception");
  t.same(config(list("192.0.2.1")), asLines, "addresses");
});

t.test("more lines than a configuration has are refused", async (t) => {
  const files = filesOf({ "main.conf": "conf-file=a", a: "txt-record=a.test,x\n".repeat(11) });
  const statements: Statement[] = [];
  const listener = { statement: (each: Statement) => statements.push(each), name: () => false };
  t.same(atOnce(readStatements("main.conf", files, listener, 11)).errors, []);
  statements.length = 0;
  const { errors } = atOnce(readStatements("main.conf", files, listener, 10));
  t.match(errors, [/^main.conf:1: a: more than 10 lines in all files; /]);
  t.equal(statements.length, 10);
});
