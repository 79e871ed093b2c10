/** Prometheus and its linter read the metrics. */
import t from "tap";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer, startPeer } from "./peer.ts";

const missing = ["prometheus", "promtool"].filter((peer) => !hasPeer(peer));
const skip = missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;
const SCRAPE_LIMIT_MS = 20_000;

t.test("promtool finds nothing to complain about", { skip }, async (t) => {
  const program = await startProgram(t, { telemetry: { prometheus_retention_time: "60s" } });
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
