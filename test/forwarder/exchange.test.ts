import t from "tap";
import { play } from "./scenario.ts";
import { createWorld, silent } from "./world.ts";

const scenarios: Record<string, string> = {
  "the first server answers": `
    servers 2
    ask www.example.test
    expect A 198.51.100.1 after 1 ms
    sent 1`,
  "SERVFAIL moves on at once": `
    servers 2
    upstream 1 says SERVFAIL
    ask www.example.test
    expect A 198.51.100.1 after 2 ms
    sent 1 2`,
  "so do REFUSED, NOTIMP and FORMERR": `
    servers 4 cache off
    upstream 1 says REFUSED
    upstream 2 says NOTIMP
    upstream 3 says FORMERR
    ask www.example.test
    expect A 198.51.100.1
    sent 1 2 3 4`,
  "NXDOMAIN is an answer": `
    servers 2
    upstream 1 says NXDOMAIN
    ask www.example.test
    expect NXDOMAIN
    sent 1`,
  "every server fails": `
    servers 3
    upstream 1 says SERVFAIL
    upstream 2 says REFUSED
    upstream 3 says SERVFAIL
    ask www.example.test
    expect failed after 3 ms
    sent 1 2 3`,
  "the first reply counts for host names of the catalog": `
    servers 2
    upstream 1 says SERVFAIL
    ask www.example.test A first reply
    expect SERVFAIL
    sent 1`,
  "and silence moves on there too": `
    servers 2 timeout 400
    upstream 1 is silent
    ask www.example.test A first reply
    expect A 198.51.100.1
    sent 1 2`,
  "a closed port moves on at once": `
    servers 2
    upstream 1 refuses connections
    ask www.example.test
    expect A 198.51.100.1 after 1 ms
    sent 1 2`,
  "silence moves on after the timeout, and is remembered": `
    servers 2 timeout 400
    upstream 1 is silent
    ask a.example.test
    expect A 198.51.100.1 within 410 ms
    sent 1 2
    ask b.example.test          # the dead server gets a copy, nobody waits for it
    expect A 198.51.100.1 within 2 ms
    sent 1 2`,
  "a dead server gets eight questions at once, then four per second": `
    servers 2 timeout 400
    upstream 1 is silent
    ask a.example.test
    expect A 198.51.100.1
    sent 1 2
    10 ms pass
    ask b1.example.test
    ask b2.example.test
    ask b3.example.test
    ask b4.example.test
    ask b5.example.test
    ask b6.example.test
    ask b7.example.test
    ask b8.example.test
    sent 1 2 1 2 1 2 1 2 1 2 1 2 1 2 1 2
    ask b9.example.test
    sent 2
    250 ms pass
    ask c1.example.test
    ask c2.example.test
    sent 1 2 2`,
  "a server that is back is used again": `
    servers 2 timeout 400
    upstream 1 is silent
    ask a.example.test
    expect A 198.51.100.1
    sent 1 2
    60000 ms pass
    upstream 1 answers 203.0.113.1
    upstream 2 answers 203.0.113.2
    ask b.example.test          # the first reply wins
    expect A 203.0.113.1 within 2 ms
    sent 1 2
    ask c.example.test
    expect A 203.0.113.1
    sent 1`,
  "its answer is noticed although the other is faster": `
    servers 2 timeout 400
    upstream 1 is silent
    ask a.example.test
    expect A 198.51.100.1
    sent 1 2
    upstream 1 answers 203.0.113.1 after 300 ms
    ask b.example.test
    expect A 198.51.100.1 within 2 ms
    sent 1 2
    1000 ms pass
    ask c.example.test
    expect A 203.0.113.1 after 300 ms
    sent 1`,
  "all dead: found out within 3 s, then told within 100 ms": `
    servers 3
    upstream 1 is silent
    upstream 2 is silent
    upstream 3 is silent
    ask a.example.test
    expect failed within 3010 ms
    sent 1 2 3 1 2 3   # datagrams may have been lost
    ask b.example.test
    expect failed within 100 ms
    sent 1 2 3
    upstream 2 answers
    300 ms pass
    ask c.example.test
    expect A 198.51.100.1 within 2 ms
    sent 1 2 3`,
  "all dead and no question to spare: told at once": `
    servers 1
    upstream 1 is silent
    ask a.example.test
    expect failed within 2010 ms
    ask b1.example.test
    ask b2.example.test
    ask b3.example.test
    ask b4.example.test
    ask b5.example.test
    ask b6.example.test
    ask b7.example.test
    ask b8.example.test
    ask b9.example.test
    expect failed after 0 ms`,
  "one slow name does not make a server dead that answers others": `
    servers 2 timeout 1000
    upstream 1 is silent
    ask slow.example.test
    100 ms pass
    upstream 1 answers
    ask quick.example.test
    expect A 198.51.100.1
    sent 1 1 2
    ask other.example.test
    expect A 198.51.100.1
    sent 1`,
  "a server that is slow for a name may still answer after the next was asked": `
    servers 2 timeout 1000
    upstream 1 answers 203.0.113.1 after 1100 ms
    upstream 2 is silent
    ask slow.example.test
    expect A 203.0.113.1 after 1100 ms
    sent 1 2 1 2`,
  "an error of the last ends the question once the slow one had its time": `
    servers 2 timeout 1000
    upstream 1 answers 203.0.113.1 after 1300 ms
    upstream 2 says SERVFAIL
    ask slow.example.test
    expect failed within 1010 ms   # the first had its time
    sent 1 2 1`,
  "the only server gets a second datagram": `
    servers 1
    upstream 1 loses 1 datagram, then answers
    ask www.example.test
    expect A 198.51.100.1 within 210 ms
    sent 1 1`,
  "after 50 ms if it is known to be near": `
    servers 1
    ask a.example.test
    expect A 198.51.100.1 after 1 ms
    upstream 1 loses 1 datagram, then answers
    ask b.example.test
    expect A 198.51.100.1 within 60 ms
    sent 1 1 1`,
  "after two round trips if it is far": `
    servers 1
    upstream 1 answers 203.0.113.1 after 90 ms
    ask a.example.test
    expect A 203.0.113.1 after 90 ms
    upstream 1 loses 1 datagram, then answers
    ask b.example.test
    expect A 198.51.100.1 within 190 ms
    sent 1 1 1`,
  "not if its time is shorter than that": `
    servers 1 timeout 150
    upstream 1 loses 1 datagram, then answers
    ask www.example.test
    expect failed within 160 ms
    sent 1`,
  "truncated over UDP: asked over TCP": `
    servers 2
    upstream 1 truncates
    ask www.example.test
    expect A 198.51.100.1 after 2 ms
    sent 1 1tcp`,
  "also if cut inside a record": `
    servers 2
    upstream 1 truncates in the middle of a record
    ask www.example.test
    expect A 198.51.100.1
    sent 1 1tcp`,
  "no TCP there: the next server": `
    servers 2
    upstream 1 truncates and has no TCP
    ask www.example.test
    expect A 198.51.100.1
    sent 1 1tcp 2`,
  "no TCP anywhere: the client hears that it was truncated": `
    servers 1
    upstream 1 truncates and has no TCP
    ask www.example.test
    expect TC
    sent 1 1tcp
    ask www.example.test       # and nothing of it is kept
    expect TC
    sent 1 1tcp`,
  "with the cache off a truncated reply is passed on": `
    servers 2 cache off
    upstream 1 truncates
    ask www.example.test
    expect TC
    sent 1
    ask www.example.test A over TCP
    expect A 198.51.100.1
    sent 1tcp`,
  "a wrong id is ignored": `
    servers 2
    upstream 1 sends 4 wrong ids, then answers
    ask www.example.test
    expect A 198.51.100.1 after 150 ms
    sent 1`,
  "a failing server does not make a dead one worth waiting for": `
    servers 3 timeout 400
    upstream 1 is silent
    upstream 2 says SERVFAIL
    ask a.example.test
    expect A 198.51.100.1
    sent 1 2 3
    ask b.example.test
    expect A 198.51.100.1 after 2 ms
    sent 1 2 3`,
  "five wrong ids move the question to TCP": `
    servers 2
    upstream 1 sends 1000 wrong ids, then answers
    ask www.example.test
    expect A 198.51.100.1 after 2 ms
    sent 1 1tcp`,
  "a server without EDNS is asked without, and that is remembered": `
    servers 2
    upstream 1 knows no EDNS
    ask a.example.test
    expect A 198.51.100.1
    sent 1 1
    ask b.example.test
    expect A 198.51.100.1
    sent 1`,
  "FORMERR without the question counts as well": `
    servers 1
    upstream 1 reports FORMERR without question
    ask a.example.test
    expect A 198.51.100.1
    sent 1 1`,
  "so does BADVERS": `
    servers 1
    upstream 1 reports BADVERS
    ask a.example.test
    expect A 198.51.100.1
    sent 1 1`,
  "the client's own EDNS is never left out": `
    servers 2 cache off
    upstream 1 knows no EDNS
    ask a.example.test A with EDNS
    expect A 198.51.100.1
    sent 1 2`,
  "where the case is no secret, a server may have one of its own (RFC 4343 section 4.1)": `
    servers 1
    upstream 1 changes the case
    ask WWW.Example.test
    expect A 198.51.100.1
    sent 1
    ask FTP.Example.test A over TCP
    expect A 198.51.100.1
    sent 1
    upstream 1 has caseMismatches 0`,
  "TCP questions go over TCP when nothing is kept": `
    servers 2 cache off
    upstream 1 refuses connections
    ask www.example.test A over TCP
    expect A 198.51.100.1
    sent 1tcp 2tcp`,
  "the recorded failover of Consul, with its memory": `
    servers 3 timeout 400 cache off
    upstream 1 is silent
    ask d.fo.test
    expect A 198.51.100.1 within 410 ms
    sent 1 2
    upstream 2 says FORMERR
    ask e.fo.test
    expect A 198.51.100.1
    sent 1 2 3
    upstream 3 says NOTIMP
    ask f.fo.test
    expect failed within 100 ms
    sent 1 2 3
    ask f2.fo.test
    expect failed within 100 ms
    ask f3.fo.test A over TCP
    expect failed within 100 ms
    ask f4.fo.test
    expect failed within 100 ms
    sent 1 2 3 1tcp 2tcp 3tcp 1 2 3
    upstream 1 truncates
    ask g.fo.test
    expect TC
    sent 1
    ask g.fo.test A over TCP
    expect A 198.51.100.1
    sent 1tcp
    upstream 1 answers
    ask h.fo.test
    expect A 198.51.100.1
    sent 1`,
};

for (const [title, text] of Object.entries(scenarios)) t.test(title, async (t) => play(t, text));

t.test("every attempt has an id of its own, and the question is sent as asked", async (t) => {
  const world = createWorld(3, { timeoutMs: 300 });
  for (const number of [1, 2, 3]) world.server(number, silent);
  world.ask("wWw.Example.TEST");
  world.settle();
  const ids = new Set(world.asked.map(({ question }) => question.id));
  t.equal(ids.size, world.asked.length);
  t.same(
    world.asked.map(({ server, question }) => `${server} ${question.name}`),
    [1, 2, 3, 3].map((server) => `${server} wWw.Example.TEST`),
  );
});

t.test("questions that wait for a server that is found dead go on at once", async (t) => {
  const world = createWorld(2, { timeoutMs: 1000 });
  world.server(1, silent);
  const first = world.ask("first.example.test");
  world.pass(150);
  const second = world.ask("second.example.test");
  world.settle();
  t.ok(first.afterMs >= 200 && first.afterMs < 220, "the one that found out");
  t.ok(second.afterMs < 70, `the other waited ${second.afterMs} ms`);
});

t.test("random order spreads the questions evenly", async (t) => {
  const world = createWorld(3, { strategy: "random", cacheEnabled: false });
  const total = 3000;
  for (let i = 0; i < total; i++) {
    world.ask(`n${i}.example.test`);
    world.settle();
  }
  for (const number of [1, 2, 3]) {
    const share = world.asked.filter(({ server }) => server === number).length / total;
    t.ok(Math.abs(share - 1 / 3) < 0.05, `server ${number} got ${(share * 100).toFixed(1)} %`);
  }
});

t.test("one timer serves thousands of questions", async (t) => {
  const world = createWorld(1);
  for (let i = 0; i < 2000; i++) {
    world.ask(`n${i}.example.test`);
    world.pass(1);
  }
  t.ok(world.timersSet() < 2000 / 20, `${world.timersSet()} timers`);
});
