/** The running program as dig, kdig and a stub resolver see it, with a real unbound as upstream. */
import t, { type Test } from "tap";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../free-port.mjs";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const missing = ["dig", "kdig", "unbound"].filter((peer) => !hasPeer(peer));
const skip = missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;

const zone = [
  'local-zone: "corp.test." static',
  'local-data: "www.corp.test. 300 A 192.0.2.10"',
  'local-data: "www.corp.test. 300 AAAA 2001:db8::10"',
  'local-data: "abc.eu-west-1.rds.corp.test. 5 A 192.0.2.77"',
  'local-data: "corp.test. 600 SOA ns.corp.test. root.corp.test. 1 3600 600 86400 30"',
];

async function startUpstream(t: Test): Promise<number> {
  const port = await freePort();
  const path = temporaryDirectory(t);
  const lines = [
    "server:",
    `  interface: 127.0.0.1@${port}`,
    "  do-daemonize: no",
    '  chroot: ""',
    '  username: ""',
    `  directory: "${path}"`,
    "  use-syslog: no",
    '  module-config: "iterator"',
    ...zone.map((line) => `  ${line}`),
  ];
  const file = join(path, "unbound.conf");
  writeFileSync(file, lines.join("\n") + "\n");
  await startDnsPeer(t, "unbound", ["-d", "-c", file], { port, name: "www.corp.test" });
  return port;
}

const dig = (port: number, ...args: string[]): string =>
  execFileSync("dig", ["@127.0.0.1", "-p", String(port), "+tries=3", "+time=2", ...args], {
    encoding: "utf8",
  });
const short = (port: number, ...args: string[]): string[] =>
  dig(port, "+short", ...args)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith(";"))
    .sort();

async function register(program: Program): Promise<void> {
  const put = async (body: unknown) => {
    const reply = await program.http("PUT", "/v1/catalog/register", body);
    if (reply.text !== "true") throw new Error(reply.text);
  };
  await put({
    Node: "app1",
    Address: "10.1.0.1",
    NodeMeta: { rack: "r7" },
    Service: { ID: "web1", Service: "web", Port: 8080, Tags: ["v1", "primary"] },
  });
  await put({
    Node: "app2",
    Address: "10.1.0.2",
    Service: { ID: "web2", Service: "web", Port: 8081, Address: "10.9.0.2" },
  });
  await put({ Node: "six", Address: "2001:db8::6", Service: { Service: "six", Port: 1 } });
  await put({
    Node: "aws",
    Address: "abc.eu-west-1.rds.corp.test",
    Service: { Service: "rds", Port: 3306 },
  });
  await program.http("POST", "/v1/query", { Name: "near-web", Service: { Service: "web" } });
}

t.test("dig sees every form of name", { skip }, async (t) => {
  const upstream = await startUpstream(t);
  const program = await startProgram(t, {
    recursors: [`127.0.0.1:${upstream}`],
    dns_config: { service_ttl: { "*": "0s", rds: "5s" }, node_ttl: "15s" },
  });
  await register(program);
  const ask = (...args: string[]) => short(program.dnsPort, ...args);

  const both = ["10.1.0.1", "10.9.0.2"];
  const forms: { name: string; type: string; gives: string[] }[] = [
    { name: "web.service.consul", type: "A", gives: both },
    { name: "WEB.Service.Consul", type: "A", gives: both },
    { name: "web.service.dc1.consul", type: "A", gives: both },
    { name: "v1.web.service.consul", type: "A", gives: ["10.1.0.1"] },
    { name: "web.service.consul", type: "AAAA", gives: [] },
    { name: "six.service.consul", type: "AAAA", gives: ["2001:db8::6"] },
    { name: "app1.node.consul", type: "A", gives: ["10.1.0.1"] },
    { name: "app1.node.consul", type: "TXT", gives: ['"rack=r7"'] },
    {
      name: "_web._tcp.consul",
      type: "SRV",
      gives: ["1 1 8080 app1.node.dc1.consul.", "1 1 8081 0a090002.addr.dc1.consul."],
    },
    {
      name: "_web._v1.service.consul",
      type: "SRV",
      gives: ["1 1 8080 app1.node.dc1.consul."],
    },
    { name: "near-web.query.consul", type: "A", gives: both },
    { name: "0a090002.addr.consul", type: "A", gives: ["10.9.0.2"] },
    { name: "2.0.9.10.in-addr.arpa", type: "PTR", gives: ["web.service.dc1.consul."] },
    { name: "1.0.1.10.in-addr.arpa", type: "PTR", gives: ["app1.node.dc1.consul."] },
    {
      name: "rds.service.consul",
      type: "A",
      gives: ["192.0.2.77", "abc.eu-west-1.rds.corp.test."],
    },
    { name: "www.corp.test", type: "A", gives: ["192.0.2.10"] },
    { name: "www.corp.test", type: "AAAA", gives: ["2001:db8::10"] },
    { name: "nothing.corp.test", type: "A", gives: [] },
  ];
  for (const { name, type, gives } of forms) {
    t.same(ask(name, type), gives, `${name} ${type}`);
    t.same(ask("+tcp", name, type), gives, `${name} ${type} over TCP`);
  }

  t.match(dig(program.dnsPort, "missing.service.consul"), /status: NXDOMAIN/);
  t.match(dig(program.dnsPort, "nothing.corp.test"), /status: NXDOMAIN/);
  t.match(dig(program.dnsPort, "rds.service.consul"), /rds\.service\.consul\.\s+5\s+IN\s+CNAME/);
  const kdig = (...args: string[]) =>
    execFileSync("kdig", ["@127.0.0.1", "-p", String(program.dnsPort), ...args], {
      encoding: "utf8",
    });
  t.match(kdig("web.service.consul"), /status: NOERROR/);
  t.match(
    kdig("+tcp", "+keepopen", "web.service.consul", "six.service.consul", "AAAA"),
    /2001:db8::6/,
  );
  t.match(kdig("+bufsize=1232", "web.service.consul"), /EDNS PSEUDOSECTION/i);
});

t.test("EDNS compliance as the ISC test set asks it", { skip }, async (t) => {
  const program = await startProgram(t);
  await register(program);
  const cases: { flags: string[]; sees: RegExp }[] = [
    { flags: ["+noedns", "+nocookie"], sees: /status: NOERROR/ },
    { flags: ["+edns=0", "+nocookie"], sees: /EDNS: version: 0/ },
    { flags: ["+edns=0", "+cookie"], sees: /EDNS: version: 0/ },
    { flags: ["+edns=0", "+nocookie", "+ednsopt=100"], sees: /EDNS: version: 0/ },
    { flags: ["+edns=0", "+nocookie", "+ednsflags=0x40"], sees: /EDNS: version: 0, flags:;/ },
    { flags: ["+dnssec", "+nocookie"], sees: /EDNS: version: 0/ },
    { flags: ["+bufsize=512", "+nocookie"], sees: /udp: 512/ },
    { flags: ["+nsid", "+expire", "+cookie"], sees: /status: NOERROR/ },
    { flags: ["+subnet=192.0.2.0/24"], sees: /CLIENT-SUBNET: 192\.0\.2\.0\/24\/0/ },
    { flags: ["+opcode=15", "+noedns"], sees: /status: NOTIMP/ },
    { flags: ["+tcp", "+bufsize=512"], sees: /status: NOERROR/ },
  ];
  for (const { flags, sees } of cases)
    t.match(dig(program.dnsPort, ...flags, "web.service.consul", "A"), sees, flags.join(" "));
});
