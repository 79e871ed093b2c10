// Names and types: Consul 1.10.12 /v1/agent/metrics; intervals and figures as go-metrics has them.
import t from "tap";
import { createRequestCounts } from "../../src/agent/request-counts.ts";
import { createConsulForm, type ConsulFormOptions } from "../../src/metrics/consul.ts";
import { World } from "../http/harness.ts";
import { sourcesWith } from "./sources.ts";

function createForm(changed: Partial<ConsulFormOptions> = {}) {
  const world = new World();
  const requests = createRequestCounts();
  const log: Record<string, number> = { last_index: 5, load_seconds: 0.25 };
  const timings = { domain: { count: 0, sumMs: 0 }, ptr: { count: 0, sumMs: 0 }, stale: 0 };
  const form = createConsulForm(sourcesWith({ log: () => log, blockedQueries: () => 7 }), {
    prefix: "consul",
    hostname: "",
    filter: [],
    filterDefault: true,
    nodeName: "n1",
    datacenter: "dc1",
    timings: () => structuredClone(timings),
    httpTimes: requests.takeTimes,
    clock: world.clock,
    timers: world.timers,
    ...changed,
  });
  return { world, requests, log, timings, form };
}

t.test("gauges of now, in the order of their names", async (t) => {
  const { form } = createForm();
  const gauges = form.read().Gauges;
  const here = { datacenter: "dc1" };
  t.same(
    gauges.filter(({ Name }) => Name !== "consul.version"),
    [
      { Name: "consul.consul.members.clients", Value: 0, Labels: here },
      { Name: "consul.consul.members.servers", Value: 1, Labels: here },
      { Name: "consul.consul.state.nodes", Value: 1, Labels: here },
      { Name: "consul.consul.state.service_instances", Value: 3, Labels: here },
      { Name: "consul.consul.state.services", Value: 2, Labels: here },
      { Name: "consul.raft.applied_index", Value: 5, Labels: {} },
      { Name: "consul.raft.fsm.lastRestoreDuration", Value: 250, Labels: {} },
      { Name: "consul.raft.last_index", Value: 5, Labels: {} },
      { Name: "consul.raft.peers", Value: 1, Labels: {} },
      { Name: "consul.rpc.queries_blocking", Value: 7, Labels: {} },
      { Name: "consul.runtime.alloc_bytes", Value: 3, Labels: {} },
      { Name: "consul.runtime.sys_bytes", Value: 2, Labels: {} },
    ],
  );
  t.same(form.read().Samples, [], "nothing has happened");
  t.equal(
    createForm({ hostname: "h1", prefix: "edge" }).form.read().Gauges[0]?.Name,
    "edge.h1.consul.members.clients",
    "the host's name is in gauges unless it is switched off",
  );
});

t.test("counters and samples are of the last complete interval", async (t) => {
  const { world, requests, log, timings, form } = createForm();
  requests.count("/v1/catalog/node/", "GET", 200, 2);
  timings.stale = 3;
  timings.domain = { count: 2, sumMs: 3 };
  t.equal(form.read().Timestamp, "2023-11-14 22:13:20 +0000 UTC", "the first one, so far");
  t.match(form.read().Counters, [{ Name: "consul.dns.stale_queries", Count: 3 }]);
  requests.count("/v1/catalog/node/", "GET", 404, 4);
  requests.count("/v1/catalog/node/", "GET", 200, 9);
  log["batch_total"] = 2;
  log["commit_wait_seconds_sum"] = 0.008;
  const path = { method: "GET", path: "v1_catalog_node_" };
  world.advance(9000);
  const first = {
    Timestamp: "2023-11-14 22:13:20 +0000 UTC",
    Counters: [
      {
        Name: "consul.dns.stale_queries",
        Count: 3,
        Rate: 0.3,
        Sum: 3,
        Min: 1,
        Max: 1,
        Mean: 1,
        Stddev: 0,
        Labels: {},
      },
    ],
    Samples: [
      {
        Name: "consul.api.http",
        Count: 3,
        Rate: 1.5,
        Sum: 15,
        Min: 2,
        Max: 9,
        Mean: 5,
        // of 2, 4, 9: sqrt(((2-5)² + (4-5)² + (9-5)²) / 2)
        Stddev: Math.sqrt(13),
        Labels: path,
      },
      {
        Name: "consul.dns.domain_query",
        Count: 2,
        Rate: 0.3,
        Sum: 3,
        Mean: 1.5,
        Labels: { node: "n1" },
      },
      {
        Name: "consul.raft.leader.dispatchLog",
        Count: 2,
        Rate: 0.8,
        Sum: 8,
        Mean: 4,
        Labels: {},
      },
    ],
  };
  t.match(form.read(), first);
  t.strictSame(Object.keys(form.read().Samples[1]!), Object.keys(first.Samples[1]!));
  requests.count("/v1/catalog/node/", "GET", 200, 1);
  world.advance(9000);
  t.match(form.read(), first, "what came after it waits for its own end");
  world.advance(1000);
  t.equal(form.read().Timestamp, "2023-11-14 22:13:30 +0000 UTC");
  t.match(form.read().Samples, [{ Name: "consul.api.http", Count: 1, Sum: 1, Stddev: 0 }]);
  t.same(form.read().Counters, []);
  world.advance(10_000);
  t.same(form.read().Samples, []);
  form.stop();
  t.equal(world.timerCount, 0);
});

t.test("telemetry.prefix_filter: the longest prefix decides", async (t) => {
  const names = (filter: string[], filterDefault: boolean) =>
    createForm({ filter, filterDefault })
      .form.read()
      .Gauges.map(({ Name }) => Name);
  t.same(names(["+consul.raft", "-consul.raft.fsm"], false), [
    "consul.raft.applied_index",
    "consul.raft.last_index",
    "consul.raft.peers",
  ]);
  t.notOk(names(["-consul.raft"], true).some((name) => name.startsWith("consul.raft")));
  t.ok(names(["-consul.raft"], true).includes("consul.runtime.alloc_bytes"));
  t.same(names([], false), []);
});
