// What `dns query` says of a name that local data decide: which file, zone and view it was.
import t from "tap";
import { Trace } from "../../../src/dns/trace.ts";
import { noteText, sourceOf } from "../../../src/dns/trace-text.ts";
import { createBlocklistReader } from "../../../src/forwarder/local/blocklist.ts";
import { createHostsReader } from "../../../src/forwarder/local/hosts-file.ts";
import { createScene, requestOf } from "./scene.ts";

t.test("each decision is told with what made it", async (t) => {
  const { pipeline, world } = await createScene(t, {
    zones: [
      { names: ["lan.example"], local: true },
      { names: ["corp.example"], servers: ["192.0.2.2"] },
    ],
    addresses: [{ names: ["dev.example"], addresses: ["192.0.2.100"] }],
    records: [
      { name: "db.lan.example", type: "A", data: "192.0.2.101" },
      { name: "alias.example", type: "CNAME", data: "www.corp.example" },
    ],
    search_domains: ["corp.example"],
    domain_needed: true,
    views: [
      {
        name: "office",
        clients: ["10.9.0.0/16"],
        records: [{ name: "db.lan.example", type: "A", data: "10.9.0.5" }],
      },
    ],
  });
  const hosts = createHostsReader("/etc/hosts.d/a", 99, {
    key: pipeline.hashKey,
    ttlSeconds: 0,
    expandWith: null,
  });
  hosts.feed("192.0.2.102 printer\n");
  const blocked = createBlocklistReader("/var/lib/ads", 99, pipeline.hashKey);
  blocked.feed(Buffer.from("ads.example\n"));
  pipeline.replace({ records: [hosts.end().value], blocklists: [blocked.end().value] });

  const explain = (question: string, client = "127.0.0.1") => {
    const trace = new Trace();
    pipeline.forward({ ...requestOf(question, client), trace }, () => {});
    world.settle();
    return [sourceOf(trace.notes), ...trace.notes.map(noteText)];
  };
  const rows: [question: string, sentence: string][] = [
    ["printer", "answered here: records, /etc/hosts.d/a"],
    ["db.lan.example", "answered here: records, forwarder.records"],
    ["no.lan.example", "answered here: local zone, lan.example."],
    ["x.dev.example", "answered here: addresses, dev.example."],
    ["x.ads.example", "answered here: blocklist, /var/lib/ads"],
    ["www.com.corp.example", "answered here: search list, corp.example."],
    ["bare", "answered here: domain needed"],
    ["localhost", "answered here: special name"],
  ];
  for (const [question, sentence] of rows) t.same(explain(question), ["local", sentence], question);
  t.same(explain("db.lan.example", "10.9.1.1"), [
    "local",
    "answered here: records, forwarder.records, for the view office",
  ]);
  const [source, ...sentences] = explain("alias.example");
  t.equal(source, "upstream");
  t.match(sentences, [
    "local data: CNAME www.corp.example., which is looked up next",
    "the name belongs to the servers of corp.example",
    /^cache: www.corp.example. A: not there/,
  ]);
});

t.test("the transport of a server is that of its name", async (t) => {
  const heard = { step: "heard", transport: "tcp", rcode: 0, error: "", verdicts: [] } as const;
  const text = (server: string) => noteText({ ...heard, server, afterMs: 5 });
  t.equal(
    text("tls://192.0.2.1:853"),
    "upstream tls://192.0.2.1:853: NOERROR over TLS after 5.0 ms",
  );
  t.match(text("https://192.0.2.1:443/dns-query"), /over HTTPS after/);
  t.match(text("[2001:db8::1]:53"), /over TCP after/);
});
