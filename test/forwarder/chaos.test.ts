// Counters of class CHAOS; test/peers/query-log.test.ts has dnsmasq's own answers beside ours.
import t from "tap";
import packet from "dns-packet";
import type { ForwardAnswer } from "../../src/dns/answer.ts";
import { encodeMessage } from "../../src/dns/encode.ts";
import { withChaos } from "../../src/forwarder/chaos.ts";
import { read } from "../config/dnsmasq.ts";
import { createWorld, silent, wireName, type OneGroup } from "./world.ts";

function startChaos(servers: number, settings: OneGroup = {}) {
  const world = createWorld(servers, settings);
  const state = { isOn: true };
  const forward = withChaos(
    world.forwarder.forward,
    () => state.isOn,
    () => ({
      version: "1.2.3",
      forwarder: world.forwarder.stats(),
      tableHits: 40,
      catalogAnswers: 7,
    }),
  );
  const ask = (name: string, qtype = 16, qclass = 3): ForwardAnswer | undefined => {
    let given: ForwardAnswer | undefined;
    forward(
      {
        qname: wireName(name),
        qtype,
        qclass,
        rd: true,
        cd: false,
        ad: false,
        do: false,
        edns: null,
        client: { address: "127.0.0.1", port: 5000, transport: "udp" },
      },
      (answer) => (given = answer),
    );
    world.settle();
    return given;
  };
  /** As dns-packet reads the answer. */
  const texts = (name: string, qtype = 16): unknown => {
    const answer = ask(name, qtype);
    if (answer?.ok !== true) return answer;
    const { answers, authority, additional } = answer;
    const wire = encodeMessage(
      { id: 1, flags: 0x8180, question: new Uint8Array(0), answers, authority, additional },
      { compress: true, opt: null },
    );
    const [record] = packet.decode(Buffer.from(wire)).answers ?? [];
    const { data, ttl, class: qclass } = record as { data: Buffer[]; ttl: number; class: string };
    t.same([ttl, qclass, answer.aa], [0, "CH", true], name);
    return data.map(String);
  };
  return { world, state, ask, texts };
}

t.test("the counters are those of the forwarder", async (t) => {
  const { world, texts } = startChaos(2);
  world.server(2, silent);
  for (const name of ["a.test", "b.test", "a.test", "A.test"]) {
    world.ask(name);
    world.settle();
  }
  const { cache } = world.forwarder.stats();
  t.match(cache, { hits: 2, misses: 2, insertions: 2 });
  const rows: [name: string, texts: string[]][] = [
    ["hits.bind", ["42"]],
    ["misses.bind", ["2"]],
    ["insertions.bind", ["2"]],
    ["evictions.bind", ["0"]],
    ["auth.bind", ["7"]],
    ["version.bind", ["waypost-1.2.3"]],
    ["cachesize.bind", [String(Math.floor(cache!.capacityOctets / 1024))]],
    ["Servers.BIND", ["192.0.2.1#53 2 0", "192.0.2.2#53 0 0"]],
  ];
  for (const [name, expected] of rows) t.same(texts(name), expected, name);
  t.same(texts("version.bind", 255), ["waypost-1.2.3"], "ANY as well");
});

t.test("cachesize.bind is the number that cache-size of a dnsmasq.conf has said", async (t) => {
  const { entries } = read("cache-size=10000");
  const size = entries.find(({ key }) => key === "forwarder.cache_size")?.value;
  const { texts } = startChaos(1, { cacheOctets: Number(size) });
  t.same(texts("cachesize.bind"), ["10000"]);
});

t.test("what is not a counter", async (t) => {
  const { world, state, ask } = startChaos(1);
  const notImplemented = { ok: true, rcode: 4, answers: [], aa: false };
  t.match(ask("foo.bind"), notImplemented);
  t.match(ask("version.server"), notImplemented);
  t.match(ask("version.bind", 1), notImplemented, "no A record");
  t.same(world.asked, [], "nobody is asked");
  ask("www.test");
  ask("version.bind", 16, 1);
  t.same(
    world.asked.map(({ question }) => question.name),
    ["www.test", "version.bind"],
    "other names, and class IN, are forwarded",
  );
  state.isOn = false;
  ask("version.bind");
  t.equal(world.asked.length, 3, "all is forwarded as Consul does");
});

t.test("no servers: one empty text", async (t) => {
  t.same(startChaos(0).texts("servers.bind"), [""]);
});
