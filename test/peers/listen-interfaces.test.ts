/** Listeners that follow interfaces, in a network namespace of their own: ask 38. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { makeCertificates, noCertificates } from "../program/certificates.ts";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer } from "./peer.ts";
import { createTwoHosts } from "./two-hosts.ts";

const LIMIT_MS = 20_000;

t.test("ask 38: interfaces that appear later", { timeout: 120_000 }, async (t) => {
  const hosts = hasPeer("dig") ? createTwoHosts(t) : undefined;
  if (hosts === undefined) {
    t.pass("skipped: it needs dig, and root to make network namespaces");
    return;
  }
  const { server } = hosts;
  const ip = (...args: string[]) => server.run("ip", ...args);
  const directory = temporaryDirectory(t);
  const configFile = join(directory, "config.json");
  const configure = (patch: object): void =>
    writeFileSync(
      configFile,
      JSON.stringify({
        node_name: "n1",
        server: true,
        bootstrap: true,
        data_dir: join(directory, "data"),
        bind_addr: "127.0.0.1",
        ports: { dns: 53, http: 8500, serf_wan: -1 },
        ...patch,
      }),
    );
  configure({ dns_listen: { interfaces: ["lo", "docker*"], dynamic: true } });
  const program = server.start(waypostPath, "agent", "-config-file", configFile);
  let output = "";
  for (const stream of [program.stdout!, program.stderr!])
    stream.on("data", (octets: Buffer) => (output += octets.toString()));
  /** dig takes no answer from another address than it asked. */
  const answers = (address: string, ...more: string[]): boolean => {
    const asked = ["+short", "+tries=1", "+time=1", ...more, `@${address}`, "n1.node.consul"];
    try {
      return server.run("dig", ...asked).trim() === "127.0.0.1";
    } catch {
      return false;
    }
  };
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (const limit = Date.now() + LIMIT_MS; Date.now() < limit; await sleep(100))
      if (holds()) return void t.pass(what);
    t.fail(`${what}\n${output}`);
  };

  await until("loopback answers", () => answers("127.0.0.1"));
  t.ok(answers("::1"), "over IPv6 too");
  t.notOk(answers("10.213.0.1"), "another interface does not");

  ip("link", "add", "docker0", "type", "veth", "peer", "name", "inside");
  for (const device of ["docker0", "inside"]) ip("link", "set", device, "up");
  ip("addr", "add", "172.17.0.1/16", "dev", "docker0");
  await until("a bridge that appeared later", () => answers("172.17.0.1"));
  t.ok(answers("172.17.0.1", "+tcp"), "over TCP too");
  ip("addr", "add", "169.254.20.10/32", "dev", "docker0");
  await until("a second address, link-local", () => answers("169.254.20.10"));
  const scoped = /inet6 (fe80::[0-9a-f:]+)/.exec(ip("-6", "addr", "show", "dev", "docker0"))?.[1];
  t.ok(scoped, "there is a link-local address of IPv6");
  await until("it answers with its interface", () => answers(`${scoped}%docker0`));
  t.ok(answers(`${scoped}%docker0`, "+tcp"), "over TCP too");

  // Sockets of a moment ago are still open for late replies: they must not take the questions.
  for (let i = 0; i < 2; i++) {
    const left = () => output.split("no longer listening: address=172.17.0.1").length;
    const before = left();
    ip("addr", "del", "172.17.0.1/16", "dev", "docker0");
    await until("an address goes", () => left() > before);
    ip("addr", "add", "172.17.0.1/16", "dev", "docker0");
    await until("and comes back", () => answers("172.17.0.1"));
    const lost = Array.from({ length: 30 }, () => answers("172.17.0.1")).filter((is) => !is);
    t.equal(lost.length, 0, "every question is answered");
  }

  ip("addr", "del", "169.254.20.10/32", "dev", "docker0");
  await until("an address that goes is left", () =>
    /no longer listening: address=169\.254\.20\.10/.test(output),
  );
  t.ok(answers("172.17.0.1"), "the other one stays");
  ip("link", "del", "docker0");
  await until("so is an interface", () =>
    /no longer listening: address=172\.17\.0\.1/.test(output),
  );
  t.ok(answers("127.0.0.1"));
  ip("link", "add", "docker1", "type", "veth", "peer", "name", "inside");
  for (const device of ["docker1", "inside"]) ip("link", "set", device, "up");
  ip("addr", "add", "172.17.0.1/16", "dev", "docker1");
  await until("the address on another interface", () => answers("172.17.0.1"));

  // A reload: everywhere but there.
  configure({
    addresses: { dns: "0.0.0.0" },
    dns_listen: { except_interfaces: ["docker*"] },
    dns_access: { local_service: false },
  });
  program.kill("SIGHUP");
  await until("all others", () => answers("10.213.0.1"));
  await until("but not the excepted one", () => !answers("172.17.0.1"));
  ip("addr", "add", "10.213.7.1/24", "dev", "lo");
  await until("one that appears is followed", () => answers("10.213.7.1"));

  // And with a wildcard nothing has to be followed.
  configure({ addresses: { dns: "0.0.0.0" }, dns_access: { local_service: false } });
  program.kill("SIGHUP");
  await until("a wildcard has them all", () => answers("172.17.0.1"));
  ip("addr", "add", "10.213.8.1/24", "dev", "lo");
  t.ok(answers("10.213.8.1"), "at once");
  t.notMatch(output, /cannot listen/);
});

t.test(
  "ask 38: over TLS, with an address that is not there yet",
  { timeout: 60_000 },
  async (t) => {
    const isPossible = hasPeer("kdig") && noCertificates === false;
    const hosts = isPossible ? createTwoHosts(t) : undefined;
    if (hosts === undefined) {
      t.pass("skipped: it needs kdig, openssl, and root to make network namespaces");
      return;
    }
    const { server } = hosts;
    const directory = temporaryDirectory(t);
    makeCertificates(directory, ["server"]);
    const configFile = join(directory, "config.json");
    const [cert, key] = ["pem", "key"].map((end) => join(directory, `server.${end}`));
    writeFileSync(
      configFile,
      JSON.stringify({
        node_name: "n1",
        server: true,
        bootstrap: true,
        data_dir: join(directory, "data"),
        bind_addr: "127.0.0.1",
        ports: { dns: 53, dns_tls: 853, http: 8500, serf_wan: -1 },
        tls: { dns: { cert_file: cert, key_file: key } },
        dns_listen: { interfaces: ["lo", "late*"], dynamic: true },
      }),
    );
    const asked = ["+short", "+tls", "+retry=0", "+timeout=1", "@fd00:99::1", "n1.node.consul"];
    server.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "inside");
    for (const device of ["late0", "inside"]) server.run("ip", "link", "set", device, "up");
    // For a second or two it is nobody's: it may be somebody else's too (RFC 4862 5.4).
    server.run("sysctl", "-w", "net.ipv6.conf.late0.dad_transmits=4");
    server.run("ip", "addr", "add", "fd00:99::1/64", "dev", "late0");
    const program = server.start(waypostPath, "agent", "-config-file", configFile);
    let output = "";
    for (const stream of [program.stdout!, program.stderr!])
      stream.on("data", (octets: Buffer) => (output += octets.toString()));
    let answer = "";
    for (const limit = Date.now() + LIMIT_MS; answer === "" && Date.now() < limit;) {
      await sleep(200);
      if (program.exitCode !== null) break;
      try {
        answer = server.run("kdig", ...asked).trim();
      } catch {
        // Not yet.
      }
    }
    t.equal(answer, "127.0.0.1", `it answers when it is there\n${answer === "" ? output : ""}`);
    t.match(output, /ready: dns=.*\[::1\]:853/);
    t.notMatch(output, /ready: .*\[fd00:99::1\]:853/, "it was not there at the start");
  },
);

t.test("a missing interface is an error where it is not waited for", async (t) => {
  const directory = temporaryDirectory(t);
  const configFile = join(directory, "config.json");
  writeFileSync(configFile, JSON.stringify({ dns_listen: { interfaces: ["nowhere0"] } }));
  const { status, stderr } = spawnSync(
    waypostPath,
    ["agent", "-config-file", configFile, "-data-dir", directory],
    { encoding: "utf8" },
  );
  t.equal(status, 1);
  t.match(stderr, /dns_listen\.interfaces: there is no interface "nowhere0" with an address/);
});
