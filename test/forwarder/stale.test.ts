/** Answers that outlived their TTL (RFC 8767), alone and together with what else the forwarder does. */
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { play } from "./scenario.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  saying,
  silent,
  soa,
  type World,
} from "./world.ts";

const scenarios: [string, string][] = [
  [
    "ask 11: silent servers, the last answer after the client timer, then at once",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 is silent
     ask www.test
     expect stale A 198.51.100.1 within 400 ms
     ask www.test
     expect stale A 198.51.100.1 within 2 ms
     4000 ms pass
     ask www.test
     expect stale A 198.51.100.1 within 2 ms
     stale timeout: 3`,
  ],
  [
    "ask 11: errors, the last answer as soon as all servers have said so",
    `servers 2
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 says SERVFAIL
     upstream 2 says REFUSED
     sent 1
     ask www.test
     expect stale A 198.51.100.1 within 10 ms
     ask www.test
     expect stale A 198.51.100.1 within 0 ms
     sent 1 2
     stale servfail: 2`,
  ],
  [
    "ask 11: fresh goes before stale as soon as there is a fresh one",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 answers 198.51.100.2 after 390 ms
     ask www.test
     expect A 198.51.100.2 after 390 ms
     stale timeout: 0`,
  ],
  [
    "ask 11: a fresh answer that comes after the stale one was given is kept",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 answers 198.51.100.2 after 900 ms
     ask www.test
     expect stale A 198.51.100.1 within 400 ms
     1000 ms pass
     ask www.test
     expect A 198.51.100.2 within 0 ms`,
  ],
  [
    "ask 7: a server that is back is heard of at the next question, whatever the recheck timer says",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 is silent
     ask www.test
     expect stale A 198.51.100.1
     10000 ms pass
     upstream 1 answers 198.51.100.2
     ask other.test
     expect A 198.51.100.2
     ask www.test
     expect A 198.51.100.2 within 5 ms`,
  ],
  [
    "nothing known: as without stale answers",
    `servers 1
     upstream 1 says SERVFAIL
     ask www.test
     expect failed`,
  ],
  [
    "ask 15: after a day it is too old",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     86409000 ms pass
     upstream 1 says SERVFAIL
     ask www.test
     expect stale A 198.51.100.1
     2000 ms pass
     ask www.test
     expect failed`,
  ],
  [
    "ask 13: a denial is stale only when the question has failed, and not while it is asked",
    `servers 1
     upstream 1 denies the name for 10 s
     ask www.test
     expect NXDOMAIN
     11000 ms pass
     upstream 1 answers 198.51.100.1 after 900 ms
     ask www.test
     expect A 198.51.100.1 after 900 ms
     stale timeout: 0`,
  ],
  [
    "ask 13: and says so",
    `servers 1
     upstream 1 denies the name for 10 s
     ask www.test
     expect NXDOMAIN
     11000 ms pass
     upstream 1 says SERVFAIL
     ask www.test
     expect stale NXDOMAIN
     ask www.test AAAA
     expect stale NXDOMAIN
     5000 ms pass
     upstream 1 answers 198.51.100.1
     ask www.test
     expect A 198.51.100.1`,
  ],
  [
    "ask 14: a failure that is remembered does not hide what is known",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     upstream 1 says SERVFAIL
     11000 ms pass
     ask www.test
     expect stale A 198.51.100.1
     ask www.test
     expect stale A 198.51.100.1
     2000 ms pass
     ask www.test
     expect stale A 198.51.100.1
     ask www.test
     expect stale A 198.51.100.1
     6000 ms pass
     ask www.test
     expect stale A 198.51.100.1`,
  ],
  [
    "ask 12: a sudden denial goes before what was known, unless the zone wants it otherwise",
    `servers 1
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 denies the name for 60 s
     ask www.test
     expect NXDOMAIN
     stale nxdomain: 0`,
  ],
  [
    "ask 12: last known good",
    `servers 1 last known good
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 denies the name for 60 s
     sent 1
     ask www.test
     expect stale A 198.51.100.1
     ask www.test
     expect stale A 198.51.100.1 within 0 ms
     sent 1
     upstream 1 denies the record for 60 s
     6000 ms pass
     ask www.test
     expect stale A 198.51.100.1
     stale nxdomain: 2
     stale nodata: 1
     upstream 1 answers 198.51.100.2
     6000 ms pass
     ask www.test
     expect A 198.51.100.2
     ask gone.test
     expect A 198.51.100.2
     upstream 1 denies the name for 60 s
     86500000 ms pass
     ask www.test
     expect NXDOMAIN`,
  ],
  [
    "ask 12: a denial of one type does not hide what was known of another",
    `servers 1 last known good
     upstream 1 answers 198.51.100.1 for 10 s
     ask www.test
     expect A 198.51.100.1
     11000 ms pass
     upstream 1 denies the name for 60 s
     ask www.test TXT
     expect NXDOMAIN
     ask www.test
     expect stale A 198.51.100.1
     ask www.test TXT
     expect NXDOMAIN
     sent 1 1 1`,
  ],
  [
    "stale and TCP: what was truncated over UDP",
    `servers 1
     upstream 1 truncates
     ask www.test
     expect A 198.51.100.1
     61000 ms pass
     upstream 1 truncates and has no TCP
     ask www.test over TCP
     expect stale A 198.51.100.1`,
  ],
];
for (const [name, text] of scenarios) t.test(name, async (t) => play(t, text));

/** One name that was known, and silent servers. */
function outage(change: Parameters<typeof createWorld>[1] = {}): World {
  const world = createWorld(1, change);
  world.server(1, answering("198.51.100.1", 10));
  world.ask("www.test");
  world.settle(100);
  world.pass(11_000);
  world.server(1, silent);
  return world;
}

t.test("a stale answer has the TTL for it and is not for workers", async (t) => {
  const world = outage();
  const { answer } = finished(world, world.ask("www.test"));
  t.match(answer, { ok: true, cacheableSeconds: 0, ad: false });
  t.same(answer?.ok && answer.answers.map(({ ttl }) => ttl), [30]);
  t.match(answer?.ok && answer.ede, [{ code: 3 }]);
});

function finished(world: World, asked: ReturnType<World["ask"]>): typeof asked {
  world.settle(20_000);
  return asked;
}

t.test("stale and coalescing: one packet, everybody is answered in its own spelling", async (t) => {
  const world = outage();
  const packets = world.asked.length;
  const replies = ["www.test", "WWW.test", "www.TEST"].map((name, i) =>
    world.ask(name, "A", { transport: i === 1 ? "tcp" : "udp" }),
  );
  world.pass(400);
  t.same(
    replies.map(inWords),
    replies.map(() => "stale A 198.51.100.1"),
  );
  t.ok(replies.every(({ afterMs }) => afterMs <= 400));
  t.ok(world.asked.length - packets <= 2, "those of one question");
  // Later ones do not wait for the exchange that goes on.
  t.equal(inWords(world.ask("www.test")), "stale A 198.51.100.1");
  t.equal(world.forwarder.stats().stale.timeout, 4);
  t.equal(world.forwarder.stats().inFlight, 1);
  world.settle();
  t.equal(world.openSockets(), 0);
});

t.test("stale and CD, DO: only what was asked for so", async (t) => {
  const world = outage();
  for (const over of [
    { cd: true },
    { do: true, edns: { payload: 1232, options: new Uint8Array(0) } },
  ])
    t.equal(inWords(finished(world, world.ask("www.test", "A", over))), "failed");
});

t.test("stale and 0x20: a server that does not keep the case is no outage", async (t) => {
  const world = outage({ mixedCase: true });
  world.server(1, (question) => [
    {
      wire: reply(
        { ...question, questions: [{ name: "www.test", type: "A", class: "IN" }] },
        { answers: [a("www.test", "198.51.100.9")] },
      ),
    },
  ]);
  const asked = finished(world, world.ask("wWw.tEsT"));
  t.equal(inWords(asked), "A 198.51.100.9");
  const { answer } = asked;
  t.same(answer?.ok && answer.answers.map(({ owner }) => formatName(owner)), ["wWw.tEsT."]);
  t.ok(world.forwarder.stats().servers[0]!.counts.caseMismatches > 0);
  t.match(world.forwarder.stats().stale, { timeout: 0, servfail: 0 });
});

t.test("S11: forged replies during an outage are not taken for a refresh", async (t) => {
  const world = outage();
  world.server(1, (question) => [
    {
      wire: reply(
        { ...question, id: question.id! ^ 1 },
        { answers: [a("www.test", "6.6.6.6", 9999)] },
      ),
    },
    {
      wire: reply(
        { ...question, questions: [{ name: "wwx.test", type: "A", class: "IN" }] },
        { answers: [a("www.test", "6.6.6.6", 9999)] },
      ),
    },
  ]);
  t.equal(inWords(finished(world, world.ask("www.test"))), "stale A 198.51.100.1");
  world.server(
    1,
    saying({ answers: [a("victim.test", "6.6.6.6"), a("www.test", "198.51.100.3")] }),
  );
  world.pass(10_000);
  t.equal(inWords(finished(world, world.ask("www.test"))), "A 198.51.100.3");
  world.server(1, silent);
  t.equal(inWords(finished(world, world.ask("victim.test"))), "failed");
});

t.test("ask 13: a denied name is hammered and comes to exist", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ rcode: 3, authorities: [soa("test", 5, 5)] }));
  let existsAtMs = Infinity;
  let seenAtMs = Infinity;
  for (let ms = 0; ms < 20_000; ms += 10) {
    if (ms === 8000) {
      world.server(1, answering("198.51.100.1", 60));
      existsAtMs = world.nowMs();
    }
    const asked = world.ask("www.test");
    world.pass(10);
    if (seenAtMs === Infinity && inWords(asked) === "A 198.51.100.1") seenAtMs = world.nowMs() - 10;
  }
  // The denial may be kept for its 5 s; asked at 0 and 5 s, it ends at 10 s.
  t.ok(seenAtMs - existsAtMs <= 2030, `seen ${seenAtMs - existsAtMs} ms after it existed`);
  t.match(world.forwarder.stats().stale, { timeout: 0, servfail: 0 });
});

t.test("off: as if there were no such thing", async (t) => {
  const world = outage({ stale: { ...groupDefaults.stale, enabled: false } });
  t.equal(inWords(finished(world, world.ask("www.test"))), "failed");
});

t.test("ask 15: a hot name during an outage: how often it is asked for", async (t) => {
  const world = outage();
  const before = world.asked.length;
  for (let ms = 0; ms < 60_000; ms += 100) {
    const asked = world.ask("www.test");
    world.pass(100);
    if (ms >= 400) t.equal(asked.afterMs, 0, `at ${ms} ms`);
  }
  // A question every 1 to 4 s, of two datagrams at most.
  const sent = world.asked.length - before;
  t.ok(sent <= 2 * 60, `${sent} packets in a minute`);
  world.server(1, answering("198.51.100.2", 60));
  world.pass(1000);
  for (let ms = 0; ms < 1100; ms += 100) {
    world.ask("www.test");
    world.pass(100);
  }
  t.equal(inWords(world.ask("www.test")), "A 198.51.100.2", "back within a second or so");
});
