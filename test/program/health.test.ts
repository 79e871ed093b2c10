/** /health and /ready, on the HTTP port and on a listener of their own, from the start to the end. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { freePort } from "../free-port.mjs";
import { query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";

const LIMIT_MS = 10_000;

t.test("ask 17: ready, then a lame duck that still answers", async (t) => {
  const port = await freePort();
  const program = await startProgram(t, {
    metrics: { address: `127.0.0.1:${port}`, coredns_compat: true, lameduck: "2s" },
  });
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  t.same(await get("/ready"), { status: 200, text: "OK\n" });
  t.same(await get("/health"), { status: 200, text: "OK\n" });
  for (const path of ["/ready", "/health"]) {
    const { status, text } = await program.http("GET", path);
    t.same([status, text], [200, "OK\n"], `${path} on the HTTP port`);
  }
  t.equal((await get("/v1/catalog/nodes")).status, 404, "the API is not there");
  const asked = /^coredns_health_request_duration_seconds_count (\d+)$/m;
  let { text } = await get("/metrics");
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(50)) {
    ({ text } = await get("/metrics"));
    if (Number(asked.exec(text)?.[1]) >= 1) break;
  }
  t.match(text, asked, "it asks itself");
  t.match(text, "coredns_health_request_failures_total 0");
  t.match(text, "waypost_ready 1");
  t.match(text, /^coredns_reload_version_info\{hash="sha512",value="[0-9a-f]{128}"\} 1$/m);

  await program.http("PUT", "/v1/agent/reload");
  const ended = program.end("SIGTERM");
  let ready = { status: 200, text: "" };
  for (const end = Date.now() + LIMIT_MS; ready.status === 200 && Date.now() < end; await sleep(10))
    ready = await get("/ready");
  t.same(ready, { status: 503, text: "this agent is about to end\n" });
  t.equal((await get("/health")).status, 200);
  t.match((await get("/metrics")).text, "waypost_ready 0");
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  t.ok(await client.ask(query(1, "nobody.service.consul")), "questions are answered");
  await ended;
});
