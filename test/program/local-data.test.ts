/** Names that the real program answers itself, while the files that hold them change. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { decode, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, startUpstream } from "../upstream.ts";
import { question, records, saying, type Options, type Seen } from "./scene.ts";

async function start(t: Test, forwarder: Record<string, unknown>) {
  const upstream = await startUpstream(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.99", 60)] })),
  );
  const zone = await startUpstream(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.77", 60)] })),
  );
  const zones = [{ names: ["corp.example", "dc2.consul"], servers: [zone.address] }];
  const program = await startProgram(t, {
    recursors: [upstream.address],
    workers: 1,
    forwarder: { zones, ...forwarder },
  });
  const clients = new Map<string, Awaited<ReturnType<typeof udpClient>>>();
  const ask = async (name: string, options: Options = {}): Promise<string> => {
    const client = clients.get("") ?? (await udpClient(program.dnsPort));
    clients.set("", client);
    const reply = decode((await client.ask(question(name, options)))!) as Seen;
    return records(reply).join(", ") || reply.rcode;
  };
  t.teardown(() => {
    for (const client of clients.values()) client.close();
  });
  /** The answer, as soon as it is this one; else what it is after a while. */
  const becomes = async (name: string, expected: string, options: Options = {}): Promise<void> => {
    let got = "";
    for (const limit = Date.now() + 10_000; Date.now() < limit; await sleep(20)) {
      got = await ask(name, options);
      if (got === expected) break;
    }
    t.equal(got, expected, `${name} becomes ${expected}`);
  };
  return { program, upstream, zone, ask, becomes };
}

t.test(
  "hosts files and blocklists are followed, also by what workers have kept",
  { timeout: 60_000 },
  async (t) => {
    const directory = temporaryDirectory(t);
    const hosts = join(directory, "hosts.d");
    const list = join(directory, "list");
    mkdirSync(hosts);
    writeFileSync(join(hosts, "a"), "198.51.100.1 one.example one\n");
    symlinkSync("..", join(hosts, "loop"));
    writeFileSync(list, "ads.example\n");
    const { program, upstream, ask, becomes } = await start(t, {
      hosts: [hosts],
      expand_hosts: true,
      host_domain: "lan.example",
      blocklists: [list],
    });
    t.equal(
      await ask("One.Example"),
      "One.Example A 198.51.100.1",
      "there from the first question on",
    );
    for (let i = 0; i < 5; i++) await ask("one.example");
    t.equal(await ask("one.lan.example"), "one.lan.example A 198.51.100.1");
    t.equal(
      await ask("1.100.51.198.in-addr.arpa", { type: "PTR" }),
      "1.100.51.198.in-addr.arpa PTR one.example",
    );
    writeFileSync(join(hosts, ".new"), "198.51.100.2 one.example\n");
    renameSync(join(hosts, ".new"), join(hosts, "a"));
    await becomes("one.example", "one.example A 198.51.100.2");
    rmSync(join(hosts, "a"));
    await becomes("one.example", "one.example A 192.0.2.99");

    await becomes("x.ads.example", "NXDOMAIN");
    t.equal(await ask("more.example"), "more.example A 192.0.2.99");
    writeFileSync(list, "ads.example\n||more.example^\n");
    await becomes("more.example", "NXDOMAIN");
    t.equal(upstream.count("x.ads.example"), 0);

    const { text } = await program.http("GET", "/v1/waypost/dns/local");
    t.match(JSON.parse(text), { BlockedNames: 2, Names: 0 });
    t.ok(JSON.parse(text).Answers.blocklist >= 2);
    const metrics = (await program.http("GET", "/metrics")).text;
    t.match(metrics, /^waypost_blocklist_names 2$/m);
    t.match(metrics, /^waypost_local_answers_total\{source="records"\} \d/m);
  },
);

t.test("zones, records and views after a reload", { timeout: 60_000 }, async (t) => {
  const { program, upstream, zone, ask, becomes } = await start(t, {
    records: [{ name: "www.corp.example", type: "A", data: "198.51.100.5", ttl: "1m" }],
    views: [
      {
        name: "one",
        clients: ["127.0.0.9/32"],
        records: [{ name: "who.example", type: "A", data: "198.51.100.9" }],
      },
    ],
  });
  t.equal(await ask("www.corp.example"), "www.corp.example A 198.51.100.5");
  t.equal(await ask("db.corp.example"), "db.corp.example A 192.0.2.77");
  t.equal(await ask("web.service.dc2.consul"), "web.service.dc2.consul A 192.0.2.77", "ask 42");
  t.equal(await ask("consul.service.consul"), "consul.service.consul A 127.0.0.1");
  t.equal(await ask("localhost"), "localhost A 127.0.0.1");
  t.equal(await ask("who.example"), "who.example A 192.0.2.99");
  t.equal(zone.got.length, 2);
  t.equal(upstream.got.length, 1);
  for (let i = 0; i < 5; i++) await ask("www.corp.example");
  program.configure({
    recursors: [upstream.address],
    forwarder: {
      addresses: [{ names: ["corp.example"], addresses: ["198.51.100.6"] }],
    },
  });
  program.child.kill("SIGHUP");
  await becomes("www.corp.example", "www.corp.example A 198.51.100.6");
  t.equal(await ask("db.corp.example"), "db.corp.example A 198.51.100.6");
  t.equal(await ask("web.service.dc2.consul"), "NXDOMAIN", "the catalog's again");
});
