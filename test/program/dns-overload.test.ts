/** More than can be done: silence, few descriptors, floods of random names (S17, S18, S23). */
import t, { type Test } from "tap";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { framed, query, tcpExchange } from "../dns-client.ts";
import { BUSY_MS } from "../program.ts";
import { a, replyTo, type Says } from "../upstream.ts";
import { question, startScene } from "./scene.ts";

const percentile = (values: number[], part: number): number =>
  values.toSorted((x, y) => x - y)[Math.floor((values.length - 1) * part)] ?? NaN;

/** Sends without waiting and counts replies by RCODE. */
async function startFlood(
  t: Test,
  port: number,
): Promise<{ socket: Datagrams; replies: number[] }> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
  const replies: number[] = Array.from({ length: 16 }, () => 0);
  socket.on("message", (reply) => replies[reply[3]! & 15]!++);
  socket.connect(port, "127.0.0.1");
  await once(socket, "connect");
  t.teardown(() => socket.close());
  return { socket, replies };
}

/** Every label has the same length, so that one octet string can be changed in place. */
const numbered = (wire: Buffer, number: number): void => {
  wire.write(number.toString(36).padStart(7, "0"), 13, "latin1");
  wire.writeUInt16BE(number & 0xffff, 0);
};

t.test(
  "S18, S23: a silent upstream and 1024 descriptors: nothing crashes, own names and TCP are served",
  async (t) => {
    // Inherited by the program, which counts what it may open when it starts.
    execFileSync("prlimit", ["--pid", String(process.pid), "--nofile=1024:1024"]);
    let silent = true;
    const { program, client, ask } = await startScene(t, (got) =>
      silent && got.name.endsWith(".silent.test")
        ? []
        : [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })],
    );
    await program.http("PUT", "/v1/catalog/register", {
      Node: "app1",
      Address: "10.1.0.1",
      Service: { Service: "web", Port: 80 },
    });
    const { socket, replies } = await startFlood(t, program.dnsPort);
    const total = 20_000;
    const wire = question("0000000.silent.test");
    const own: number[] = [];
    const tcp: number[] = [];
    for (let n = 0; n < total; n++) {
      numbered(wire, n);
      socket.send(Buffer.from(wire));
      if (n % 500 !== 499) continue;
      // New names each time, so that the main thread computes them.
      const startedMs = performance.now();
      const reply = await client.ask(query(n & 0xffff, `v${n}.web.service.consul`, "A"), 3_000);
      own.push(performance.now() - startedMs);
      if (reply === undefined) t.fail(`no reply beside the flood at ${n}`);
      if (n % 5000 === 4999) {
        const beganMs = performance.now();
        const [overTcp] = await tcpExchange(
          program.dnsPort,
          framed(query(1, "web.service.consul")),
        );
        tcp.push(performance.now() - beganMs);
        t.ok(overTcp, `TCP at ${n}`);
        t.equal((await program.http("GET", "/v1/status/leader")).status, 200, `HTTP at ${n}`);
      }
    }
    const sum = () => replies.reduce((all, one) => all + one, 0);
    for (
      const until = Date.now() + 4_000 + BUSY_MS;
      sum() < total && Date.now() < until;
      await sleep(20)
    );
    t.comment(`${sum()} of ${total} answered: SERVFAIL ${replies[2]}, REFUSED ${replies[5]}`);
    t.comment(
      `own names: p50 ${percentile(own, 0.5).toFixed(1)} ms, p99 ${percentile(own, 0.99).toFixed(1)} ms`,
    );
    t.equal(replies[2]! + replies[5]!, sum(), "SERVFAIL or REFUSED, nothing else");
    t.ok(sum() > total * 0.95, "nearly all are answered");
    t.ok(percentile(own, 0.5) < 1_000 && percentile(own, 0.99) < BUSY_MS, "own names");
    t.ok(Math.max(...tcp) < BUSY_MS, "TCP");
    t.equal(program.child.exitCode, null);
    t.ok(program.output().split("\n").length < 50, "the log is not flooded (S24)");
    t.notMatch(program.output(), /TypeError|panic|unhandled/i);
    silent = false;
    const backMs = performance.now();
    while (
      (await ask(`n${performance.now()}.test`)).rcode !== "NOERROR" &&
      performance.now() < backMs + 5_000
    )
      await sleep(20);
    t.ok(performance.now() - backMs < 1_000 + BUSY_MS, "once the upstream answers, so do we");
    t.match((await ask("again.silent.test")).rcode, "NOERROR");
  },
);

t.test("S17: a flood of random names: hot names stay kept and quick", async (t) => {
  const HOT = 100;
  const PER_SECOND = 5_000;
  const SECONDS = 4;
  /** No more than the socket buffers hold: a slow machine gets the same flood, only slower. */
  const UNANSWERED_MAX = 400;
  /** Every question is answered within 3 s. */
  const GIVEN_UP_MS = 3_500;
  const denial = Buffer.from(
    "c0140006000100000e100020026e73c01404726f6f74c0140000000100000002000000030000000400000384",
    "hex",
  );
  // Made by hand: dns-packet would take longer for it than the program.
  const says: Says = (got) => {
    if (got.name.startsWith("hot"))
      return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 600)] })];
    const end = 12 + got.name.length + 2 + 4;
    const wire = Buffer.concat([got.wire.subarray(0, end), denial]);
    wire.writeUInt16BE(0x8183, 2);
    wire.writeUInt32BE(0x00000001, 6);
    wire.writeUInt16BE(0, 10);
    return [wire];
  };
  const { program, upstream, client } = await startScene(t, says, {
    forwarder: { cache_size: 2_000_000 },
  });
  const rss = (): number =>
    Number(
      /VmRSS:\s+(\d+)/.exec(
        execFileSync("cat", [`/proc/${program.pid}/status`], { encoding: "utf8" }),
      )![1],
    ) / 1024;
  const names = Array.from({ length: HOT }, (_, i) => `hot${i}.hot.test`);
  const look = async (): Promise<number[]> => {
    const took: number[] = [];
    for (const name of names) {
      const startedMs = performance.now();
      const reply = await client.ask(question(name));
      if (reply === undefined || (reply[3]! & 15) !== 0) t.fail(`${name} is not answered`);
      took.push(performance.now() - startedMs);
    }
    return took;
  };
  for (let round = 0; round < 3; round++) await look();
  const idle: number[] = await look();
  const rssBefore = rss();
  const { socket, replies } = await startFlood(t, program.dnsPort);
  const sum = () => replies.reduce((all, one) => all + one, 0);
  const wire = question("0000000.flood.test");
  const startedMs = performance.now();
  let sent = 0;
  const flooding = (async () => {
    let answered = 0;
    let answeredMs = startedMs;
    let lost = 0;
    while (sent < PER_SECOND * SECONDS) {
      const nowMs = performance.now();
      if (sum() > answered) answeredMs = nowMs;
      answered = sum();
      if (nowMs - answeredMs > GIVEN_UP_MS) lost = sent - answered;
      const due = Math.min(
        PER_SECOND * SECONDS,
        ((nowMs - startedMs) * PER_SECOND) / 1000,
        answered + lost + UNANSWERED_MAX,
      );
      for (; sent < due; sent++) {
        numbered(wire, sent);
        socket.send(Buffer.from(wire));
      }
      await sleep(2);
    }
  })();
  const loaded: number[] = [];
  while (sent < PER_SECOND * SECONDS) loaded.push(...(await look()));
  await flooding;
  for (const until = Date.now() + 3_000 + BUSY_MS; sum() < sent && Date.now() < until;)
    await sleep(20);
  const hot = upstream.got.filter(({ name }) => name.startsWith("hot")).length;
  const asked = HOT * 4 + loaded.length;
  t.comment(
    `${sum()} of ${sent} answered, NXDOMAIN ${replies[3]}, SERVFAIL ${replies[2]}, in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
  );
  t.comment(
    `hot: ${asked} asked, ${hot} went upstream, RSS ${rssBefore.toFixed()} → ${rss().toFixed()} MB`,
  );
  for (const [what, took] of [
    ["idle", idle],
    ["loaded", loaded],
  ] as const)
    t.comment(
      `${what}: p50 ${percentile(took, 0.5).toFixed(2)} ms, p99 ${percentile(took, 0.99).toFixed(2)} ms`,
    );
  // The upstream is this process: where it is late, SERVFAIL is the answer.
  t.equal(replies[2]! + replies[3]!, sum(), "NXDOMAIN or SERVFAIL, nothing else");
  t.ok(sum() > sent * 0.97, "the flood is answered");
  t.ok(hot <= HOT + asked * 0.01, "at least 99 of 100 questions for hot names are hits");
  t.ok(percentile(loaded, 0.99) < 1_000, "hot names do not wait for the flood");
  t.ok(rss() - rssBefore < 120, "memory does not follow the number of names");
  t.ok(program.output().split("\n").length < 50, "the log is not flooded (S24)");
  const text = (await program.http("GET", "/metrics")).text;
  const denials = Number(/^waypost_cache_bytes\{type="denial"\} (\d+)/m.exec(text)?.[1]);
  t.ok(denials > 0 && denials <= 2_000_000 / 4, `${denials} octets of denials: a quarter at most`);
});
