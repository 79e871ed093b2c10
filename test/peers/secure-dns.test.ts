/** DNS over TLS and HTTPS against other people's: unbound and dnsdist as upstreams, kdig and curl as clients. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { query } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { makeCertificates, noCertificates } from "../program/certificates.ts";
import { overTcp, startScene } from "../program/scene.ts";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo } from "../upstream.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const run = promisify(execFile);
const directory = temporaryDirectory(t);
if (noCertificates === false) makeCertificates(directory, ["server"]);
const file = (name: string): string => join(directory, name);
const missing = (program: string): string | false =>
  noCertificates !== false
    ? noCertificates
    : hasPeer(program)
      ? false
      : `${program} is not installed`;

const names = Array.from({ length: 40 }, (_, i) => `n${i}.corp.test`);

async function startUnbound(t: Test): Promise<{ plain: number; tls: number; https: number }> {
  const [plain, tls, https] = [await freePort(), await freePort(), await freePort()];
  writeFileSync(
    file("unbound.conf"),
    [
      "server:",
      ...[plain, tls, https].map((port) => `interface: 127.0.0.1@${port}`),
      `tls-port: ${tls}`,
      `https-port: ${https}`,
      `tls-service-key: "${file("server.key")}"`,
      `tls-service-pem: "${file("server.pem")}"`,
      "do-daemonize: no",
      'chroot: ""',
      'username: ""',
      'pidfile: ""',
      "use-syslog: no",
      'module-config: "iterator"',
      'local-zone: "corp.test." static',
      ...names.map((name, i) => `local-data: "${name}. 300 A 10.0.0.${i}"`),
      ...Array.from({ length: 200 }, (_, i) => `local-data: "many.corp.test. 300 A 10.1.0.${i}"`),
      "",
    ].join("\n"),
  );
  const asked = { port: plain, name: names[0]! };
  await startDnsPeer(t, "unbound", ["-d", "-c", file("unbound.conf")], asked);
  return { plain, tls, https };
}

async function startDnsdist(t: Test, behind: number): Promise<number> {
  const [plain, tls] = [await freePort(), await freePort()];
  const pair = `"${file("server.pem")}", "${file("server.key")}"`;
  writeFileSync(
    file("dnsdist.conf"),
    [
      `setLocal("127.0.0.1:${plain}")`,
      `addTLSLocal("127.0.0.1:${tls}", ${pair})`,
      `newServer("127.0.0.1:${behind}"):setUp()`,
      'setSecurityPollSuffix("")',
      "",
    ].join("\n"),
  );
  const args = ["--supervised", "--disable-syslog", "-C", file("dnsdist.conf")];
  await startDnsPeer(t, "dnsdist", args, { port: plain, name: names[0]! });
  return tls;
}

const forwarding = (t: Test, recursor: string): Promise<Program> =>
  startProgram(t, { recursors: [recursor], forwarder: { tls_ca_file: file("ca.pem") } });

async function counted(program: Program, line: string): Promise<number> {
  const { text } = await program.http("GET", "/metrics");
  const found = text.split("\n").find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length) ?? -1);
}

/** Every name by this upstream, all at once, then a long answer; and how many messages that took. */
async function compare(
  t: Test,
  recursor: string,
  { label, most }: { label: string; most: number },
): Promise<void> {
  const program = await forwarding(t, recursor);
  const got = await Promise.all(names.map((name) => overTcp(program, name)));
  t.same(
    got.map(({ answers }) => (answers![0] as { data: unknown }).data),
    names.map((_, i) => `10.0.0.${i}`),
    `${label}: the same answers`,
  );
  const many = await overTcp(program, "many.corp.test");
  t.equal(many.answers!.length, 200, `${label}: the whole of a long one`);
  t.equal((await overTcp(program, "gone.corp.test")).rcode, "NXDOMAIN");
  const sent = await counted(program, `waypost_proxy_requests_total{to="${label}",proto="tcp"}`);
  t.equal(sent, names.length + 2, `${label}: one message each`);
  const open = await counted(program, 'waypost_forward_sockets{proto="tcp"}');
  t.ok(open >= 1 && open <= most, `${label}: ${open} connections`);
}

t.test("unbound as upstream over TLS and HTTPS", { skip: missing("unbound") }, async (t) => {
  const { tls, https } = await startUnbound(t);
  await compare(t, `tls://127.0.0.1:${tls}#server.dc1.consul`, {
    label: `tls://127.0.0.1:${tls}#server.dc1.consul`,
    most: 8,
  });
  await compare(t, `https://127.0.0.1:${https}`, {
    label: `https://127.0.0.1:${https}/dns-query`,
    most: 4,
  });
  const strict = await forwarding(t, `tls://127.0.0.1:${tls}#dns.example`);
  t.equal((await overTcp(strict, names[0]!)).rcode, "SERVFAIL", "the name is checked");
  const { text } = await strict.http("GET", "/v1/waypost/dns/upstreams");
  t.match(text, "CERT name mismatch");
});

// 1.7 answers some of what arrives together and waits for octets that it has read: see connections.ts.
// Over HTTPS it ends by an assertion of its HTTP library when a connection is closed at the wrong moment.
t.test("dnsdist as upstream over TLS", { skip: missing("dnsdist") }, async (t) => {
  const { plain } = await startUnbound(t);
  const tls = await startDnsdist(t, plain);
  const program = await forwarding(t, `tls://127.0.0.1:${tls}`);
  for (const round of ["first", "second"]) {
    const got = await Promise.all(names.map((name) => overTcp(program, `${round}.${name}`)));
    const rcodes = got.map(({ rcode }) => rcode);
    t.same(new Set(rcodes), new Set(["NXDOMAIN"]), `${round} round: all answered`);
  }
  const label = `tls://127.0.0.1:${tls}`;
  const sent = await counted(program, `waypost_proxy_requests_total{to="${label}",proto="tcp"}`);
  t.equal(sent, 2 * names.length);
});

async function listening(t: Test): Promise<{ tls: number; https: number; program: Program }> {
  const [tls, https] = [await freePort(), await freePort()];
  const { program } = await startScene(
    t,
    (got) => [replyTo(got, { answers: got.type === "A" ? [a(got.name, "127.0.0.1", 60)] : [] })],
    {
      ports: { dns_tls: tls, dns_https: https },
      tls: { dns: { cert_file: file("server.pem"), key_file: file("server.key") } },
    },
  );
  return { tls, https, program };
}

t.test("kdig as client", { skip: missing("kdig") }, async (t) => {
  const { tls, https, program } = await listening(t);
  const strict = [`+tls-ca=${file("ca.pem")}`, "+tls-hostname=server.dc1.consul"];
  const ask = async (port: number, options: string[]): Promise<string> =>
    (await run("kdig", ["@127.0.0.1", "-p", String(port), ...options, "+short", "www.test"]))
      .stdout;
  t.equal(await ask(tls, ["+tls", ...strict]), "127.0.0.1\n");
  t.equal(await ask(tls, ["+tls", ...strict, "+padding"]), "127.0.0.1\n");
  t.equal(await ask(https, ["+https", ...strict]), "127.0.0.1\n");
  const whole = async (port: number, options: string[]): Promise<string> =>
    (await run("kdig", ["@127.0.0.1", "-p", String(port), ...options, "www.test"])).stdout;
  for (const [port, options] of [
    [tls, ["+tls", ...strict]],
    [https, ["+https", ...strict]],
  ] as const) {
    const padded = await whole(port, [...options, "+padding=64"]);
    t.match(padded, /;; PADDING: \d+ B/, `${options[0]}: padded as the question was`);
    t.match(padded, /;; Received 468 B/);
    const bare = await whole(port, [...options, "+nopadding", "+edns"]);
    t.notMatch(bare, "PADDING");
  }
  for (const options of [["+padding=64"], ["+tcp", "+padding=64"]]) {
    const clear = await whole(program.dnsPort, options);
    t.match(clear, /status: NOERROR/);
    t.notMatch(clear, "PADDING", "nothing to hide in clear text");
  }
  t.equal(await ask(https, ["+https", "+https-get", ...strict]), "127.0.0.1\n");
  const other = ["+tls", strict[0]!, "+tls-hostname=dns.example", "+retry=0"];
  await t.rejects(ask(tls, other), "its own check of the name");
  // Both questions over one connection.
  const both = ["@127.0.0.1", "-p", String(tls), "+tls", "+keepopen", "+short", "a.test", "b.test"];
  t.equal((await run("kdig", both)).stdout, "127.0.0.1\n127.0.0.1\n");
  const { text } = await program.http("GET", "/metrics");
  const asked = `^waypost_dns_requests_total{server="https://127.0.0.1:${https}",.*type="A"} 4$`;
  t.match(text, new RegExp(asked, "m"));
});

t.test("h2load: eager clients are no flood", { skip: missing("h2load") }, async (t) => {
  const { https, program } = await listening(t);
  const wire = query(0, "www.test");
  writeFileSync(file("question"), wire);
  const at = `https://127.0.0.1:${https}/dns-query`;
  const load = async (total: number, words: string[]): Promise<string> =>
    (await run("h2load", ["-n", String(total), "-c", "10", "-m", "100", ...words])).stdout;
  const got = await load(10_000, [`${at}?dns=${wire.toString("base64url")}`]);
  t.match(got, "10000 succeeded, 0 failed, 0 errored, 0 timeout");
  const type = "content-type: application/dns-message";
  const posted = await load(10_000, ["-d", file("question"), "-H", type, at]);
  t.match(posted, "10000 succeeded, 0 failed, 0 errored, 0 timeout");
  // As large as questions may be: the answer is FORMERR.
  writeFileSync(file("largest"), Buffer.concat([wire, Buffer.alloc(65_535 - wire.length)]));
  const largest = await load(500, ["-d", file("largest"), "-H", type, at]);
  t.match(largest, "500 succeeded, 0 failed, 0 errored, 0 timeout");
  t.equal(
    await counted(program, 'waypost_dns_secure_closed_total{proto="https",reason="flood"}'),
    0,
  );
});

t.test("curl resolves by us", { skip: missing("curl") }, async (t) => {
  const { https } = await listening(t);
  const page = createServer((_request, response) => response.end("here"));
  await new Promise<void>((bound) => page.listen(0, "127.0.0.1", bound));
  t.teardown(() => page.close());
  const { port } = page.address() as { port: number };
  const { stdout } = await run("curl", [
    "--silent",
    "--show-error",
    "--noproxy",
    "*",
    "--doh-insecure",
    "--doh-url",
    `https://127.0.0.1:${https}/dns-query`,
    `http://www.somewhere.test:${port}/`,
  ]);
  t.equal(stdout, "here");
});
