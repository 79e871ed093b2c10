/** S24: fifty thousand malformed messages neither flood the log nor get lost to the counters. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";

const COUNT = 50_000;
/** Datagrams between two looks at the event loop; about 50,000 a second. */
const BURST = 50;
const LIMIT_MS = 20_000;

/** Datagrams that the kernel dropped for want of room in the sockets of a port. */
function kernelDrops(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/udp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local]) => local?.endsWith(`:${hex}`))
    .reduce((sum, columns) => sum + Number(columns.at(-1)), 0);
}

t.test("S24: 50,000 malformed messages a second", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  const count = async () => {
    const { text } = await program.http("GET", "/metrics");
    const sum = (name: string, labels = "") =>
      text
        .split("\n")
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => line.includes(labels))
        .reduce((all, line) => all + Number(line.split(" ").at(-1)), 0);
    return {
      ignored: sum("waypost_dns_ignored_total"),
      requests: sum("waypost_dns_requests_total", 'proto="udp"'),
      responses: sum("waypost_dns_responses_total"),
      malformed: sum("waypost_dns_malformed_total"),
      dropped: sum("waypost_dns_dropped_total"),
    };
  };
  const plain = query(7, "web.service.consul");
  const changed = (at: number, octet: number) => {
    const wire = Buffer.from(plain);
    wire[at] = octet;
    return wire;
  };
  // Half of them get no reply at all: too short, or replies themselves.
  const messages = [plain.subarray(0, 11), changed(2, 0x81), changed(5, 0), changed(2, 0x29)];
  const before = await count();
  const droppedBefore = kernelDrops(program.dnsPort);
  const linesBefore = program.output().split("\n").length;
  const startMs = performance.now();
  for (let i = 0; i < COUNT; i++) {
    client.socket.send(messages[i % messages.length]!);
    if (i % BURST === BURST - 1) await new Promise((next) => setImmediate(next));
  }
  const seconds = (performance.now() - startMs) / 1000;
  t.comment(`${Math.round(COUNT / seconds)} a second`);

  let after = before;
  let lost = 0;
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(100)) {
    after = await count();
    lost = kernelDrops(program.dnsPort) - droppedBefore;
    const seen = after.ignored - before.ignored + after.requests - before.requests + lost;
    const judged = after.malformed - before.malformed + after.dropped - before.dropped;
    if (seen === COUNT && judged === after.requests - before.requests) break;
  }
  const ignored = after.ignored - before.ignored;
  const requests = after.requests - before.requests;
  t.equal(ignored + requests + lost, COUNT, `${lost} of them dropped by the kernel`);
  t.equal(after.malformed - before.malformed + after.dropped - before.dropped, requests);
  t.equal(after.responses - before.responses, requests, "each gets its error");
  const lines = program.output().split("\n").length - linesBefore;
  t.ok(lines <= 10 * Math.max(1, seconds), `${lines} lines of the log`);
  const answered = await client.ask(query(9, "web.service.consul"), 10_000);
  t.ok(answered, "the next question is answered");
});
