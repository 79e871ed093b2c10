/** Prometheus and its linter read the metrics. */
import t from "tap";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../free-port.mjs";
import { udpClient } from "../dns-client.ts";
import { question } from "../program/scene.ts";
import { answering, startUpstream } from "../upstream.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer, startPeer } from "./peer.ts";

const missing = ["prometheus", "promtool"].filter((peer) => !hasPeer(peer));
const skip = missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;
const SCRAPE_LIMIT_MS = 20_000;

t.test("promtool finds nothing to complain about", { skip }, async (t) => {
  const upstream = await startUpstream(t, answering("192.0.2.7", 60));
  const program = await startProgram(t, {
    recursors: [upstream.address, "tls://127.0.0.1:1#one.example", "tls://127.0.0.1:1#two.example"],
    telemetry: { prometheus_retention_time: "60s" },
    metrics: { coredns_compat: true },
  });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  for (const name of [
    "a.example",
    "a.example",
    "consul.service.consul",
    "x.localhost",
    "no.consul",
  ])
    t.ok(await client.ask(question(name)), name); // oxlint-disable-line no-await-in-loop -- one after the other
  for (const path of ["/metrics", "/v1/agent/metrics?format=prometheus"]) {
    const { status, text } = await program.http("GET", path);
    t.equal(status, 200, path);
    const lint = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
    t.equal(lint.status, 0, `${path}: ${lint.stdout}${lint.stderr}`);
  }
});

t.test("a Prometheus scrapes it", { skip }, async (t) => {
  const program = await startProgram(t);
  const path = temporaryDirectory(t);
  const port = await freePort();
  const config = join(path, "prometheus.yml");
  writeFileSync(
    config,
    `scrape_configs:
  - job_name: waypost
    scrape_interval: 1s
    static_configs: [{ targets: ["127.0.0.1:${program.httpPort}"] }]
`,
  );
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(path, "tsdb")}`];
  startPeer(t, "prometheus", [...args, `--web.listen-address=127.0.0.1:${port}`]);
  const query = async (expression: string): Promise<string | undefined> => {
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
    const reply = await fetch(url).catch(() => null);
    if (!reply?.ok) return undefined;
    const body = (await reply.json()) as { data: { result: { value: [number, string] }[] } };
    return body.data.result[0]?.value[1];
  };
  const deadline = Date.now() + SCRAPE_LIMIT_MS;
  let nodes: string | undefined;
  while (nodes === undefined && Date.now() < deadline) {
    nodes = await query("waypost_catalog_nodes");
    await sleep(100);
  }
  t.equal(nodes, "1", "the value arrived");
  t.equal(await query("up"), "1", "the scrape succeeded");
});

/** Prometheus reads /etc/resolv.conf and no other: in a mount namespace it gets one that names us. */
function whyNoNamespace(): string | false {
  if (process.getuid?.() !== 0) return "needs root, for port 53 and a mount namespace";
  const args = ["-m", "mount", "--bind", "/dev/null", "/etc/resolv.conf"];
  return spawnSync("unshare", args, { stdio: "ignore" }).status === 0
    ? false
    : "no mount namespace can be made here";
}

t.test("it finds its targets by SRV records", { skip: skip || whyNoNamespace() }, async (t) => {
  const folder = temporaryDirectory(t);
  // resolv.conf has no place for a port: so it is 53, on a loopback address of this test's own.
  const address = `127.53.${process.pid % 250}.${1 + (Date.now() % 250)}`;
  const program = await startProgram(
    t,
    { addresses: { dns: address } },
    { directory: folder, dnsPort: 53, httpPort: await freePort() },
  );
  const web = createServer((_, response) => void response.end("up_and_well 1\n"));
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    web.closeAllConnections();
    web.close();
  });
  const { port } = web.address() as AddressInfo;
  const register = (id: string, on: number, more: object = {}) =>
    program.http("PUT", "/v1/agent/service/register", {
      ID: id,
      Name: "web",
      Address: "127.0.0.1",
      Port: on,
      ...more,
    });
  await register("a", port, { Check: { CheckID: "a", TTL: "1h", Status: "passing" } });

  const resolvConf = join(folder, "resolv.conf");
  writeFileSync(resolvConf, `nameserver ${address}\n`);
  const config = join(folder, "prometheus.yml");
  writeFileSync(
    config,
    `scrape_configs:
  - job_name: web
    scrape_interval: 1s
    dns_sd_configs:
      - { names: [_web._tcp.service.consul], type: SRV, refresh_interval: 1s }
`,
  );
  const own = await freePort();
  const command = [
    `mount --bind ${resolvConf} /etc/resolv.conf && exec prometheus --config.file=${config}`,
    `--storage.tsdb.path=${join(folder, "tsdb")} --web.listen-address=127.0.0.1:${own}`,
  ].join(" ");
  startPeer(t, "unshare", ["-m", "sh", "-c", command]);

  /** Targets with their health. */
  const targets = async (): Promise<string[]> => {
    const reply = await fetch(`http://127.0.0.1:${own}/api/v1/targets?state=active`);
    const { data } = (await reply.json()) as {
      data: { activeTargets: { labels: { instance: string }; health: string }[] };
    };
    return data.activeTargets
      .map(({ labels, health }) => `${labels.instance} ${health}`)
      .toSorted();
  };
  const becomes = async (wanted: string[], what: string): Promise<void> => {
    let last: string[] = [];
    for (const until = Date.now() + SCRAPE_LIMIT_MS; Date.now() < until; await sleep(100)) {
      last = await targets().catch(() => ["no answer"]);
      if (JSON.stringify(last) === JSON.stringify(wanted)) break;
    }
    t.same(last, wanted, what);
  };
  const named = (on: number) => `7f000001.addr.dc1.consul:${on}`;
  await becomes([`${named(port)} up`], "the name of the target is resolved too, and scraped");
  const closed = await freePort();
  await register("b", closed);
  await becomes([`${named(closed)} down`, `${named(port)} up`].toSorted(), "a second one");
  await program.http("PUT", "/v1/agent/check/fail/a");
  await becomes([`${named(closed)} down`], "one is critical");
  await program.http("PUT", "/v1/agent/check/pass/a");
  await program.http("PUT", "/v1/agent/service/deregister/b");
  await becomes([`${named(port)} up`], "back, and the other is gone");
});
