// Any order of questions, replies, silence, time, other settings and flushes: what must hold whatever happens.
import fc from "fast-check";
import t from "tap";
import { parseName } from "../../src/dns/name.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { behaviours } from "./scenario.ts";
import {
  a,
  createWorld,
  flushAll,
  inWords,
  reply,
  soa,
  type Behaviour,
  type OneGroup,
  type Reply,
  type World,
} from "./world.ts";

const SERVERS = 4;
const names = ["one.test", "ONE.test", "two.test", "Two.Test"];

/** 10.<name>.<server>.1: an answer tells what it was given to, and by whom. */
const stampOf = (name: string, server: number): string =>
  `10.${Array.from(name.toLowerCase()).reduce((sum, each) => (sum * 31 + each.charCodeAt(0)) % 251, 7)}.${server}.1`;

const stamped =
  (server: number, ttl: number): Behaviour =>
  (question) => [
    { wire: reply(question, { answers: [a(question.name, stampOf(question.name, server), ttl)] }) },
  ];

/** Whole answers, with a word for what is done to them. */
const manners: Record<string, (server: number) => Behaviour> = {
  well: (server) => stamped(server, 5),
  "not for long": (server) => stamped(server, 0),
  slow: (server) => later(stamped(server, 5), 450),
  "too slow": (server) => later(stamped(server, 5), 2500),
  "three times": (server) => (question, wire) =>
    [1, 2, 40].flatMap((afterMs) => later(stamped(server, 5), afterMs)(question, wire)),
  denies: () => (question) => [
    { wire: reply(question, { rcode: 3, authorities: [soa("test", 3, 3)] }) },
  ],
};

function later(behaviour: Behaviour, afterMs: number): Behaviour {
  return (question, wire) => behaviour(question, wire).map((said) => ({ ...said, afterMs }));
}

/** Those of scenarios that bring no address of their own. */
const badManners = Object.keys(behaviours).filter(
  (words) => !/^(truncates|knows no|reports|refuses EDNS|changes|answers)/.test(words),
);

const anySettings = fc.record<OneGroup>(
  {
    strategy: fc.constantFrom("sequential", "random", "fastest", "parallel"),
    cacheEnabled: fc.boolean(),
    keep: fc.boolean(),
    mixedCase: fc.boolean(),
    timeoutMs: fc.constantFrom(300, 2000),
    maxInFlight: fc.constantFrom(1, 3, 4096),
    nextOn: fc.constantFrom(null, [3]),
    packetsPerSecond: fc.constantFrom(0, 3),
    stale: fc.constantFrom(
      groupDefaults.stale,
      { ...groupDefaults.stale, enabled: false },
      { ...groupDefaults.stale, clientTimeoutMs: 0 },
      { ...groupDefaults.stale, lastKnownGood: true },
    ),
  },
  { requiredKeys: [] },
);

const anyEvent = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      event: fc.constant("ask" as const),
      name: fc.constantFrom(...names, "", ""),
      transport: fc.constantFrom("udp" as const, "udp" as const, "tcp" as const),
      firstReply: fc.constantFrom(false, false, true),
      dnssecOk: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      event: fc.constant("time" as const),
      ms: fc.oneof(
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 500 }),
        fc.integer({ min: 0, max: 7000 }),
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      event: fc.constant("server" as const),
      number: fc.integer({ min: 1, max: SERVERS }),
      manner: fc.constantFrom(...Object.keys(manners), ...badManners),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      event: fc.constant("settings" as const),
      change: anySettings,
      /** Bits: which servers there are. */
      servers: fc.integer({ min: 0, max: 2 ** SERVERS - 1 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      event: fc.constant("sleep" as const),
      ms: fc.constantFrom(100, 3000, 600_000, 2 * 86_400_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      event: fc.constant("flush" as const),
      name: fc.constantFrom("", "test", "one.test"),
    }),
  },
);
type Event = typeof anyEvent extends fc.Arbitrary<infer Each> ? Each : never;

/** `lists`: of servers, that there were while it waited. */
type Asked = { name: string; reply: Reply; lists: readonly number[][] };

const UNASKED: Reply = { answer: null, afterMs: NaN, calls: 0 };

/** Numbers of the servers that these bits stand for. */
const serversOf = (bits: number): number[] =>
  Array.from({ length: SERVERS }, (_, i) => i + 1).filter((number) => (bits >> (number - 1)) & 1);

/** Lets it all happen; gives the questions. */
function happen(world: World, events: readonly Event[]) {
  const asked: Asked[] = [];
  const lists = [serversOf(2 ** SERVERS - 1)];
  for (const each of events)
    switch (each.event) {
      case "ask": {
        const { transport, firstReply, dnssecOk } = each;
        const name = each.name === "" ? `only${asked.length}.test` : each.name;
        const edns = dnssecOk ? { payload: 1232, options: new Uint8Array(0) } : null;
        const question: Asked = { name, reply: UNASKED, lists: [] };
        const from = lists.length - 1;
        const done = (): void => void (question.lists = lists.slice(from));
        const options = { transport, firstReply, do: dnssecOk, edns, done };
        question.reply = world.ask(name, "A", options);
        asked.push(question);
        break;
      }
      case "time":
        world.pass(each.ms);
        break;
      case "sleep":
        world.sleep(each.ms);
        break;
      case "server":
        world.server(each.number, manners[each.manner]?.(each.number) ?? behaviours[each.manner]!);
        break;
      case "settings": {
        const servers = serversOf(each.servers);
        world.settings({
          ...each.change,
          servers: servers.map((number) => ({ address: `192.0.2.${number}`, port: 53 })),
        });
        lists.push(servers);
        break;
      }
      case "flush": {
        const name = parseName(each.name);
        if (!name.ok) throw new Error(name.error);
        flushAll(world.forwarder.flush({ name: name.value, subtree: true, type: null }));
        break;
      }
    }
  return asked;
}

const LIMIT_MS = 3000 + 20;

t.test("whatever happens, in any order", { timeout: 120_000 }, async (t) => {
  const kinds = new Set<string>();
  const property = fc.property(
    fc.array(anyEvent, { minLength: 5, maxLength: 60 }),
    fc.boolean(),
    (events, probed) => {
      const world = createWorld(SERVERS, { probeName: probed ? "." : "" });
      for (let number = 1; number <= SERVERS; number++)
        world.server(number, manners["well"]!(number));
      const asked = happen(world, events);
      world.settle();
      for (const [i, { name, reply: given, lists }] of asked.entries()) {
        const { calls, afterMs, answer } = given;
        if (calls !== 1) throw new Error(`question ${i} was answered ${calls} times`);
        if (afterMs > LIMIT_MS) throw new Error(`question ${i} took ${afterMs} ms`);
        const said = inWords(given);
        kinds.add(said.replace(/ 10\..*/, ""));
        if (name.startsWith("only"))
          for (let server = 1; server <= SERVERS; server++) {
            const got = world.asked.filter(
              (each) => each.server === server && each.question.name.toLowerCase() === name,
            );
            if (got.length > 2) throw new Error(`question ${i}: ${got.length} to one server`);
          }
        if (answer === null || !answer.ok) continue;
        for (const { data } of answer.answers) {
          const [, , server] = data;
          if (data.join(".") !== stampOf(name, server!)) throw new Error(`${said} to ${name}`);
          if (!lists.some((servers) => servers.includes(server!)))
            throw new Error(`question ${i} was answered by a server that is gone: ${said}`);
        }
      }
      if (world.thrown.length > 0) throw world.thrown[0];
      const stats = world.forwarder.stats();
      if (stats.inFlight > 0) throw new Error("something stays in flight");
      for (const pool of stats.pools) if (pool.inFlight > 0) throw new Error("a place stays taken");
      for (const { listeners, label } of stats.servers)
        if (listeners !== 0) throw new Error(`${label} is listened to ${listeners} times`);
      if (!probed && world.timersLeft() > 0) throw new Error("a timer is set for nothing");
      // A server that is down may be asked at this very moment.
      world.forwarder.close();
      if (world.openSockets() > 0) throw new Error(`${world.openSockets()} sockets stay open`);
      if (world.timersLeft() > 0) throw new Error(`${world.timersLeft()} timers are left`);
    },
  );
  const seed = Number(process.env["ANYTHING_SEED"] ?? 3);
  fc.assert(property, { numRuns: Number(process.env["ANYTHING_RUNS"] ?? 250), seed });
  const usual = ["A", "NXDOMAIN", "failed", "stale A", "no upstream"];
  t.same(
    usual.filter((kind) => !kinds.has(kind)),
    [],
    `each of them happens: ${[...kinds].join(", ")}`,
  );
});
