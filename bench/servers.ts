/** The programs that are compared: waypost itself, unbound, dnsmasq, etcd and the C echo floor. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../test/free-port.mjs";
import { startServer, type Server } from "./process.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

export type Waypost = Server & {
  httpPort: number;
  dataDir: string;
  http: Server;
  configFile: string;
};

const workDirs: string[] = [];
process.on("exit", () => {
  for (const path of workDirs) rmSync(path, { recursive: true, force: true });
});

/** A fresh directory that is removed when the bench ends. */
function workDir(): string {
  const path = mkdtempSync(join(tmpdir(), "waypost-bench-"));
  workDirs.push(path);
  return path;
}

/** waypost with the given configuration on top of loopback defaults; reuses `dataDir` if given. */
export async function startWaypost(
  config: Record<string, unknown> = {},
  dataDir = join(workDir(), "data"),
): Promise<Waypost> {
  const dns = await freePort();
  const http = await freePort();
  const server = await freePort();
  mkdirSync(dataDir, { recursive: true });
  const file = join(dirname(dataDir), "config.json");
  const base = {
    node_name: "bench",
    server: true,
    bootstrap: true,
    data_dir: dataDir,
    bind_addr: "127.0.0.1",
    log_level: "warn",
    ports: { dns, http, server, https: -1, grpc: -1, serf_lan: -1, serf_wan: -1 },
  };
  writeFileSync(file, JSON.stringify({ ...base, ...config }));
  const command = [join(root, "bin/waypost"), "agent", "-config-file", file];
  const ready = async () => {
    const reply = await fetch(`http://127.0.0.1:${http}/v1/status/leader`);
    return (await reply.text()).length > 4 && (await answers(dns, "consul.service.consul"));
  };
  const started = await startServer("waypost", command, dns, ready);
  return {
    ...started,
    httpPort: http,
    dataDir,
    http: { ...started, port: http },
    configFile: file,
  };
}

/** A second waypost that takes over from this one; resolves when the first has ended. */
export async function takeOver(first: Waypost): Promise<Waypost> {
  const command = [join(root, "bin/waypost"), "agent", "-config-file", first.configFile];
  const isOver = async () => {
    if (first.isRunning()) return false;
    const reply = await fetch(`http://127.0.0.1:${first.httpPort}/v1/status/leader`);
    return (await reply.text()).length > 4;
  };
  const started = await startServer("waypost", [...command, "-takeover"], first.port, isOver);
  return { ...first, ...started, http: { ...started, port: first.httpPort } };
}

/** unbound, one thread, answering `localData` lines itself or forwarding to upstreams. */
export async function startUnbound(options: {
  localData?: string[];
  upstreamPort?: number;
  upstreamPorts?: readonly number[];
  extra?: string[];
}): Promise<Server> {
  const port = await freePort();
  const dir = workDir();
  const lines = [
    "server:",
    `  interface: 127.0.0.1@${port}`,
    "  num-threads: 1",
    "  do-daemonize: no",
    '  chroot: ""',
    '  username: ""',
    `  directory: "${dir}"`,
    `  pidfile: "${dir}/pid"`,
    "  use-syslog: no",
    "  verbosity: 0",
    '  module-config: "iterator"',
    "  do-not-query-localhost: no",
    "  access-control: 127.0.0.0/8 allow",
    "  num-queries-per-thread: 2048",
    "  outgoing-range: 4096",
    "  msg-cache-size: 64m",
    "  rrset-cache-size: 128m",
    "  so-rcvbuf: 0",
    ...(options.extra ?? []).map((line) => `  ${line}`),
    ...(options.localData ?? []).map((line) => `  ${line}`),
  ];
  const upstreams = upstreamsOf(options);
  if (upstreams.length > 0) lines.push("forward-zone:", '  name: "."');
  for (const upstream of upstreams) lines.push(`  forward-addr: 127.0.0.1@${upstream}`);
  const file = join(dir, "unbound.conf");
  writeFileSync(file, lines.join("\n") + "\n");
  const name = readyName(upstreams);
  return startServer("unbound", ["unbound", "-d", "-c", file], port, () => answers(port, name));
}

/** dnsmasq answering `hostRecords` (name,address) or forwarding to upstreams. */
export async function startDnsmasq(options: {
  hostRecords?: string[];
  upstreamPort?: number;
  upstreamPorts?: readonly number[];
  cacheSize?: number;
  extra?: string[];
}): Promise<Server> {
  const port = await freePort();
  const upstreams = upstreamsOf(options);
  const file = join(workDir(), "dnsmasq.conf");
  const lines = [
    "keep-in-foreground",
    "no-hosts",
    "no-resolv",
    "user=root",
    "pid-file=",
    "listen-address=127.0.0.1",
    "bind-interfaces",
    `port=${port}`,
    "dns-forward-max=10000",
    `cache-size=${options.cacheSize ?? 10_000}`,
    ...(options.hostRecords ?? []).map((record) => `host-record=${record}`),
    ...upstreams.map((upstream) => `server=127.0.0.1#${upstream}`),
    ...(options.extra ?? []),
  ];
  writeFileSync(file, lines.join("\n") + "\n");
  const name = readyName(upstreams);
  return startServer("dnsmasq", ["dnsmasq", "-C", file], port, () => answers(port, name));
}

/** One etcd member with its own directory; every put is fsynced. */
export async function startEtcd(): Promise<Server> {
  const client = await freePort();
  const peer = await freePort();
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const command = ["etcd", "--name", "bench", "--data-dir", join(workDir(), "etcd")];
  command.push("--listen-client-urls", url, "--advertise-client-urls", url);
  command.push("--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl);
  command.push("--initial-cluster", `bench=${peerUrl}`, "--log-level", "error");
  return startServer("etcd", command, client, async () => {
    const health = await fetch(`${url}/health`);
    return (await health.text()).includes("true");
  });
}

/** A bare hono application on the runtime that waypost uses; /v1/health/service/ answers `list`. */
export async function startHono(list: unknown): Promise<Server> {
  const port = await freePort();
  const file = join(workDir(), "list.json");
  writeFileSync(file, JSON.stringify(list));
  const bun = join(root, "node_modules/bun/bin/bun.exe");
  const command = [bun, join(root, "bench/peers/hono.ts"), String(port), file];
  return startServer("bare hono route", command, port, async () => {
    const health = await fetch(`http://127.0.0.1:${port}/health`);
    return (await health.text()) === "true";
  });
}

/** The C echo loop of bench/peers/echo.c, compiled with -O2. */
export async function startEcho(): Promise<Server> {
  const port = await freePort();
  const binary = join(workDir(), "echo");
  execFileSync("cc", ["-O2", "-o", binary, join(root, "bench/peers/echo.c")]);
  return startServer("echo", [binary, String(port)], port, () => answers(port, "ready."));
}

type Forwarding = { upstreamPort?: number; upstreamPorts?: readonly number[] };

const upstreamsOf = ({ upstreamPort, upstreamPorts = [] }: Forwarding): readonly number[] =>
  upstreamPort === undefined ? upstreamPorts : [upstreamPort];

/** A name that gets an answer: behind an upstream only those below bench.example exist. */
const readyName = (upstreams: readonly number[]): string =>
  upstreams.length === 0 ? "localhost" : "ready.bench.example";

/** Whether a DNS question over UDP gets any reply within 200 ms. */
function answers(port: number, name: string): Promise<boolean> {
  const labels = name.split(".").filter((label) => label !== "");
  const header = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const qname = labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  const query = Buffer.concat([header, ...qname, Buffer.from([0, 0, 1, 0, 1])]);
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const finish = (answered: boolean) => {
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    const timer = setTimeout(() => finish(false), 200);
    socket.on("error", () => finish(false));
    socket.on("message", () => finish(true));
    socket.connect(port, "127.0.0.1", () => socket.send(query));
  });
}
