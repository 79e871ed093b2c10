// S19, ask 1: lost datagrams. Each server may be asked twice, so a question fails as often as all of these are lost.
import t from "tap";
import type { GroupSettings } from "../../src/forwarder/settings.ts";
import { play } from "./scenario.ts";
import {
  answering,
  createWorld,
  inWords,
  seededRandom,
  silent,
  type Behaviour,
  type Reply,
  type World,
} from "./world.ts";

const scenarios: Record<string, string> = {
  "ask 1: of two servers each is asked once more": `
    servers 2
    upstream 1 loses 2 datagrams, then answers
    upstream 2 loses 1 datagram, then answers
    ask www.test
    expect A 198.51.100.1 within 810 ms   # 0, 200, 400, 800 ms
    sent 1 2 1 2
    upstream 1 has udp 2
    upstream 2 has udp 2`,
  "ask 1: one that is known to be near is waited for less long": `
    servers 2
    ask known.test
    expect A 198.51.100.1
    sent 1
    upstream 1 loses 2 datagrams, then answers
    upstream 2 loses 1 datagram, then answers
    ask www.test
    expect A 198.51.100.1 within 430 ms   # 0, 20, 220, 420 ms
    sent 1 2 1 2`,
  "S19: who answers with an error, or refuses, is not asked once more": `
    servers 3
    upstream 1 says SERVFAIL
    upstream 2 loses 1 datagram, then answers
    upstream 3 refuses connections
    ask www.test
    expect A 198.51.100.1 within 510 ms
    sent 1 2 3 2`,
  "ask 27: after a truncated answer a server whose datagram was lost is asked over TCP": `
    servers 2
    upstream 1 truncates and has no TCP
    upstream 2 loses 1 datagram, then answers
    ask www.test
    expect A 198.51.100.1 within 210 ms
    sent 1 1tcp 2 2tcp`,
  "ask 27: who asks over TCP cannot take a truncated answer: the second packet goes over TCP": `
    servers 1
    upstream 1 loses 1 datagram, then truncates
    ask www.test over TCP
    expect A 198.51.100.1 within 810 ms
    sent 1 1tcp`,
  "ask 27: who asks over UDP is told of truncation, and asks over TCP": `
    servers 1
    upstream 1 loses 1 datagram, then truncates
    ask www.test
    expect TC within 810 ms
    sent 1 1`,
  "ask 2: who was silent before, while others have errors to tell, is not asked once more": `
    servers 2
    ask known.test
    expect A 198.51.100.1
    upstream 1 is silent
    ask first.test
    expect A 198.51.100.1 within 30 ms
    sent 1 1 2
    upstream 2 says SERVFAIL
    ask second.test
    1900 ms pass
    sent 1 2`,
  "ask 5: who is dead is not asked once more": `
    servers 2
    upstream 1 is silent
    upstream 2 is silent
    ask www.test
    expect failed within 2210 ms
    sent 1 2 1 2
    upstream 1 has timeouts 2
    ask more.test
    expect failed within 100 ms
    sent 1 2`,
};

for (const [title, text] of Object.entries(scenarios)) t.test(title, async (t) => play(t, text));

const RTT_MS = 10;

/** Loses this share of questions, and of replies. */
function losing(share: number, seed: number): Behaviour {
  const random = seededRandom(seed);
  const draw = (): number => random.uint32() / 2 ** 32;
  // The first numbers of neighbouring seeds are alike.
  for (let i = 0; i < 20; i++) draw();
  return (question, wire) =>
    draw() < share || draw() < share
      ? []
      : answering()(question, wire).map((said) => ({ ...said, afterMs: RTT_MS + 4 * draw() }));
}

/** Asks a name of its own every `everyMs`, and waits until all are answered. */
function askMany(world: World, count: number, everyMs: number): Reply[] {
  const replies: Reply[] = [];
  for (let i = 0; i < count; i++) {
    replies.push(world.ask(`${i}.test`));
    world.pass(everyMs);
  }
  world.settle();
  return replies;
}

const QUESTIONS = 1500;

function tryLosses(
  servers: number,
  share: number,
  strategy: GroupSettings["strategy"],
): { failed: number; p50Ms: number; p90Ms: number; world: World } {
  const world = createWorld(servers, { strategy, cacheEnabled: false, probeName: "." });
  for (let number = 1; number <= servers; number++)
    world.server(number, losing(share, 100 * servers + number));
  const replies = askMany(world, QUESTIONS, 20);
  const times = replies
    .filter((each) => inWords(each) !== "failed")
    .map(({ afterMs }) => afterMs)
    .sort((a, b) => a - b);
  const at = (part: number): number => times[Math.floor(times.length * part)]!;
  return { failed: QUESTIONS - times.length, p50Ms: at(0.5), p90Ms: at(0.9), world };
}

for (const share of [0.05, 0.3])
  for (const servers of [1, 2, 3])
    for (const strategy of ["sequential", "random", "fastest", "parallel"] as const) {
      if (servers === 1 && strategy !== "sequential") continue;
      t.test(`${share * 100} % lost each way, ${servers} ${strategy}`, async (t) => {
        const { failed, p50Ms, p90Ms, world } = tryLosses(servers, share, strategy);
        // Both packets to each of the servers, each there and back.
        const chance = (1 - (1 - share) ** 2) ** (2 * servers);
        const expected = QUESTIONS * chance;
        const most = expected + 4 * Math.sqrt(expected) + 2;
        t.ok(
          failed <= most,
          `${failed} failed, ${expected.toFixed(1)} of these are to be expected`,
        );
        t.ok(p50Ms < 2 * RTT_MS, `median ${p50Ms.toFixed(0)} ms`);
        t.ok(p90Ms < 20 * RTT_MS, `p90 ${p90Ms.toFixed(0)} ms`);
        const sent = new Map<string, number>();
        for (const { server, question } of world.asked)
          if (question.name !== ".") {
            const to = `${question.name} ${server}`;
            sent.set(to, (sent.get(to) ?? 0) + 1);
          }
        t.ok(Math.max(...sent.values()) <= 2, "S19: two packets to each server at most");
        for (const { label, roundTrips } of world.forwarder.stats().servers)
          t.ok(
            roundTrips.p95Ms < 20 * RTT_MS,
            `what is lost is no round trip: ${label} ${roundTrips.p95Ms.toFixed(0)} ms`,
          );
      });
    }

t.test("S19: an outage is no reason for a storm", async (t) => {
  const world = createWorld(2, { cacheEnabled: false });
  world.server(1, losing(0, 1));
  world.server(2, losing(0, 2));
  askMany(world, 1000, 1);
  const before = world.asked.length;
  world.server(1, silent);
  world.server(2, silent);
  const replies = askMany(world, 4000, 1);
  t.ok(
    replies.every((each) => inWords(each) === "failed" && each.afterMs <= 3010),
    "each question has its answer in time",
  );
  const seen = new Set<string>();
  let repeats = 0;
  for (const { server, question } of world.asked.slice(before)) {
    const to = `${question.name} ${server}`;
    if (seen.has(to)) repeats++;
    seen.add(to);
  }
  t.ok(repeats > 400, `${repeats} packets were repeated`);
  t.ok(repeats <= 2 * (256 + 8 * 4), "those that a server has to its credit, and no more");
  for (const { standing, counts } of world.forwarder.stats().servers) {
    t.equal(standing, "dead");
    t.ok(counts.timeouts > 0);
  }
});

t.test("ask 45: what is repeated counts against the rate", async (t) => {
  const world = createWorld(2, { cacheEnabled: false, packetsPerSecond: 20 });
  world.server(1, losing(0.3, 1));
  world.server(2, losing(0.3, 2));
  askMany(world, 300, 10);
  const lastMs = world.nowMs();
  for (let fromMs = 1000; fromMs < lastMs; fromMs += 500)
    for (const server of [1, 2]) {
      const sent = world.asked.filter(
        (each) => each.server === server && each.atMs >= fromMs && each.atMs < fromMs + 1000,
      );
      if (sent.length > 2 * 20) t.fail(`${sent.length} packets to ${server} from ${fromMs} ms on`);
    }
  const { servers } = world.forwarder.stats();
  t.ok(servers.some(({ counts }) => counts.throttled > 0));
});
