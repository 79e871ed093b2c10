// What CoreDNS shows is shown under its names, with its labels and no other, and with the same values.
import t from "tap";
import { createCache } from "../../src/forwarder/cache.ts";
import { createUpstreams } from "../../src/forwarder/upstreams.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { addReplyTime } from "../../src/forwarder/reply-times.ts";
import { createExposition } from "../../src/metrics.ts";
import { families } from "../../src/metrics/families.ts";
import { World } from "../http/harness.ts";
import { sourcesWith } from "./sources.ts";
import { questionsOf, rcodesOf, tally } from "./tally.ts";

/** From the README files of CoreDNS 1.14's plugins: name, labels, type. */
const documented = `
dns_requests_total{server,zone,view,proto,family,type} counter
dns_request_duration_seconds{server,zone,view,type} histogram
dns_request_size_bytes{server,zone,view,proto} histogram
dns_do_requests_total{server,view,zone} counter
dns_response_size_bytes{server,zone,view,proto} histogram
dns_responses_total{server,zone,view,rcode,plugin} counter
cache_entries{server,type,zones,view} gauge
cache_hits_total{server,type,zones,view} counter
cache_requests_total{server,zones,view} counter
cache_misses_total{server,zones,view} counter
cache_prefetch_total{server,zones,view} counter
cache_drops_total{server,zones,view} counter
cache_served_stale_total{server,zones,view} counter
cache_evictions_total{server,type,zones,view} counter
forward_healthcheck_broken_total{} counter
forward_max_concurrent_rejects_total{} counter
proxy_request_duration_seconds{proxy_name,to,rcode} histogram
proxy_healthcheck_failures_total{proxy_name,to} counter
proxy_conn_cache_hits_total{proxy_name,to,proto} counter
proxy_conn_cache_misses_total{proxy_name,to,proto} counter
health_request_duration_seconds{} histogram
health_request_failures_total{} counter
panics_total{} counter
dns_https_responses_total{server,status} counter
plugin_enabled{server,zone,view,name} gauge
build_info{version,revision,goversion} gauge
reload_failed_total{} counter
reload_version_info{hash,value} gauge
local_localhost_requests_total{} counter
shed_dropped_total{server,reason} counter
`
  .trim()
  .split("\n")
  .map((line) => {
    const [, name = "", labels = "", type = ""] = /^(\w+)\{(.*)\} (\w+)$/.exec(line)!;
    return { name, labels: labels.split(",").filter((label) => label !== ""), type };
  });

/** Everything has happened at least once. */
function busy() {
  const { servers } = createUpstreams(
    {
      ...groupDefaults,
      servers: [
        { address: "192.0.2.1", port: 53 },
        { address: "2001:db8::1", port: 853, transport: "tls", tlsName: "one.example" },
        { address: "2001:db8::1", port: 853, transport: "tls", tlsName: "two.example" },
        {
          address: "192.0.2.1",
          port: 443,
          transport: "https",
          source: { interface: "eth0" },
        },
      ],
    },
    1,
    () => undefined,
  );
  const [server] = servers;
  addReplyTime(server!.replyTimes, 0, 3);
  addReplyTime(server!.replyTimes, 2, 9000);
  for (const [i, each] of servers.entries()) each.counts.probeFailures = 10 ** i;
  const cache = createCache({ cacheOctets: 100_000 }, { uint32: () => 7 }).stats();
  cache.evictionsByKind.success.capacity = 3;
  cache.evictionsByKind.success.expired = 50;
  const durations = [{ counts: Array.from({ length: 20 }, () => 1), sum: 2 }];
  const sizes = { counts: Array.from({ length: 15 }, () => 1), sum: 9 };
  const base = sourcesWith({});
  return sourcesWith({
    servers: () => ["dns://127.0.0.1:53", "https://127.0.0.1:443"],
    secure: () => [
      {
        proto: "https",
        counters: base.tcp(),
        responses: [{ server: 1, status: 200, count: 8 }],
      },
    ],
    tallies: () => [
      tally(
        { zone: ".", plugin: "cache" },
        {
          questions: questionsOf({ 1: 7 }),
          rcodes: rcodesOf({ 0: 4, 12: 2, 3: 1 }),
          durations,
          questionOctets: sizes,
          replyOctets: sizes,
          dnssecOk: 2,
          shedRate: 1,
          shedQueue: 8,
        },
      ),
      tally({ zone: ".", plugin: "forward" }, { rcodes: rcodesOf({ 0: 5 }) }),
      tally({ zone: "localhost.", plugin: "local" }, { questions: questionsOf({ 1: 3 }) }),
    ],
    forwarder: () => ({
      ...base.forwarder(),
      servers,
      cache,
      allDown: 6,
      stale: { timeout: 1, servfail: 2, nxdomain: 4, nodata: 0 },
    }),
    health: () => ({ durations: { counts: [1, 0, 0, 0, 0, 0], sum: 0.0001 }, failures: 1 }),
  });
}

t.test("every documented name, with exactly its labels", async (t) => {
  const { clock, timers } = new World();
  const text = await createExposition(busy(), { clock, timers, corednsToo: true })();
  for (const { name, labels, type } of documented) {
    t.match(text, `# TYPE coredns_${name} ${type}\n`);
    const pattern = `^coredns_${name}${type === "histogram" ? "_count" : ""}(?:\\{(.*)\\})? `;
    const shown = [...text.matchAll(new RegExp(pattern, "gm"))];
    t.ok(shown.length > 0, `${name} is there`);
    for (const [, given = ""] of shown) {
      const names = [...given.matchAll(/(\w+)="/g)].map(([, label]) => label!);
      t.same(names.toSorted(), labels.toSorted(), `labels of ${name}`);
    }
  }
  const named = new Set(documented.map(({ name }) => `coredns_${name}`));
  const all = [...text.matchAll(/^# TYPE (coredns_\w+)/gm)].map(([, name]) => name!);
  t.same(
    all.filter((name) => !named.has(name)),
    [],
    "and nothing that CoreDNS does not have",
  );
  t.equal(new Set(all).size, all.length);
});

t.test("values are the same; what CoreDNS does not tell apart is added up", async (t) => {
  const { clock, timers } = new World();
  const text = await createExposition(busy(), { clock, timers, corednsToo: true })();
  const inCache = 'server="",zones=".",view=""';
  const here = 'server="dns://127.0.0.1:53"';
  for (const line of [
    `coredns_dns_requests_total{${here},zone=".",view="",proto="udp",family="1",type="A"} 7`,
    `coredns_dns_responses_total{${here},zone=".",view="",rcode="NOERROR",plugin="cache"} 6`,
    `coredns_dns_https_responses_total{server="https://127.0.0.1:443",status="200"} 8`,
    `coredns_cache_requests_total{${here},zones=".",view=""} 12`,
    `coredns_cache_hits_total{${here},type="success",zones=".",view=""} 4`,
    `coredns_cache_hits_total{${here},type="denial",zones=".",view=""} 3`,
    `coredns_cache_misses_total{${here},zones=".",view=""} 5`,
    `coredns_cache_served_stale_total{${inCache}} 7`,
    `coredns_cache_evictions_total{server="",type="success",zones=".",view=""} 3`,
    `coredns_local_localhost_requests_total 3`,
    `coredns_forward_healthcheck_broken_total 6`,
    'coredns_proxy_request_duration_seconds_bucket{le="0.004",proxy_name="forward",to="192.0.2.1:53",rcode="NOERROR"} 1',
    'coredns_proxy_request_duration_seconds_bucket{le="0.002",proxy_name="forward",to="192.0.2.1:53",rcode="NOERROR"} 0',
    'coredns_proxy_request_duration_seconds_bucket{le="8.192",proxy_name="forward",to="192.0.2.1:53",rcode="SERVFAIL"} 0',
    `coredns_shed_dropped_total{${here},reason="query"} 8`,
    `coredns_shed_dropped_total{${here},reason="response"} 1`,
    'coredns_proxy_healthcheck_failures_total{proxy_name="forward",to="192.0.2.1:53"} 1',
    'coredns_proxy_healthcheck_failures_total{proxy_name="forward",to="[2001:db8::1]:853"} 110',
    'coredns_proxy_healthcheck_failures_total{proxy_name="forward",to="192.0.2.1:443"} 1000',
    'coredns_plugin_enabled{server="dns://127.0.0.1:53",zone=".",view="",name="cache"} 1',
  ])
    t.ok(text.split("\n").includes(line), line);
});

// plugin.TimeBuckets and SlimTimeBuckets, and the sizes of plugin/metrics/vars.
const times = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
const sizes = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];
const documentedBounds: Record<string, readonly number[]> = {
  dns_request_duration_seconds: times,
  dns_request_size_bytes: sizes,
  dns_response_size_bytes: sizes,
  proxy_request_duration_seconds: times,
  health_request_duration_seconds: [0.00025, 0.0025, 0.025, 0.25, 2.5],
};

t.test("bounds of histograms are its own, and nothing falls between them", async (t) => {
  const { clock, timers } = new World();
  const text = await createExposition(busy(), { clock, timers, corednsToo: true })();
  for (const { name, type } of documented) {
    if (type !== "histogram") continue;
    const buckets = [...text.matchAll(new RegExp(`^coredns_${name}_bucket\\{(.*)\\} (.*)$`, "gm"))];
    const bounds = buckets.map(([, labels = ""]) => Number(/le="([^+"]+)"/.exec(labels)?.[1]));
    const expected = documentedBounds[name]!;
    t.same(
      [...new Set(bounds.filter((bound) => !Number.isNaN(bound)))].toSorted((a, b) => a - b),
      expected,
      name,
    );
    const last = buckets.filter(([, labels = ""]) => labels.includes('le="+Inf"'));
    const counts = [...text.matchAll(new RegExp(`^coredns_${name}_count.* (.*)$`, "gm"))];
    t.same(
      last.map(([, , value]) => value),
      counts.map(([, value]) => value),
      `${name}: the last bucket holds all`,
    );
  }
  // Twenty buckets of ours with one each: four of them end at or below 0.25 ms.
  t.match(text, /^coredns_dns_request_duration_seconds_bucket\{le="0.00025",.*\} 4$/m);
});

t.test("without the option nothing of it is shown", async (t) => {
  const text = await createExposition(busy(), new World())();
  t.notMatch(text, /coredns_/);
  for (const { name } of documented) t.match(text, `# TYPE waypost_${name} `);
});

t.test("labels of every family are those of its table row", async (t) => {
  const sources = busy();
  for (const family of families)
    for (const { labels } of family.read(sources))
      t.same(Object.keys(labels).toSorted(), [...family.labels].toSorted(), family.name);
});
