/**
 * S10, S14, S15, S16 of the list of threats between two hosts: clients that are really elsewhere, asking
 * with dig, and an agent that listens on every address.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { query } from "../dns/prepared.ts";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer } from "./peer.ts";
import { createTwoHosts, SERVER, SERVER6, type TwoHosts } from "./two-hosts.ts";

const isPossible = hasPeer("dig") && hasPeer("ip") && process.getuid?.() === 0;
const skip = isPossible ? false : "needs dig, iproute2 and root";
const PORT = 5301;
const HTTP = 8501;
const LIMIT_MS = 20_000;
/** Beyond the cable, so of no connected network. */
const FAR = "203.0.113.7";
const FAR6 = "2001:db8:77::7";

async function startAgent(t: Test, hosts: TwoHosts, access: object) {
  const directory = temporaryDirectory(t);
  const file = join(directory, "config.json");
  const config = {
    node_name: "n1",
    server: true,
    bootstrap: true,
    data_dir: join(directory, "data"),
    bind_addr: "127.0.0.1",
    client_addr: "127.0.0.1",
    addresses: { dns: "0.0.0.0 ::" },
    ports: { dns: PORT, http: HTTP },
    dns_access: access,
  };
  writeFileSync(file, JSON.stringify(config));
  const child = hosts.server.start(waypostPath, "agent", "-config-file", file);
  let output = "";
  for (const stream of [child.stdout!, child.stderr!])
    stream.on("data", (octets: Buffer) => (output += octets.toString()));
  const curl = (...args: string[]) => hosts.server.run("curl", "-s", "-m", "20", ...args);
  const until = async <T>(what: string, find: () => T | undefined): Promise<T> => {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(50)) {
      const found = find();
      if (found !== undefined) return found;
    }
    t.comment(output);
    throw new Error(`${what} within ${LIMIT_MS} ms\n${output}`);
  };
  await until("ready", () => (/ready:/.test(output) ? true : undefined));
  const addresses = Array.from({ length: 74 }, (_, i) => `10.1.0.${i + 1}`);
  const requests = addresses.map((address) => {
    const body = { Node: `n-${address}`, Address: address, Service: { Service: "big", Port: 1 } };
    const to = `http://127.0.0.1:${HTTP}/v1/catalog/register`;
    return ["-X", "PUT", "-d", JSON.stringify(body), to];
  });
  // One process for all.
  curl(...requests.flatMap((words, i) => (i === 0 ? words : ["--next", "-s", ...words])));
  return {
    until,
    /** The sum of a counter with these labels. */
    metric: (name: string, labels = ""): number => {
      const text = curl(`http://127.0.0.1:${HTTP}/metrics`);
      const line = text.split("\n").find((each) => each.startsWith(`${name}${labels} `));
      return Number(line?.split(" ")[1] ?? NaN);
    },
  };
}

/** dig's own words; what it cannot do is part of them. */
function dig(hosts: TwoHosts, from: string, ...args: string[]): string {
  const to = from.includes(":") ? SERVER6 : SERVER;
  const fixed = ["-b", from, `@${to}`, "-p", String(PORT), "+time=3", "+tries=1"];
  try {
    return hosts.client.run("dig", ...fixed, ...args);
  } catch (error) {
    return String((error as { stdout: string }).stdout);
  }
}

t.test("S14: on every address, connected networks alone are answered", { skip }, async (t) => {
  const hosts = createTwoHosts(t);
  if (hosts === undefined) {
    t.comment("skipped: no network namespaces here");
    return;
  }
  const { metric, until } = await startAgent(t, hosts, {});
  for (const near of ["10.213.0.2", "fd00:213::2"]) {
    t.match(dig(hosts, near, "big.service.consul"), /status: NOERROR/, near);
    t.match(dig(hosts, near, "+tcp", "big.service.consul"), /status: NOERROR/, `${near} TCP`);
  }
  for (const far of [FAR, FAR6]) {
    const refused = dig(hosts, far, "big.service.consul");
    t.match(refused, /status: REFUSED/, far);
    t.match(refused, /EDE: 18 \(Prohibited\)/, far);
    t.notMatch(dig(hosts, far, "+tcp", "big.service.consul"), /status:/, `${far} TCP: closed`);
  }
  t.equal(metric("waypost_dns_prohibited_total"), 2);
  t.equal(metric("waypost_dns_tcp_closed_total", '{reason="prohibited"}'), 2);

  const device = hosts.server.run("ip", "-br", "link").match(/^(wp\w+v)/m)![1]!;
  hosts.server.run("ip", "route", "del", "203.0.113.0/24");
  hosts.server.run("ip", "addr", "add", "203.0.113.254/24", "dev", device);
  hosts.client.run("ip", "neigh", "flush", "all");
  // The client answers ARP for its addresses.
  await until("a network that has come is answered", () =>
    /status: NOERROR/.test(dig(hosts, FAR, "big.service.consul")) ? true : undefined,
  );
  t.match(dig(hosts, FAR6, "big.service.consul"), /status: REFUSED/);
});

t.test("S10, S16: payload and cookies towards clients elsewhere", { skip }, async (t) => {
  const hosts = createTwoHosts(t);
  if (hosts === undefined) {
    t.comment("skipped: no network namespaces here");
    return;
  }
  const secret = "000102030405060708090a0b0c0d0e0f";
  const allow = ["203.0.113.0/24", "2001:db8:77::/64"];
  const { metric } = await startAgent(t, hosts, { allow, cookie_secret: secret });
  for (const far of [FAR, FAR6]) {
    const plain = dig(hosts, far, "+bufsize=4096", "big.service.consul");
    t.match(plain, /status: NOERROR/);
    t.match(plain, /udp: 1232/, "OPT says 1232");
    t.match(plain, /COOKIE: \w{48} \(good\)/, "dig's own judgement");
    t.ok(Number(/rcvd: (\d+)/.exec(plain)![1]) <= 1232);
    const cookie = /COOKIE: (\w{48})/.exec(plain)![1]!;
    t.match(dig(hosts, far, `+cookie=${cookie}`, "big.service.consul"), /\(good\)/);
    for (const bad of [
      `${cookie.slice(0, 47)}${cookie.endsWith("0") ? 1 : 0}`,
      cookie.slice(0, 16),
    ]) {
      const renewed = dig(hosts, far, `+cookie=${bad}`, "big.service.consul");
      t.match(renewed, /status: NOERROR/, "nothing asks for a cookie here");
      t.match(renewed, /COOKIE: \w{48}/);
    }
    const short = dig(hosts, far, "+ednsopt=10:0102030405", "+nocookie", "big.service.consul");
    t.match(short, /status: FORMERR/, "five octets");
  }
  t.equal(metric("waypost_dns_cookies_total"), 2, "the good ones");
  for (const host of [hosts.server, hosts.client]) {
    const snmp = host.run("cat", "/proc/net/snmp").split("\n");
    const [names, values] = snmp
      .filter((line) => line.startsWith("Ip:"))
      .map((line) => line.split(" "));
    for (const name of ["ReasmReqds", "FragCreates"])
      t.equal(values![names!.indexOf(name)], "0", `${name}: no fragments`);
  }
});

t.test("S15: 5,000 questions a second from one /24", { skip, timeout: 120_000 }, async (t) => {
  const hosts = createTwoHosts(t);
  if (hosts === undefined) {
    t.comment("skipped: no network namespaces here");
    return;
  }
  const { metric } = await startAgent(t, hosts, { local_service: false });
  for (let i = 0; i < 5; i++)
    t.match(
      dig(hosts, FAR, "+bufsize=4096", "big.service.consul"),
      /ANSWER: 7\d/,
      "whole at first",
    );
  const wire = Buffer.from(query("big.service.consul", "A", { edns: 4096 })).toString("hex");
  const script = fileURLToPath(new URL("flood.mjs", import.meta.url));
  const args = [script, SERVER, String(PORT), wire, "5000", "6"];
  const flood = hosts.client.start(process.execPath, ...args);
  let output = "";
  flood.stdout!.on("data", (octets: Buffer) => (output += octets.toString()));
  const [code] = (await once(flood, "exit")) as [number];
  t.equal(code, 0);
  type Total = {
    sent: number;
    octetsIn: number;
    replies: number;
    octetsOut: number;
    truncated: number;
  };
  const totals = JSON.parse(output) as Total[];
  const sum = (name: keyof Total, list = totals) => list.reduce((all, each) => all + each[name], 0);
  t.ok(sum("sent") > 25_000, `${sum("sent")} sent`);
  const later = totals.slice(1);
  const factor = sum("octetsOut", later) / sum("octetsIn", later);
  t.comment(
    `octets out / octets in: ${factor.toFixed(2)}; with the first second ${(sum("octetsOut") / sum("octetsIn")).toFixed(2)}`,
  );
  t.ok(factor <= 5, "at most five times after the first second");
  const withheld = ["drop", "slip"].map((sent) =>
    metric("waypost_dns_rate_limited_total", `{sent="${sent}"}`),
  );
  const share = withheld[1]! / (withheld[0]! + withheld[1]!);
  t.ok(share > 0.4 && share < 0.6, `TC for ${(share * 100).toFixed(0)} % of those withheld`);
  t.equal(withheld[1], sum("truncated"), "each TC counted has arrived");
  t.match(dig(hosts, FAR6, "big.service.consul"), /ANSWER: 7\d/, "others are answered");
  t.match(dig(hosts, FAR, "+tcp", "big.service.consul"), /status: NOERROR/, "TCP is not counted");
});
