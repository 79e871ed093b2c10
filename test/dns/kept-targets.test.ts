import t from "tap";
import type { ForwardAnswer } from "../../src/dns/answer.ts";
import {
  createKeptTargets,
  MAX_KEPT_TARGETS,
  staleTargetDefaults,
} from "../../src/dns/kept-targets.ts";
import { parseName } from "../../src/dns/name.ts";
import { record } from "../../src/dns/rrset.ts";
import { TYPE, type Rr } from "../../src/dns/rr.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";
import type { DnsSettings } from "../../src/dns/settings.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, type World } from "./resolver-world.ts";

const DAY_MS = 24 * 3_600_000;
const Q = query("db.service.consul");

function a(ttl: number, last = 1): Rr {
  const owner = parseName("host.example");
  if (!owner.ok) throw new Error(owner.error);
  return record(owner.value, TYPE.A, ttl, Uint8Array.of(192, 0, 2, last));
}

type Says = ForwardAnswer | "later";

/** A service behind host.example with a TTL of 60 s, and an upstream that says what it is told to. */
function scene(first: Says, settings: Partial<DnsSettings> = {}) {
  let says = first;
  const world = createWorld({
    settings: {
      recursorsConfigured: true,
      serviceTtlSeconds: new Map([["db", 60]]),
      ...settings,
    },
    upstream: () => says,
  });
  world.apply(register(node("e1", { address: "host.example" }), service("db")));
  return { world, upstream: (next: Says) => void (says = next) };
}

const told = (world: World): string[] => lines(decode(world.compute(Q)).answers);
const chain = (ttl: number, last = 1): string[] => [
  "db.service.consul. 60 CNAME host.example",
  `host.example. ${ttl} A 192.0.2.${last}`,
];
const failed: ForwardAnswer = { ok: false, reason: "failed" };

t.test("no address is lent for longer than it lives", async (t) => {
  const { world, upstream } = scene(good({ answers: [a(5)], cacheableSeconds: 5 }));
  t.same(told(world), chain(5), "not the 60 s of the service");
  t.equal(world.fromTable(Q), null, "a worker would show 5 s to the end");
  upstream(good({ answers: [a(300)], cacheableSeconds: 300 }));
  t.same(told(world), chain(60));
  world.advance(239_000);
  t.same(lines(decode(world.fromTable(Q)).answers), chain(60), "kept until 60 s before the end");
  world.advance(2000);
  t.equal(world.fromTable(Q), null);
});

const failures: [what: string, answer: ForwardAnswer][] = [
  ["no reply", failed],
  ["too many questions", { ok: false, reason: "refused" }],
  ["SERVFAIL", good({ rcode: 2 })],
  ["REFUSED", good({ rcode: 5 })],
];
for (const [what, answer] of failures)
  t.test(`${what}: the last answer, marked and counted`, async (t) => {
    const { world, upstream } = scene(good({ answers: [a(5)], cacheableSeconds: 5 }));
    told(world);
    upstream(answer);
    world.advance(DAY_MS);
    t.same(told(world), chain(5));
    const marked = decode(world.compute(query("db.service.consul", "A", { edns: 1232 })));
    t.match(marked.additionals, [{ options: [{ code: 15, data: Buffer.from([0, 3]) }] }]);
    t.equal(world.resolver.counters.staleTargets, 2);
    t.equal(world.fromTable(Q), null, "each is counted, so none is published");
    world.advance(1);
    t.same(told(world), chain(60).slice(0, 1), "a day is the end of it");
  });

t.test("denials are believed, and forgotten is what they deny", async (t) => {
  for (const denial of [good({ rcode: 3 }), good({ answers: [] })]) {
    const { world, upstream } = scene(good({ answers: [a(5)], cacheableSeconds: 5 }));
    told(world);
    upstream(denial);
    t.same(told(world), chain(5).slice(0, 1));
    upstream(failed);
    t.same(told(world), chain(5).slice(0, 1));
    t.equal(world.resolver.counters.staleTargets, 0);
  }
});

t.test("silence: stale after 1.8 s, and the late answer is for the next", async (t) => {
  const { world, upstream } = scene(good({ answers: [a(300)], cacheableSeconds: 300 }));
  told(world);
  world.advance(301_000);
  upstream("later");
  const replies: Uint8Array[] = [];
  const client = { address: "127.0.0.1", port: 4000, transport: "udp" } as const;
  world.resolver.resolve({ query: Q, client }, (wire) => void replies.push(wire!));
  world.advance(1799);
  t.equal(replies.length, 0);
  world.advance(1);
  t.same(lines(decode(replies[0]!).answers), chain(staleTargetDefaults.ttlSeconds));
  world.release(good({ answers: [a(5, 2)], cacheableSeconds: 5 }));
  t.equal(replies.length, 1, "one reply");
  upstream(failed);
  t.same(told(world), chain(5, 2), "what came late is known");
});

t.test("as Consul forwards: nothing is kept, TTLs are the service's", async (t) => {
  const { world, upstream } = scene(good({ answers: [a(5)] }), { forwardCache: false });
  t.same(told(world), chain(60));
  upstream(failed);
  t.same(told(world), chain(60).slice(0, 1));
});

t.test("as long, and as, the forwarder gives what is stale", async (t) => {
  const staleTargets = { ttlSeconds: 7, waitMs: 400, maxSeconds: 3600 };
  const { world, upstream } = scene(good({ answers: [a(300)], cacheableSeconds: 0 }), {
    staleTargets,
  });
  told(world);
  upstream("later");
  const replies: Uint8Array[] = [];
  const client = { address: "127.0.0.1", port: 4000, transport: "udp" } as const;
  world.resolver.resolve({ query: Q, client }, (wire) => void replies.push(wire!));
  world.advance(399);
  t.equal(replies.length, 0);
  world.advance(1);
  t.same(lines(decode(replies[0]!).answers), chain(7));
  upstream(failed);
  world.advance(3_599_600);
  t.same(told(world), chain(7));
  t.equal(world.resolver.counters.staleTargets, 2);
  world.advance(1);
  t.same(told(world), chain(60).slice(0, 1), "an hour is the end of it");
});

t.test("forwarder.stale false: nothing outlives its TTL, which is lent all the same", async (t) => {
  const off = scene(good({ answers: [a(5)], cacheableSeconds: 5 }), { staleTargets: null });
  t.same(told(off.world), chain(5));
  off.upstream(failed);
  t.same(told(off.world), chain(60).slice(0, 1), "the host name alone");
  t.equal(off.world.resolver.counters.staleTargets, 0);

  const later = scene(good({ answers: [a(5)], cacheableSeconds: 5 }));
  told(later.world);
  later.world.reload({ staleTargets: null });
  later.upstream(failed);
  t.same(told(later.world), chain(60).slice(0, 1), "from the reload on");
  later.upstream(good({ answers: [a(5, 2)], cacheableSeconds: 5 }));
  told(later.world);
  later.world.reload({ staleTargets: staleTargetDefaults });
  later.upstream(failed);
  t.same(told(later.world), chain(60).slice(0, 1), "what was told meanwhile is not kept either");
});

t.test("a zone without stale answers: none of its addresses is kept", async (t) => {
  const first = (staleSeconds: number) =>
    good({ answers: [a(5)], cacheableSeconds: 5, staleSeconds });
  const { world, upstream } = scene(first(3600));
  told(world);
  upstream(failed);
  t.same(told(world), chain(5));
  upstream(first(0));
  told(world);
  upstream(failed);
  t.same(told(world), chain(60).slice(0, 1));
  t.equal(world.resolver.counters.staleTargets, 1);
});

t.test("bounded: the name that was answered longest ago goes", async (t) => {
  const kept = createKeptTargets();
  for (let i = 0; i < MAX_KEPT_TARGETS; i++) kept.keep(String(i), [a(1)], i, 86400);
  kept.keep("0", [a(1)], MAX_KEPT_TARGETS, 86400);
  kept.keep("new", [a(1)], MAX_KEPT_TARGETS, 86400);
  t.ok(kept.find("0", MAX_KEPT_TARGETS, staleTargetDefaults));
  t.equal(kept.find("1", MAX_KEPT_TARGETS, staleTargetDefaults), undefined);
  t.ok(kept.find("2", MAX_KEPT_TARGETS, staleTargetDefaults));
});
