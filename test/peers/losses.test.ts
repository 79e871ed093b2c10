/** Two servers that lose 30 % of all datagrams, each way, beside dnsmasq and unbound: how many questions fail. */
import t, { type Test } from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { decode, query, udpClient } from "../dns-client.ts";
import { seededRandom } from "../forwarder/world.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo, startUpstream, type Says, type Upstream } from "../upstream.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const LOST = 0.3;
const QUESTIONS = 300;
/** As long as the question of a client may take here; clients that ask again would hide what is lost. */
const PATIENCE_MS = 3_500;

/** Answers after 5 ms. Loses nothing over TCP, nor of names below `whole`, by which peers are awaited. */
function losing(seed: number): Says {
  const random = seededRandom(seed);
  const isLost = (): boolean => random.uint32() / 2 ** 32 < LOST;
  for (let i = 0; i < 20; i++) isLost();
  return async (got) => {
    const mayLose = got.transport === "udp" && !got.name.endsWith("whole");
    if (mayLose && (isLost() || isLost())) return [];
    await sleep(5);
    return [replyTo(got, { answers: [a(got.name, "198.51.100.1")] })];
  };
}

const dnsmasqArguments = (port: number, servers: Upstream[]): string[] => [
  "--keep-in-foreground",
  "--conf-file=/dev/null",
  "--pid-file=",
  "--user=",
  "--no-hosts",
  "--no-resolv",
  "--listen-address=127.0.0.1",
  "--bind-interfaces",
  `--port=${port}`,
  ...servers.map((server) => `--server=127.0.0.1#${server.port}`),
];

const unboundConf = (port: number, servers: Upstream[]): string =>
  [
    "server:",
    `interface: 127.0.0.1@${port}`,
    "do-daemonize: no",
    'chroot: ""',
    'username: ""',
    'pidfile: ""',
    "use-syslog: no",
    'module-config: "iterator"',
    "do-not-query-localhost: no",
    "qname-minimisation: no",
    "forward-zone:",
    'name: "."',
    ...servers.map(({ port: at }) => `forward-addr: 127.0.0.1@${at}`),
  ].join("\n");

/** Asks 100 names a second; gives the times of those that were answered, in order. */
async function askMany(t: Test, port: number): Promise<number[]> {
  const client = await udpClient(port);
  t.teardown(() => client.close());
  const times: number[] = [];
  const asked: Promise<void>[] = [];
  for (let i = 0; i < QUESTIONS; i++) {
    const startedMs = performance.now();
    asked.push(
      client.ask(query(i, `n${i}.lost`), PATIENCE_MS).then((reply) => {
        if (reply !== undefined && decode(reply).answers?.length === 1)
          times.push(performance.now() - startedMs);
      }),
    );
    await sleep(10);
  }
  await Promise.all(asked);
  return times.sort((x, y) => x - y);
}

const skip = hasPeer("dnsmasq") && hasPeer("unbound") ? false : "dnsmasq or unbound is missing";

t.test("ask 1: servers that lose datagrams", { timeout: 90_000, skip }, async (t) => {
  /** Servers of its own for each, which lose alike. */
  const startServers = (): Promise<Upstream[]> =>
    Promise.all([startUpstream(t, losing(11)), startUpstream(t, losing(1234))]);
  const [ours, dnsmasqs, unbounds] = await Promise.all([
    startServers(),
    startServers(),
    startServers(),
  ]);
  const program = await startProgram(t, {
    workers: 1,
    recursors: ours.map((each) => each.address),
  });
  const name = "peer.whole";
  const [dnsmasqPort, unboundPort] = [await freePort(), await freePort()];
  await startDnsPeer(t, "dnsmasq", dnsmasqArguments(dnsmasqPort, dnsmasqs), {
    port: dnsmasqPort,
    name,
  });
  const conf = join(temporaryDirectory(t), "unbound.conf");
  writeFileSync(conf, unboundConf(unboundPort, unbounds));
  await startDnsPeer(t, "unbound", ["-c", conf], { port: unboundPort, name });
  const before = ours.map((each) => each.got.length);
  const [mine, dnsmasq, unbound] = await Promise.all([
    askMany(t, program.dnsPort),
    askMany(t, dnsmasqPort),
    askMany(t, unboundPort),
  ]);
  for (const [who, times, servers] of [
    ["waypost", mine, ours],
    ["dnsmasq", dnsmasq, dnsmasqs],
    ["unbound", unbound, unbounds],
  ] as const) {
    const at = (part: number): string => (times[Math.floor(times.length * part)] ?? NaN).toFixed();
    const sent = servers.reduce((sum, each) => sum + each.got.length, 0) / QUESTIONS;
    t.comment(
      `${who}: ${QUESTIONS - times.length} of ${QUESTIONS} failed, p50 ${at(0.5)} ms, ` +
        `p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, ${sent.toFixed(2)} packets each`,
    );
  }
  // Two packets to each of two servers, each there and back; and what is dead is asked only once.
  const expected = QUESTIONS * (1 - (1 - LOST) ** 2) ** 4;
  const failed = QUESTIONS - mine.length;
  t.ok(
    failed <= expected + 5 * Math.sqrt(expected),
    `${failed} failed, ${expected.toFixed()} are to be expected`,
  );
  t.ok(failed < QUESTIONS - dnsmasq.length, "fewer than dnsmasq's");
  for (const [i, server] of ours.entries()) {
    const counts = new Map<string, number>();
    for (const { name: asked } of server.got.slice(before[i]))
      if (asked.endsWith(".lost")) counts.set(asked, (counts.get(asked) ?? 0) + 1);
    t.ok(Math.max(...counts.values()) <= 2, "S19: two packets to each server at most");
  }
});
