/** The forwarder's own sockets against real resolvers: what it tells is what they tell directly. */
import t, { type Test } from "tap";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import packet, { type Answer, type DecodedPacket, type RecordType } from "dns-packet";
import type { ForwardAnswer } from "../../src/dns/answer.ts";
import { encodeMessage } from "../../src/dns/encode.ts";
import { createForwarder, type Forwarder } from "../../src/forwarder/forward.ts";
import { createTcpExchanges } from "../../src/forwarder/tcp/driver.ts";
import { createDatagramExchanges } from "../../src/forwarder/udp/driver.ts";
import { live } from "../forwarder/live.ts";
import { oneGroup } from "../forwarder/world.ts";
import { decode, framed, query, tcpExchange } from "../dns-client.ts";
import { wireName } from "../forwarder/world.ts";
import { freePort } from "../free-port.mjs";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const longText = Array.from({ length: 8 }, (_, i) => String(i).repeat(250));

const unboundConf = (port: number): string =>
  [
    "server:",
    `interface: 127.0.0.1@${port}`,
    "do-daemonize: no",
    'chroot: ""',
    'username: ""',
    'pidfile: ""',
    "use-syslog: no",
    'module-config: "iterator"',
    'local-zone: "corp.test." static',
    'local-data: "corp.test. 600 SOA ns.corp.test. root.corp.test. 1 3600 600 86400 30"',
    'local-data: "www.corp.test. 300 A 192.0.2.10"',
    'local-data: "www.corp.test. 300 AAAA 2001:db8::10"',
    ...Array.from({ length: 60 }, (_, i) => `local-data: "many.corp.test. 300 A 10.0.0.${i}"`),
    'local-data: "mail.corp.test. 120 MX 10 mx.corp.test."',
    'local-data: "_web._tcp.corp.test. 60 SRV 1 2 80 www.corp.test."',
    `local-data: 'text.corp.test. 60 TXT ${longText.map((text) => `"${text}"`).join(" ")}'`,
    'local-data: "zero.corp.test. 0 A 192.0.2.11"',
  ].join("\n");

const dnsmasqArguments = (port: number): string[] => [
  "--keep-in-foreground",
  "--no-resolv",
  "--no-hosts",
  "--conf-file=/dev/null",
  "--pid-file=",
  "--user=",
  "--listen-address=127.0.0.1",
  "--bind-interfaces",
  `--port=${port}`,
  "--local-ttl=300",
  "--local=/corp.test/",
  "--host-record=www.corp.test,192.0.2.10,2001:db8::10",
  "--cname=alias.corp.test,www.corp.test",
  "--mx-host=mail.corp.test,mx.corp.test,10",
  "--srv-host=_web._tcp.corp.test,www.corp.test,80,1,2",
  `--txt-record=text.corp.test,${longText.join(",")}`,
];

const questions: [string, RecordType][] = [
  ["www.corp.test", "A"],
  ["WWW.Corp.test", "AAAA"],
  ["alias.corp.test", "A"],
  ["many.corp.test", "A"],
  ["mail.corp.test", "MX"],
  ["_web._tcp.corp.test", "SRV"],
  ["text.corp.test", "TXT"],
  ["zero.corp.test", "A"],
  ["gone.corp.test", "A"],
  ["www.corp.test", "MX"],
];

async function startResolver(
  t: Test,
  program: string,
  argumentsFor: (port: number) => string[],
): Promise<number> {
  const port = await freePort();
  await startDnsPeer(t, program, argumentsFor(port), { port, name: "www.corp.test" });
  return port;
}

function startForwarder(t: Test, port: number): Forwarder {
  const forwarder = createForwarder({
    settings: oneGroup({ servers: [{ address: "127.0.0.1", port }] }),
    ...live,
    udp: createDatagramExchanges(live.random),
    tcp: createTcpExchanges(live),
  });
  t.teardown(() => forwarder.close());
  return forwarder;
}

function ask(forwarder: Forwarder, name: string, type: RecordType): Promise<ForwardAnswer> {
  const [asked] = packet.decode(query(1, name, type)).questions!;
  const qtype = packet.encode({ questions: [asked!] }).readUInt16BE(12 + name.length + 2);
  return new Promise((done) =>
    forwarder.forward(
      {
        qname: wireName(name),
        qtype,
        qclass: 1,
        rd: true,
        cd: false,
        ad: false,
        do: false,
        edns: null,
        client: { address: "127.0.0.1", port: 1, transport: "udp" },
      },
      done,
    ),
  );
}

/** Read back by dns-packet, so that both sides are judged by the same reader. */
function asMessage(answer: ForwardAnswer): DecodedPacket {
  if (!answer.ok) throw new Error(answer.reason);
  const { answers, authority, additional } = answer;
  return packet.decode(
    Buffer.from(
      encodeMessage(
        {
          id: 1,
          flags: 0x8000 | answer.rcode,
          question: new Uint8Array(0),
          answers,
          authority,
          additional,
        },
        { compress: true, opt: null },
      ),
    ),
  );
}

const records = (list: Answer[] | undefined): string[] =>
  (list ?? [])
    .filter(({ type }) => type !== "OPT")
    .map((rr) => JSON.stringify({ ...rr, name: rr.name.toLowerCase() }))
    .sort();

function compare(t: Test, port: number): void {
  t.test("the same answers, fresh and from the cache", async (t) => {
    const forwarder = startForwarder(t, port);
    for (const [name, type] of questions)
      for (const when of ["fresh", "kept"]) {
        const [wire] = await tcpExchange(port, framed(query(1, name, type)));
        const direct = decode(wire!);
        const ours = asMessage(await ask(forwarder, name, type));
        const title = `${name} ${type} ${when}`;
        t.equal(ours.flags! & 15, direct.flags! & 15, `${title}: RCODE`);
        t.same(records(ours.answers), records(direct.answers), `${title}: answers`);
        t.match(
          ours.answers?.map(({ name: owner }) => owner),
          ours.answers?.map(({ name: owner }) =>
            owner.toLowerCase() === name.toLowerCase() ? name : owner,
          ),
          `${title}: spelling`,
        );
      }
    const { servers, cache } = forwarder.stats();
    t.ok(servers[0]!.counts.truncated > 0, "the long text came over TCP");
    t.ok(cache!.hits > 0);
  });
}

t.test("unbound", { skip: hasPeer("unbound") ? false : "unbound is not installed" }, async (t) => {
  const directory = temporaryDirectory(t);
  const port = await startResolver(t, "unbound", (at) => {
    const file = join(directory, "unbound.conf");
    writeFileSync(file, unboundConf(at) + "\n");
    return ["-d", "-c", file];
  });
  compare(t, port);
});

t.test("dnsmasq", { skip: hasPeer("dnsmasq") ? false : "dnsmasq is not installed" }, async (t) => {
  compare(t, await startResolver(t, "dnsmasq", dnsmasqArguments));
});
