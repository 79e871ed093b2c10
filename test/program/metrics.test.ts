/** What the real program tells of itself: every figure is there, moves, and holds no secret. */
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { decode, framed, query, tcpExchange, udpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";
import { families } from "../../src/metrics/families.ts";
import { onDiskFamilies } from "../../src/metrics/log-families.ts";

const LIMIT_MS = 10_000;

/** Value of one line of the exposition, by name and labels as they stand there. */
async function read(program: Program): Promise<(series: string) => number | undefined> {
  const { text } = await program.http("GET", "/metrics");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const series = lines.map((line) => line.replace(/ \S+$/, ""));
  if (new Set(series).size !== series.length) throw new Error("a series stands there twice");
  const values = new Map(lines.map((line) => [line.replace(/ \S+$/, ""), line.replace(/.* /, "")]));
  return (series) => (values.has(series) ? Number(values.get(series)) : undefined);
}

/** Reads until `done` says so; the last reading is given in any case. */
async function readUntil(program: Program, done: (of: (series: string) => number) => boolean) {
  for (const deadline = Date.now() + LIMIT_MS; ; await sleep(50)) {
    const value = await read(program);
    const of = (series: string) => value(series) ?? Number.NaN;
    if (done(of) || Date.now() > deadline) return of;
  }
}

t.test("figures follow what happens", async (t) => {
  const program = await startProgram(t, {
    workers: 1,
    raft_snapshot_threshold: 20,
    raft_snapshot_interval: "100ms",
    raft_trailing_logs: 5,
    service: {
      name: "own",
      checks: [{ tcp: "127.0.0.1:1", interval: "1s" }, { ttl: "1h" }],
    },
  });
  for (let i = 0; i < 30; i++)
    await program.http("PUT", "/v1/agent/service/register", { Name: "web", ID: `w${i}`, Port: i });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  for (let id = 1; id <= 20; id++) await client.ask(query(id, "web.service.consul", "SRV"));
  await client.ask(query(21, "nobody.service.consul"));
  await client.ask(query(22, "example.org"));
  const [tcpReply] = await tcpExchange(program.dnsPort, framed(query(23, "n1.node.consul")));
  t.equal(decode(tcpReply!).answers?.length, 1);

  const of = await readUntil(
    program,
    (of) =>
      of("waypost_log_snapshots_total") >= 1 &&
      of("waypost_log_disk_free_bytes") > 0 &&
      of("waypost_log_entries") < 30 &&
      of("waypost_answer_table_oldest_age_seconds") > 0,
  );
  t.ok(of("waypost_log_snapshots_total") >= 1, "raft_snapshot_threshold makes snapshots");
  t.ok(of("waypost_log_entries") < 30, "raft_trailing_logs bounds what stays below");
  t.ok(of("waypost_log_fsync_seconds_total") > 0);
  t.ok(of("waypost_log_fsync_seconds_max") <= of("waypost_log_fsync_seconds_total"));
  t.ok(of("waypost_log_batch_entries_max") >= 1);
  t.equal(of("waypost_log_space_full"), 0);
  for (const name of onDiskFamilies) t.ok(of(name) >= 0, name);

  t.equal(of("waypost_dns_workers"), 1);
  const zone = `server="dns://127.0.0.1:${program.dnsPort}",zone="consul.",view=""`;
  const asked = (proto: string, type: string) =>
    of(`waypost_dns_requests_total{${zone},proto="${proto}",family="1",type="${type}"}`);
  t.equal(asked("udp", "SRV"), 20);
  t.equal(asked("tcp", "A"), 1);
  const catalog = 'plugin="catalog"';
  t.equal(of(`waypost_dns_responses_total{${zone},rcode="NOERROR",${catalog}}`), 21);
  t.equal(of(`waypost_dns_responses_total{${zone},rcode="NXDOMAIN",${catalog}}`), 1);
  t.equal(of('waypost_dns_computed_total{zone="domain",type="A",rcode="NXDOMAIN"}'), 1);
  t.equal(of('waypost_dns_computed_total{zone="forward",type="A",rcode="REFUSED"}'), 1);
  const computed = of('waypost_dns_computed_total{zone="domain",type="SRV",rcode="NOERROR"}');
  t.equal(computed + of("waypost_answer_table_hits_total"), 20, "table or main thread, never both");
  t.equal(of("waypost_dns_tcp_accepted_total"), 1);
  t.equal(of('waypost_dns_tcp_closed_total{reason="refused"}'), 0);
  t.ok(of("waypost_answer_table_watched") > 0);

  t.equal(of("waypost_agent_services"), 31);
  t.equal(of('waypost_agent_checks{kind="tcp",status="critical"}'), 1);
  t.equal(of('waypost_agent_checks{kind="ttl",status="critical"}'), 1);
  t.equal(of("waypost_agent_unsynced"), 0);
  const route = "/v1/agent/service/register";
  const put = `waypost_http_requests_total{route="${route}",method="PUT",status="200"}`;
  t.equal(of(put), 30);

  const first = of("waypost_answer_table_oldest_age_seconds");
  const later = await readUntil(
    program,
    (of) => of("waypost_answer_table_oldest_age_seconds") > first,
  );
  t.ok(later("waypost_answer_table_oldest_age_seconds") > first, "answers grow older");
  const { text } = await program.http("GET", "/metrics");
  for (const { name, type } of families) t.match(text, `# TYPE ${name} ${type}\n`);

  const json = JSON.parse((await program.http("GET", "/v1/agent/metrics")).text) as {
    Gauges: { Name: string; Value: number }[];
    Samples: { Name: string; Count: number; Labels: Record<string, string> }[];
  };
  t.match(
    json.Gauges.find(({ Name }) => Name.endsWith("consul.state.service_instances")),
    { Value: 32, Labels: { datacenter: "dc1" } },
  );
  t.ok(
    json.Samples.some(({ Name, Labels }) => Name === "consul.api.http" && Labels["method"] !== ""),
  );
});

t.test("no token is shown or written to the log", async (t) => {
  const management = "11111111-aaaa-4000-8000-000000000001";
  const others = {
    agent_recovery: "22222222-aaaa-4000-8000-000000000002",
    dns: "33333333-aaaa-4000-8000-000000000003",
    agent: "44444444-aaaa-4000-8000-000000000004",
  };
  const mistaken = "55555555-aaaa-4000-8000-000000000005";
  const program = await startProgram(t, {
    log_level: "trace",
    encrypt: "bm90IGEgc2VjcmV0IQAAAA==",
    acl: {
      enabled: true,
      default_policy: "allow",
      tokens: { initial_management: management, ...others },
    },
  });
  const self = await program.http("GET", `/v1/agent/self?token=${management}`);
  t.equal(self.status, 200);
  t.match(JSON.parse(self.text), {
    DebugConfig: { "acl.tokens.initial_management": "hidden", "acl.tokens.default": "" },
  });
  const service = { Name: "web", Token: mistaken, Checks: [{ CheckID: "c", TTL: "1s" }] };
  await program.http("PUT", `/v1/agent/service/register?token=${management}`, service);
  await program.http("GET", `/v1/agent/self?token=${mistaken}`);
  await program.http("GET", `/v1/agent/services/%00?token=${mistaken}`);
  await program.http("PUT", `/v1/agent/reload?token=${management}`);
  const metrics = await program.http("GET", "/metrics");
  await program.end("SIGTERM");
  t.match(program.output(), /configuration reloaded/, "the log has been written");
  const secrets = [management, ...Object.values(others), mistaken, "bm90IGEgc2VjcmV0IQ"];
  for (const secret of secrets)
    for (const [where, text] of Object.entries({
      log: program.output(),
      self: self.text,
      metrics: metrics.text,
    }))
      t.notOk(text.includes(secret), `${secret} in ${where}`);
});
