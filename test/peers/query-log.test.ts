/** The query log beside that of the real dnsmasq: the same upstream, the same questions, the same lines. */
import t from "tap";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RecordType } from "dns-packet";
import { decode, query, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, cname, replyTo, soa, startUpstream, type Says } from "../upstream.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const says: Says = (got) => {
  const { name, type } = got;
  const label = name.split(".")[0];
  if (label === "gone") return [replyTo(got, { rcode: 3, authorities: [soa("test", 300, 100)] })];
  if (label === "broken") return [replyTo(got, { rcode: 2 })];
  if (label === "bogus") return [replyTo(got, { answers: [a(name, "192.0.2.66")] })];
  if (type === "A" && label === "alias")
    return [replyTo(got, { answers: [cname(name, "end.test"), a("end.test", "198.51.100.2")] })];
  if (type === "A") return [replyTo(got, { answers: [a(name, "198.51.100.1")] })];
  if (type === "TXT") return [replyTo(got, { answers: [{ type, name, data: "hello", ttl: 60 }] })];
  if (type === "PTR")
    return [replyTo(got, { answers: [{ type, name, data: "ptr.test", ttl: 60 }] })];
  if (type === "MX")
    return [
      replyTo(got, {
        answers: [{ type, name, ttl: 60, data: { preference: 1, exchange: "mx.test" } }],
      }),
    ];
  return [replyTo(got, { authorities: [soa("test", 300, 100)] })];
};

const plainDnsmasq = [
  "--keep-in-foreground",
  "--conf-file=/dev/null",
  "--pid-file=",
  "--user=",
  "--no-hosts",
  "--no-resolv",
  "--listen-address=127.0.0.1",
  "--bind-interfaces",
];

const questions: [name: string, type: RecordType][] = [
  ["www.test", "A"],
  ["www.test", "A"],
  ["WWW.Test", "A"],
  ["www.test", "AAAA"],
  ["www.test", "AAAA"],
  ["www.test", "TXT"],
  ["www.test", "MX"],
  ["www.test", "SRV"],
  ["alias.test", "A"],
  ["alias.test", "A"],
  ["gone.test", "A"],
  ["gone.test", "A"],
  ["bogus.test", "A"],
  ["4.4.8.8.in-addr.arpa", "PTR"],
  ["own.test", "A"],
  ["nowhere.local.test", "A"],
];

t.test("the lines of dnsmasq 2.90", { skip: !hasPeer("dnsmasq") && "no dnsmasq" }, async (t) => {
  const upstream = await startUpstream(t, says);
  const directory = temporaryDirectory(t);
  const dnsmasqLog = join(directory, "dnsmasq.log");
  const ownLog = join(directory, "own.log");
  const port = await freePort();
  await startDnsPeer(
    t,
    "dnsmasq",
    [
      ...plainDnsmasq,
      `--port=${port}`,
      `--server=127.0.0.1#${upstream.port}`,
      "--log-queries",
      `--log-facility=${dnsmasqLog}`,
      "--bogus-nxdomain=192.0.2.66",
      "--host-record=own.test,192.0.2.10",
      "--local=/local.test/",
    ],
    { port, name: "own.test" },
  );
  const program = await startProgram(t, {
    recursors: [upstream.address],
    forwarder: {
      query_log: "dnsmasq",
      query_log_file: ownLog,
      bogus_nxdomain: ["192.0.2.66"],
      records: [{ name: "own.test", type: "A", data: "192.0.2.10" }],
      zones: [{ names: ["local.test"], local: true }],
      mixed_case: false,
    },
  });
  const linesOf = async (at: number, path: string): Promise<string[]> => {
    const client = await udpClient(at);
    t.teardown(() => client.close());
    let id = 100;
    // oxlint-disable no-await-in-loop -- one after the other, as the log tells them
    for (const [name, type] of questions) t.ok(await client.ask(query(id++, name, type)), name);
    const last = "query[A] end.of.log from 127.0.0.1";
    void client.ask(query(id, "end.of.log"));
    for (const until = Date.now() + 5000; Date.now() < until; await sleep(20)) {
      const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
      const texts = lines.map((line) => {
        const [, text] =
          /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d dnsmasq\[\d+\]: (.*)$/.exec(line) ?? [];
        return text ?? line;
      });
      const first = texts.indexOf("query[A] www.test from 127.0.0.1");
      if (texts.includes(last)) return texts.slice(first, texts.indexOf(last));
    }
    throw new Error(`${path} does not end`);
  };
  const theirs = await linesOf(port, dnsmasqLog);
  const ours = await linesOf(program.dnsPort, ownLog);
  // dnsmasq answers own.test for startDnsPeer as well, before the first question.
  t.ok(theirs.length > 2 * questions.length, `${theirs.length} lines`);
  t.same(ours, theirs);
});

t.test("counters of class CHAOS", { skip: !hasPeer("dnsmasq") && "no dnsmasq" }, async (t) => {
  const upstream = await startUpstream(t, says);
  const port = await freePort();
  await startDnsPeer(
    t,
    "dnsmasq",
    [...plainDnsmasq, `--port=${port}`, `--server=127.0.0.1#${upstream.port}`],
    { port, name: "www.test" },
  );
  const program = await startProgram(t, { recursors: [upstream.address] });
  /** Flags, and texts with each number as "n". */
  const shapeOf = async (at: number, name: string, type: RecordType): Promise<unknown> => {
    const client = await udpClient(at);
    t.teardown(() => client.close());
    const wire = query(7, name, type);
    wire[wire.length - 1] = 3;
    const reply = await client.ask(wire);
    if (reply === undefined) return "nothing";
    const { flags = 0, answers = [] } = decode(reply);
    return {
      flags: flags & 0x0fff,
      answers: answers.map((record) => {
        const { data, ...rest } = record as typeof record & { data: Buffer[] };
        return {
          ...rest,
          data: data.map((text) => String(text).replaceAll(/(?<![.\d#])\d+(?![.\d])/g, "n")),
        };
      }),
    };
  };
  const names = "cachesize insertions evictions hits misses auth servers foo".split(" ");
  for (const name of names)
    for (const type of ["TXT", "A"] as const) {
      const theirs = await shapeOf(port, `${name}.bind`, type);
      t.same(await shapeOf(program.dnsPort, `${name}.bind`, type), theirs, `${name}.bind ${type}`);
      if (name === "hits" && type === "TXT")
        t.match(theirs, { answers: [{ class: "CH", ttl: 0, data: ["n"] }] });
      if (name === "servers" && type === "TXT")
        t.match(theirs, { answers: [{ data: [`127.0.0.1#${upstream.port} n n`] }] });
    }
});
