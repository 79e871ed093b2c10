/**
 * Plays a scenario in words against a forwarder in virtual time. One line is one statement; `#` begins
 * a comment. See `statements` for what can be said.
 */
import type { Test } from "tap";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  saying,
  silent,
  soa,
  type Behaviour,
  type OneGroup,
  type Question,
  type Reply,
  type World,
} from "./world.ts";

const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

type Play = { t: Test; world: World; replies: Reply[]; askedSeen: number; eventsSeen: number };

const good = (question: Question): Buffer =>
  reply(question, { answers: [a(question.name, "198.51.100.1")] });

/** Changes a good reply before it is sent. */
const spoilt =
  (change: (wire: Buffer) => Uint8Array): Behaviour =>
  (question) => [{ wire: change(good(question)) }];

/** Asks the forwarder what it asked, and sends its answer back. */
function leadBack(world: World, question: Question): [] {
  world.later(1, () => world.ask(question.name, question.type));
  return [];
}

/** Octet after QNAME: two octets of QTYPE, then QCLASS. */
const typeAt = (wire: Buffer): number => wire.indexOf(0, 12) + 1;

export const behaviours: Record<string, Behaviour> = {
  "is silent": silent,
  "refuses connections": () => [{ error: "ECONNREFUSED" }],
  "sends garbage": () => [{ wire: Buffer.from("no DNS message at all, not even nearly so") }],
  "sends nothing but a header": (question) => [{ wire: good(question).subarray(0, 12) }],
  "sends an empty datagram": () => [{ wire: Buffer.alloc(0) }],
  "echoes the question": (_question, wire) => [{ wire }],
  "uses another id": spoilt((wire) => {
    wire.writeUInt16BE(wire.readUInt16BE(0) ^ 0x5555, 0);
    return wire;
  }),
  "answers another name": spoilt((wire) => {
    wire[13]! ^= 1;
    return wire;
  }),
  "answers another type": spoilt((wire) => {
    wire[typeAt(wire) + 1]! ^= 0x1c;
    return wire;
  }),
  "answers another class": spoilt((wire) => {
    wire[typeAt(wire) + 3] = 3;
    return wire;
  }),
  "answers without question": (question) => [
    { wire: reply({ ...question, questions: [] }, { answers: [a(question.name, "6.6.6.6")] }) },
  ],
  "answers two questions": (question) => [
    {
      wire: reply(
        { ...question, questions: [...question.questions!, ...question.questions!] },
        { answers: [a(question.name, "6.6.6.6")] },
      ),
    },
  ],
  "answers with another opcode": spoilt((wire) => {
    wire[2]! |= 0x28;
    return wire;
  }),
  "promises more records than it sends": spoilt((wire) => {
    wire[7] = 9;
    return wire;
  }),
  "cuts the record": spoilt((wire) => wire.subarray(0, -2)),
  "points in a loop": spoilt((wire) => {
    const owner = typeAt(wire) + 4;
    wire[owner] = 0xc0 | (owner >> 8);
    wire[owner + 1] = owner;
    return wire;
  }),
  truncates: (question) => [
    {
      wire: question.transport === "udp" ? reply(question, { flags: 0x0200 }) : good(question),
    },
  ],
  "truncates in the middle of a record": (question) => {
    const wire = good(question);
    if (question.transport === "tcp") return [{ wire }];
    wire[2]! |= 2;
    return [{ wire: wire.subarray(0, -3) }];
  },
  "truncates and has no TCP": (question) =>
    question.transport === "udp"
      ? [{ wire: reply(question, { flags: 0x0200 }) }]
      : [{ error: "ECONNREFUSED" }],
  "truncates even over TCP": saying({ flags: 0x0200 }),
  "knows no EDNS": (question) => [
    {
      wire:
        (question.additionals ?? []).length > 0 ? reply(question, { rcode: 1 }) : good(question),
    },
  ],
  "reports FORMERR without question": (question) => [
    {
      wire:
        (question.additionals ?? []).length > 0
          ? reply({ ...question, questions: [] }, { rcode: 1 })
          : good(question),
    },
  ],
  "reports BADVERS": (question) => [
    {
      wire:
        (question.additionals ?? []).length > 0
          ? reply(question, {
              additionals: [
                {
                  type: "OPT",
                  name: ".",
                  udpPayloadSize: 1232,
                  extendedRcode: 1,
                  ednsVersion: 0,
                  flags: 0,
                  flag_do: false,
                  options: [],
                },
              ],
            })
          : good(question),
    },
  ],
  "refuses EDNS and truncates": (question, wire) =>
    (question.additionals ?? []).length > 0
      ? [{ wire: reply(question, { rcode: 1 }) }]
      : behaviours["truncates"]!(question, wire),
  "changes the case and truncates": (question, wire) =>
    question.name !== question.name.toLowerCase()
      ? behaviours["changes the case"]!(question, wire)
      : behaviours["truncates"]!(question, wire),
  "changes the case and knows no EDNS, but says so only then": (question) => {
    const changed = question.name !== question.name.toLowerCase();
    return changed
      ? behaviours["changes the case"]!(question, Buffer.alloc(0))
      : [{ wire: reply(question, { rcode: 1 }) }];
  },
  "changes the case": (question) => {
    const name = question.name.toLowerCase();
    const questions = question.questions!.map((asked) => ({ ...asked, name }));
    return [{ wire: reply({ ...question, questions }, { answers: [a(name, "198.51.100.1")] }) }];
  },
};

type Statement = [RegExp, (play: Play, words: string[]) => void];

const statements: Statement[] = [
  [
    /^upstream (\d) answers (\S+) for (\d+) s$/,
    ({ world }, [number, address, ttl]) =>
      world.server(Number(number), answering(address, Number(ttl))),
  ],
  [
    /^upstream (\d) denies the (name|record) for (\d+) s$/,
    ({ world }, [number, what, seconds]) =>
      world.server(
        Number(number),
        saying({
          rcode: what === "name" ? 3 : 0,
          authorities: [soa("test", Number(seconds), Number(seconds))],
        }),
      ),
  ],
  [
    /^stale (\w+): (\d+)$/,
    ({ t, world }, [reason, count]) =>
      t.equal(
        Object.entries(world.forwarder.stats().stale).find(([name]) => name === reason)?.[1],
        Number(count),
        `${count} stale answers because of ${reason}`,
      ),
  ],
  [
    /^upstream (\d) answers(?: (\S+))?(?: after (\d+) ms)?$/,
    ({ world }, [number, address, delay]) => {
      const inner = answering(address ?? "198.51.100.1");
      world.server(Number(number), (question, wire) =>
        inner(question, wire).map((said) =>
          "wire" in said ? { wire: said.wire, afterMs: Number(delay ?? 1) } : said,
        ),
      );
    },
  ],
  [
    /^upstream (\d) says (\w+)(?: after (\d+) ms)?$/,
    ({ world }, [number, rcode, delay]) =>
      world.server(Number(number), (question) => [
        { wire: reply(question, { rcode: RCODES.indexOf(rcode!) }), afterMs: Number(delay ?? 1) },
      ]),
  ],
  [
    /^upstream (\d) sends (\d+) wrong ids, then answers$/,
    ({ world }, [number, count]) =>
      world.server(Number(number), (question) => {
        const wrong = Array.from({ length: Number(count) }, (_, i) => ({
          wire: reply(
            { ...question, id: (question.id! + i + 1) & 0xffff },
            { answers: [a(question.name, "6.6.6.6")] },
          ),
        }));
        if (question.transport === "tcp") return [{ wire: good(question) }];
        return [...wrong, { wire: good(question), afterMs: 150 }];
      }),
  ],
  [
    /^upstream (\d) loses (\d+) datagrams?, then (.+)$/,
    ({ world }, [number, count, words]) => {
      let left = Number(count);
      const then = words === "answers" ? answering() : behaviours[words!];
      if (then === undefined) throw new Error(`unknown behaviour: ${words}`);
      world.server(Number(number), (question, wire) =>
        question.transport === "udp" && left-- > 0 ? [] : then(question, wire),
      );
    },
  ],
  [
    // One that is reached by way of this forwarder itself, after a millisecond each way.
    /^upstream (\d) leads back$/,
    ({ world }, [number]) => world.server(Number(number), (question) => leadBack(world, question)),
  ],
  [
    /^upstream (\d) has (\w+) (\d+)$/,
    ({ t, world }, [number, name, count]) => {
      const { counts } = world.forwarder.stats().servers[Number(number) - 1]!;
      t.match(counts, { [name!]: Number(count) }, `${name} of upstream ${number}: ${count}`);
    },
  ],
  [
    /^upstream (\d) (.+)$/,
    ({ world }, [number, words]) => {
      const behaviour = behaviours[words!];
      if (behaviour === undefined) throw new Error(`unknown behaviour: ${words}`);
      world.server(Number(number), behaviour);
    },
  ],
  [
    /^ask (\S+)(?: (\w+))?( over TCP)?( with EDNS)?( first reply)?$/,
    ({ world, replies }, [name, type, tcp, edns, firstReply]) => {
      replies.unshift(
        world.ask(name!, type ?? "A", {
          transport: tcp === undefined ? "udp" : "tcp",
          firstReply: firstReply !== undefined,
          ...(edns === undefined ? {} : { edns: { payload: 4096, options: new Uint8Array(0) } }),
        }),
      );
    },
  ],
  [
    /^(\d+) (?:questions|clients ask) every (\d+) ms$/,
    ({ world, replies }, [count, ms]) => {
      for (let i = 0; i < Number(count); i++) {
        replies.unshift(world.ask(`n${i}.many.test`));
        world.pass(Number(ms));
      }
    },
  ],
  [
    /^told(.*)$/,
    (play, [words]) => {
      const since = play.world.events.slice(play.eventsSeen);
      play.eventsSeen = play.world.events.length;
      play.t.equal(since.join(", "), words!.trim(), `told: ${words!.trim() || "nothing"}`);
    },
  ],
  [/^(\d+) ms pass$/, ({ world }, [ms]) => world.pass(Number(ms))],
  [
    /^expect (.+?)(?: (after|within) (\d+) ms)?$/,
    ({ t, world, replies }, [words, how, ms]) => {
      const newest = replies[0]!;
      if (words !== "nothing") world.settle(10_000);
      t.equal(inWords(newest), words, `expect ${words}`);
      if (how === "after") t.equal(newest.afterMs, Number(ms), "time taken");
      if (how === "within") t.ok(newest.afterMs <= Number(ms), `${newest.afterMs} within ${ms} ms`);
      t.ok(newest.calls <= 1, "answered once");
    },
  ],
  [
    /^sent(.*)$/,
    (play, [words]) => {
      const { t, world } = play;
      const since = world.asked.slice(play.askedSeen);
      play.askedSeen = world.asked.length;
      const got = since.map(({ server, transport }) =>
        transport === "tcp" ? `${server}tcp` : server,
      );
      t.equal(got.join(" "), words!.trim(), `sent: ${words!.trim() || "nothing"}`);
    },
  ],
];

/**
 * First line: `servers N`, then in any order `timeout N`, `rate N`, `next on RCODE`, `cache off`,
 * `last known good`, `mixed case`, `probed`, `loops`, and a strategy if it is not sequential.
 */
export function play(t: Test, text: string): void {
  const lines = text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
  const head = /^servers (\d)(.*)$/.exec(lines[0] ?? "");
  if (head === null) throw new Error(`not a first line: ${lines[0]}`);
  const world = createWorld(Number(head[1]), settingsOf(head[2]!));
  const state: Play = { t, world, replies: [], askedSeen: 0, eventsSeen: 0 };
  for (const line of lines.slice(1)) {
    const statement = statements.find(([pattern]) => pattern.test(line));
    if (statement === undefined) throw new Error(`not understood: ${line}`);
    statement[1](state, statement[0].exec(line)!.slice(1));
  }
  world.settle();
  t.same(world.thrown, [], "nothing was thrown");
  t.equal(world.openSockets(), 0, "no socket stays open");
  t.equal(world.forwarder.stats().inFlight, 0, "nothing stays in flight");
}

const strategies = ["random", "fastest", "parallel"] as const;

function settingsOf(words: string): OneGroup {
  let rest = words;
  const take = (pattern: RegExp): string | undefined => {
    const found = pattern.exec(rest);
    if (found === null) return undefined;
    rest = rest.replace(found[0], "");
    return found[1] ?? found[0];
  };
  const next = take(/ next on (\w+)/);
  const settings: OneGroup = {
    timeoutMs: Number(take(/ timeout (\d+)/) ?? 2000),
    packetsPerSecond: Number(take(/ rate (\d+)/) ?? 0),
    nextOn: next === undefined ? null : [RCODES.indexOf(next)],
    cacheEnabled: take(/ cache off/) === undefined,
    stale: { ...groupDefaults.stale, lastKnownGood: take(/ last known good/) !== undefined },
    mixedCase: take(/ mixed case/) !== undefined,
    probeName: take(/ probed/) === undefined ? "" : ".",
    loopDetection: take(/ loops/) !== undefined,
    strategy: strategies.find((each) => take(new RegExp(` ${each}`)) !== undefined) ?? "sequential",
  };
  if (rest.trim() !== "") throw new Error(`not understood in the first line: ${rest}`);
  return settings;
}
