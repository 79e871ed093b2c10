// Which server is asked when, by the number of the ask (forwarder-asks.md) or threat (forwarder-security.md).
import t from "tap";
import { play } from "./scenario.ts";
import { answering, createWorld, inWords, silent, type World } from "./world.ts";

const scenarios: [title: string, text: string][] = [
  [
    "ask 1: every server is tried within one question",
    `servers 5
     upstream 1 refuses connections
     upstream 2 says SERVFAIL
     upstream 3 says REFUSED
     upstream 4 is silent
     ask www.test
     expect A 198.51.100.1 within 210 ms
     sent 1 2 3 4 5
     upstream 1 has errors 1
     upstream 2 has errorRcodes 1
     upstream 4 has replies 0`,
  ],
  [
    "ask 2: RCODEs that lead on can be chosen; others are the answer",
    `servers 2 next on REFUSED
     upstream 1 says REFUSED
     ask a.test
     expect A 198.51.100.1
     sent 1 2
     upstream 1 says SERVFAIL
     ask b.test
     expect SERVFAIL
     sent 1`,
  ],
  [
    "ask 3: a dead server costs one question its time, then nobody",
    `servers 2
     ask known.test
     expect A 198.51.100.1
     sent 1
     upstream 1 is silent
     ask a.test
     expect A 198.51.100.1 within 30 ms     # nearly all replies took less than 20 ms
     sent 1 2
     ask b.test
     expect A 198.51.100.1 after 1 ms
     ask c.test
     expect A 198.51.100.1 after 1 ms
     sent 1 2 1 2
     3000 ms pass
     told down 1
     ask d.test
     expect A 198.51.100.1 after 1 ms`,
  ],
  [
    "ask 3: one that was never heard costs 200 ms",
    `servers 2
     upstream 1 is silent
     ask a.test
     expect A 198.51.100.1 within 210 ms
     ask b.test
     expect A 198.51.100.1 after 1 ms`,
  ],
  [
    "ask 4: one line for each change, one when nobody is left",
    `servers 2
     upstream 1 is silent
     upstream 2 refuses connections
     ask a.test
     expect failed within 2210 ms
     told down 2, down 1, all down
     ask b.test
     expect failed within 100 ms
     ask c.test
     expect failed within 100 ms
     told
     upstream 2 answers
     ask d.test
     expect A 198.51.100.1
     told up 2`,
  ],
  [
    "ask 5: all down: at once, once it is known",
    `servers 3
     upstream 1 is silent
     upstream 2 is silent
     upstream 3 is silent
     ask a.test
     expect failed within 3000 ms
     ask b.test
     expect failed within 100 ms
     ask c.test
     expect failed within 100 ms`,
  ],
  [
    "ask 5: a client that asks once a second hears of the return with its next question",
    `servers 2
     upstream 1 is silent
     upstream 2 is silent
     ask www.test
     expect failed within 3000 ms
     1000 ms pass
     ask www.test
     expect failed within 100 ms
     1000 ms pass
     ask www.test
     expect failed within 100 ms
     1000 ms pass
     upstream 2 answers
     ask www.test
     expect A 198.51.100.1 within 5 ms`,
  ],
  [
    "ask 6: errors are no health; who gives little else comes last, and gets copies only",
    `servers 2 cache off
     upstream 1 says SERVFAIL
     6 questions every 100 ms
     told demoted 1
     sent 1 2 1 2 1 2 1 2 1 2 1 2
     ask a.test
     expect A 198.51.100.1 after 1 ms
     sent 1 2
     upstream 1 answers 203.0.113.1
     4 questions every 100 ms
     told restored 1
     ask b.test
     expect A 203.0.113.1`,
  ],
  [
    "ask 6: one that is well is asked nothing by us",
    `servers 2 probed
     ask www.test
     expect A 198.51.100.1
     600000 ms pass
     sent 1`,
  ],
  [
    "ask 8: silence ends after 3 s for one server and for many",
    `servers 9
     upstream 1 is silent
     upstream 2 is silent
     upstream 3 is silent
     upstream 4 is silent
     upstream 5 is silent
     upstream 6 is silent
     upstream 7 is silent
     upstream 8 is silent
     upstream 9 is silent
     ask www.test
     expect failed within 3010 ms
     sent 1 2 3 4 5 6 7 8 9 7 8 9   # those that were still listened to once more`,
  ],
  [
    "ask 8: a timeout that is longer than this wins",
    `servers 1 timeout 5000
     upstream 1 answers 203.0.113.1 after 4500 ms
     ask www.test
     expect A 203.0.113.1 after 4500 ms`,
  ],
  [
    "ask 10: a denial of one does not hide what another one knows",
    `servers 2 next on NXDOMAIN
     upstream 1 says NXDOMAIN
     ask www.test
     expect A 198.51.100.1 after 2 ms
     sent 1 2`,
  ],
  [
    "ask 10: what all deny does not exist",
    `servers 2 next on NXDOMAIN
     upstream 1 says NXDOMAIN
     upstream 2 says NXDOMAIN
     ask www.test
     expect NXDOMAIN after 2 ms
     sent 1 2`,
  ],
  [
    "ask 10: but who is not there has not denied it",
    `servers 2 next on NXDOMAIN timeout 400
     upstream 1 says NXDOMAIN
     upstream 2 is silent
     ask www.test
     expect failed within 410 ms`,
  ],
  [
    "ask 10: without being told so NXDOMAIN is the answer",
    `servers 2
     upstream 1 says NXDOMAIN
     ask www.test
     expect NXDOMAIN
     sent 1`,
  ],
  [
    "hedging: the first may still win",
    `servers 2
     ask known.test
     expect A 198.51.100.1
     upstream 1 answers 203.0.113.1 after 40 ms
     upstream 2 answers 203.0.113.2 after 90 ms
     ask www.test
     expect A 203.0.113.1 after 40 ms
     sent 1 1 2`,
  ],
  [
    "hedging: an error of the second is no end",
    `servers 2
     upstream 1 answers 203.0.113.1 after 300 ms
     upstream 2 says SERVFAIL
     ask www.test
     expect A 203.0.113.1 after 300 ms
     sent 1 2 1   # its datagram may have been lost`,
  ],
  [
    "hedging: a late reply tells that the server is there",
    `servers 2
     upstream 1 answers 203.0.113.1 after 250 ms
     ask a.test
     expect A 198.51.100.1 within 210 ms
     100 ms pass
     ask b.test
     expect A 203.0.113.1 after 250 ms
     sent 1 2 1`,
  ],
  [
    "parallel: the first usable reply wins over an error (dnsmasq took the error 6 of 10 times)",
    `servers 3 parallel
     upstream 1 says SERVFAIL
     upstream 2 answers 203.0.113.2 after 30 ms
     upstream 3 answers 203.0.113.3 after 20 ms
     ask www.test
     expect A 203.0.113.3 after 20 ms
     sent 1 2 3`,
  ],
  [
    "parallel: three at a time, the next for each that fails",
    `servers 5 parallel
     upstream 1 says SERVFAIL
     upstream 2 is silent
     upstream 3 is silent
     upstream 4 says REFUSED after 5 ms
     ask www.test
     expect A 198.51.100.1
     sent 1 2 3 4 5`,
  ],
  [
    "parallel: who is dead is left out",
    `servers 2 parallel
     upstream 1 is silent
     ask a.test
     expect A 198.51.100.1 after 1 ms
     sent 1 2
     3000 ms pass
     told down 1
     ask b.test
     expect A 198.51.100.1 after 1 ms`,
  ],
  [
    "ask 45: the rate of one is used up: the next is asked",
    `servers 2 rate 10 cache off
     10 questions every 0 ms
     sent 1 1 1 1 1 1 1 1 1 1
     told busy 1
     ask www.test
     expect A 198.51.100.1 after 1 ms
     sent 2
     upstream 1 has throttled 1`,
  ],
  [
    "ask 45: the rate of all is used up: a short wait, and SERVFAIL if that does not help",
    `servers 1 rate 20
     20 questions every 0 ms
     ask a.test
     expect A 198.51.100.1 within 70 ms
     60 ms pass
     ask b.test
     expect A 198.51.100.1 within 70 ms
     1000 ms pass
     20 questions every 0 ms`,
  ],
  [
    "ask 45: the wait has an end",
    `servers 1 rate 2 cache off
     2 questions every 0 ms
     ask a.test
     expect failed within 110 ms`,
  ],
  [
    "S2: letters go in random case, and the client sees its own",
    `servers 1 mixed case
     ask www.example.test
     expect A 198.51.100.1
     sent 1
     upstream 1 has caseMismatches 0`,
  ],
  [
    "S2: a server that changes the case is asked once more, and in lower case from then on",
    `servers 2 mixed case
     upstream 1 changes the case
     ask www.example.test
     expect A 198.51.100.1 after 2 ms
     sent 1 1
     told case 1
     upstream 1 has caseMismatches 1
     ask ftp.example.test
     expect A 198.51.100.1 after 1 ms
     sent 1
     told`,
  ],
  [
    "S4: near misses end in TCP, which a forger cannot reach",
    `servers 1 mixed case
     upstream 1 sends 1000 wrong ids, then answers
     ask www.test
     expect A 198.51.100.1
     sent 1 1tcp
     upstream 1 has nearMisses 5`,
  ],
  [
    "S19: EDNS refused, then truncated: the client hears of it, no third message is sent",
    `servers 1
     upstream 1 refuses EDNS and truncates
     ask www.test
     expect TC
     sent 1 1
     ask www.test
     expect A 198.51.100.1
     sent 1 1tcp`,
  ],
  [
    "S19: case changed, then truncated",
    `servers 1 mixed case
     upstream 1 changes the case and truncates
     ask www.test
     expect TC
     sent 1 1
     ask www.test
     expect A 198.51.100.1
     sent 1 1tcp`,
  ],
];

for (const [title, text] of scenarios) t.test(title, async (t) => play(t, text));

/** All servers fall silent, a client asks every second for this long, then they are back. */
function outage(serverCount: number, seconds: number, change = {}): World {
  const world = createWorld(serverCount, { probeName: ".", ...change });
  world.ask("known.test");
  world.pass(10);
  for (let number = 1; number <= serverCount; number++) world.server(number, silent);
  for (let i = 0; i < seconds; i++) {
    world.ask("www.test");
    world.pass(1000);
  }
  for (let number = 1; number <= serverCount; number++) world.server(number, answering());
  return world;
}

for (const seconds of [10, 70, 600])
  for (const name of ["www.test", "another.test"])
    t.test(`ask 7: back within a second after ${seconds} s, for ${name}`, async (t) => {
      const world = outage(2, seconds);
      const backAtMs = world.nowMs();
      world.pass(490);
      const asked = world.ask(name);
      world.settle(200);
      t.equal(inWords(asked), "A 198.51.100.1");
      t.ok(world.nowMs() - backAtMs < 1000);
    });

t.test("ask 7: without any question the return is noticed all the same", async (t) => {
  const world = outage(2, 10);
  world.pass(1000);
  t.same(
    world.forwarder.stats().servers.map(({ standing }) => standing),
    ["good", "good"],
  );
});

t.test("health never floods: packets of an outage of ten minutes", async (t) => {
  const world = outage(2, 600);
  // One client's question a second goes to both; what is ours fills the other half second.
  const perSecond = world.asked.length / 600 / 2;
  t.ok(perSecond <= 2.1, `${perSecond.toFixed(2)} packets a second for each server`);
  for (let i = 1; i <= 2; i++) world.server(i, silent);
  const idle = createWorld(1, { probeName: "." });
  idle.server(1, () => [{ error: "ECONNREFUSED" }]);
  idle.ask("www.test");
  idle.pass(3_600_000);
  t.ok(idle.asked.length <= 11 + 3600 / 5, `${idle.asked.length} packets in an idle hour`);
  idle.server(1, answering());
  idle.pass(6000);
  t.same(idle.events, ["down 1", "all down", "up 1"]);
  const { length } = idle.asked;
  idle.pass(3_600_000);
  t.equal(idle.asked.length, length, "and nothing once it is well");
});

t.test("fastest: the nearest is asked, the others with one question in a hundred", async (t) => {
  const world = createWorld(3, { strategy: "fastest", cacheEnabled: false });
  const delays = [30, 5, 15];
  const answersAfter = (ms: number) => (question: Parameters<ReturnType<typeof answering>>[0]) =>
    answering()(question, Buffer.alloc(0)).map((said) => ({ ...said, afterMs: ms }));
  delays.forEach((ms, i) => world.server(i + 1, answersAfter(ms)));
  const round = (count: number): number[] => {
    const from = world.asked.length;
    for (let i = 0; i < count; i++) {
      world.ask(`n${i}.test`);
      world.pass(50);
    }
    const shares = [0, 0, 0];
    for (const { server } of world.asked.slice(from)) shares[server - 1]!++;
    return shares;
  };
  round(20);
  const [far, near, middle] = round(3000);
  t.ok(near! >= 3000, `the nearest ${near} of 3000`);
  t.ok(far! + middle! > 10 && far! + middle! < 60, `the others ${far} and ${middle}`);
  world.server(3, answersAfter(1));
  round(4000);
  const after = round(300);
  t.ok(after[2]! >= 295, `the one that came nearer gets ${after[2]} of 300`);
});

t.test("S6: no more than three messages of one question may be answered at a time", async (t) => {
  for (const strategy of ["sequential", "parallel", "fastest"] as const) {
    const world = createWorld(8, { strategy });
    for (let number = 1; number <= 8; number++) world.server(number, silent);
    for (let round = 0; round < 6; round++) {
      world.ask(`n${round}.test`);
      let most = 0;
      for (let ms = 0; ms < 3100; ms += 10) {
        world.pass(10);
        most = Math.max(most, world.openSockets());
      }
      t.ok(most <= 3, `${strategy}, question ${round + 1}: ${most} sockets`);
    }
    world.settle();
    t.equal(world.openSockets(), 0);
  }
});
