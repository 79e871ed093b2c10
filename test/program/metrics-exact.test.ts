/** After questions that are known one by one, the figures have moved by exactly these. */
import { connect } from "node:tls";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import t from "tap";
import { framed, query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import type { Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo, soa, type Got } from "../upstream.ts";
import { makeCertificates, noCertificates as skip } from "./certificates.ts";
import { overTcp, startScene } from "./scene.ts";

const LIMIT_MS = 10_000;

type Reading = ReadonlyMap<string, number>;

async function read(program: Program): Promise<Reading> {
  const { text } = await program.http("GET", "/metrics");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.replace(/.* /, ""))]));
}

/** What has been added to the series of a family, buckets aside, by its labels without the server. */
function added(before: Reading, after: Reading, family: string): Record<string, number> {
  const moved: Record<string, number> = {};
  for (const [series, value] of after) {
    if (!series.startsWith(`${family}{`)) continue;
    const gain = value - (before.get(series) ?? 0);
    const labels = series.slice(family.length + 1, -1).replaceAll('"', "");
    const told = labels
      .split(",")
      .filter((label) => !/^(server|view|proxy_name)=/.test(label))
      .map((label) => label.replace(/^\w+=/, ""));
    if (gain !== 0) moved[told.join(" ")] = (moved[told.join(" ")] ?? 0) + gain;
  }
  return moved;
}

function zoo(got: Got): Uint8Array[] {
  const { name, transport } = got;
  if (name.startsWith("silent")) return [];
  if (name.startsWith("gone"))
    return [replyTo(got, { rcode: 3, authorities: [soa("test", 60, 60)] })];
  if (name.startsWith("empty")) return [replyTo(got, { authorities: [soa("test", 60, 60)] })];
  if (name.startsWith("broken")) return [replyTo(got, { rcode: 2 })];
  if (name.startsWith("large") && transport === "udp")
    return [replyTo(got, { flags: dnsPacket.TRUNCATED_RESPONSE })];
  return [replyTo(got, { answers: [a(name, "192.0.2.1", 300)] })];
}

t.test("every question is counted once, where it belongs", { skip }, async (t) => {
  const folder = temporaryDirectory(t);
  makeCertificates(folder, ["server"]);
  const file = (name: string): string => join(folder, name);
  const tlsPort = await freePort();
  const scene = await startScene(t, zoo, {
    alt_domain: "alt",
    ports: { dns_tls: tlsPort },
    tls: { dns: { cert_file: file("server.pem"), key_file: file("server.key") } },
    forwarder: { prefetch: false, zones: [{ names: ["corp.test"], servers: ["127.0.0.1:1"] }] },
    metrics: { coredns_compat: true, services: 1 },
  });
  const { program, upstream, ask } = scene;
  for (const Name of ["Web", "api"])
    await program.http("PUT", "/v1/agent/service/register", { Name, ID: Name, Port: 80 });
  const before = await read(program);

  for (let i = 0; i < 5; i++) await ask("web.service.consul", { type: "SRV" });
  await ask("web.service.alt");
  await ask("api.service.consul");
  await ask("web.service.consul", { type: "TXT" });
  await ask("nobody.service.consul");
  await ask("1.0.0.127.in-addr.arpa", { type: "PTR" });
  for (let i = 0; i < 4; i++) await ask("a.test");
  for (let i = 0; i < 3; i++) await ask("gone.test");
  await ask("empty.test", { type: "AAAA" });
  await ask("large.test");
  await ask("broken.test", { do: true });
  await ask("x.localhost");
  await ask("host.corp.test");
  await overTcp(program, "a.test");
  const options = { port: tlsPort, host: "127.0.0.1", ca: readFileSync(file("ca.pem")) };
  const secured = connect({ ...options, ALPNProtocols: ["dot"] });
  t.teardown(() => secured.destroy());
  await once(secured, "secureConnect");
  secured.write(framed(query(9, "web.service.consul")));
  await once(secured, "data");
  const malformed = Buffer.from(query(7, "a.test"));
  malformed[5] = 2;
  await scene.client.ask(malformed);

  const done = 5 + 2 + 1 + 1 + 1 + 4 + 3 + 8;
  const sum = (counts: Record<string, number>) =>
    Object.values(counts).reduce((all, count) => all + count, 0);
  let after = before;
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(20)) {
    after = await read(program);
    if (sum(added(before, after, "waypost_dns_requests_total")) === done) break;
  }
  const moved = (family: string) => added(before, after, family);

  t.same(moved("waypost_dns_requests_total"), {
    "consul. udp 1 SRV": 5,
    "consul. udp 1 A": 2,
    "consul. udp 1 TXT": 1,
    "consul. tcp 1 A": 1,
    "alt. udp 1 A": 1,
    "arpa. udp 1 PTR": 1,
    ". udp 1 A": 9,
    ". tcp 1 A": 1,
    ". udp 1 AAAA": 1,
    "localhost. udp 1 A": 1,
    "corp.test. udp 1 A": 1,
    "dropped udp 1 other": 1,
  });
  t.same(moved("waypost_dns_responses_total"), {
    "consul. NOERROR catalog": 8,
    "consul. NXDOMAIN catalog": 1,
    "alt. NOERROR catalog": 1,
    "arpa. NOERROR catalog": 1,
    ". NOERROR forward": 3,
    ". NOERROR cache": 4,
    ". NXDOMAIN forward": 1,
    ". NXDOMAIN cache": 2,
    ". SERVFAIL forward": 1,
    "localhost. NOERROR local": 1,
    "corp.test. SERVFAIL forward": 1,
    "dropped FORMERR ": 1,
  });
  const queries = moved("waypost_catalog_queries_total");
  t.same(
    queries,
    { "web NOERROR": 8, "other NOERROR": 1 },
    "workers and main thread; one service has a label; what is no service has none",
  );
  t.same(moved("waypost_cache_requests_total"), { ".": 11, "corp.test.": 1 });
  t.same(moved("waypost_cache_hits_total"), { "success .": 4, "denial .": 2 });
  t.same(moved("waypost_cache_misses_total"), { ".": 5, "corp.test.": 1 });
  t.same(moved("waypost_dns_do_requests_total"), { ".": 1 });
  t.equal(sum(moved("waypost_dns_request_duration_seconds_count")), done);
  t.equal(sum(moved("waypost_dns_request_size_bytes_count")), done);
  t.equal(sum(moved("waypost_dns_response_size_bytes_count")), done);
  t.equal(after.get("waypost_local_localhost_requests_total"), 1);

  const to = upstream.address;
  const replies = moved("waypost_proxy_request_duration_seconds_count");
  // It is asked for more than once; a reply that is late is none.
  const { [`${to} SERVFAIL`]: failed = 0 } = replies;
  t.ok(failed >= 1 && failed <= upstream.count("broken.test"), `${failed} failed`);
  t.same(replies, {
    [`${to} NOERROR`]: 4,
    [`${to} NXDOMAIN`]: 1,
    [`${to} SERVFAIL`]: failed,
  });
  t.same(moved("waypost_proxy_truncated_total"), { [to]: 1 });
  t.same(moved("waypost_proxy_conn_cache_misses_total"), { [`${to} tcp`]: 1 }, "TC leads to TCP");
  t.equal(sum(moved("waypost_proxy_requests_total")) >= upstream.got.length, true);

  for (const family of ["dns_requests_total", "dns_responses_total", "cache_hits_total"])
    t.same(moved(`coredns_${family}`), moved(`waypost_${family}`), `coredns_${family}`);
  const servers = [...after.keys()].map((series) => /server="(\w+:[^"]+)"/.exec(series)?.[1]);
  t.same(
    new Set(servers.filter((server) => server !== undefined)),
    new Set([`dns://127.0.0.1:${program.dnsPort}`, `tls://127.0.0.1:${tlsPort}`]),
  );
});
