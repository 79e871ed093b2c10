// S2 and S1: letters of names in random case, ids; what comes of a server that does not keep the case.
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { mixCase } from "../../src/forwarder/mixed-case.ts";
import type { Random } from "../../src/ports.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  seededRandom,
  wireName,
  type Behaviour,
} from "./world.ts";

const questionOf = (name: string): Uint8Array => Uint8Array.of(...wireName(name), 0, 1, 0, 1);
const bits = (...numbers: number[]): Random => ({
  uint32: () => numbers.shift() ?? 0,
  uuid: () => "",
});

t.test("each bit is the case of one letter; nothing else changes", async (t) => {
  const asked = questionOf("aB-9.z[{@`.Test");
  const sent = (number: number) => formatName(mixCase(asked, bits(number)).slice(0, -4));
  t.equal(sent(0), "ab-9.z[{@`.test.");
  t.equal(sent(0xffffffff), "AB-9.Z[{@`.TEST.");
  t.equal(sent(0b0000101), "Ab-9.Z[{@`.test.");
  t.same(mixCase(asked, bits(0)).slice(-4), Uint8Array.of(0, 1, 0, 1));
  t.equal(formatName(asked.slice(0, -4)), "aB-9.z[{@`.Test.", "what was asked stays");
});

t.test("names of more than 32 letters draw again; all letters are even (S1)", async (t) => {
  const random = seededRandom(5);
  const asked = questionOf(`${"abcdefghij".repeat(6)}.${"klmnopqrst".repeat(5)}.test`);
  const upper = Array.from({ length: asked.length }, () => 0);
  const total = 4000;
  for (let i = 0; i < total; i++)
    for (const [at, octet] of mixCase(asked, random).entries())
      if (octet >= 0x41 && octet <= 0x5a) upper[at]!++;
  const shares = upper.filter((count) => count > 0).map((count) => count / total);
  t.equal(shares.length, 114);
  t.ok(
    shares.every((share) => Math.abs(share - 0.5) < 0.05),
    "upper case in half of them",
  );
});

/** alias.<rest of the name> behind a CNAME, with pointers into the question, as servers compress. */
const compressed: Behaviour = (question) => {
  const head = Buffer.from(reply(question));
  head[7] = 2;
  const name = [0xc0, 12];
  const rest = [0xc0, 12 + 1 + head[12]!];
  const ttl = [0, 0, 0, 60];
  const target = head.length + 12;
  const link = [...name, 0, 5, 0, 1, ...ttl, 0, 8, 5, ...Buffer.from("alias"), ...rest];
  const address = [0xc0, target, 0, 1, 0, 1, ...ttl, 0, 4, 198, 51, 100, 7];
  return [{ wire: Buffer.concat([head, Buffer.from(link), Buffer.from(address)]) }];
};

t.test(
  "S2, ask 33: the client sees its own spelling, also where records point into it",
  async (t) => {
    const world = createWorld(1, { mixedCase: true });
    world.server(1, compressed);
    const spellings = ["www.Example.test", "WWW.EXAMPLE.TEST", "www.example.test"];
    for (const name of spellings) {
      const asked = world.ask(name);
      world.settle(100);
      const { answer } = asked;
      t.equal(answer?.ok && formatName(answer.answers[0]!.owner), `${name}.`);
      t.equal(
        answer?.ok && formatName(answer.answers[1]!.owner),
        "alias.Example.test.",
        "of what is kept: as the first one spelled it",
      );
    }
    t.equal(world.asked.length, 1);
    t.not(world.asked[0]!.question.name, spellings[0], "sent in a case of its own");
  },
);

t.test(
  "0x20 and TCP: case is not mixed over connections, nor where questions go on unchanged",
  async (t) => {
    const off = createWorld(1, { mixedCase: true, cacheEnabled: false });
    off.ask("www.Example.test");
    t.equal(off.asked[0]!.question.name, "www.Example.test");
    const world = createWorld(1, { mixedCase: true });
    world.server(1, (question) => [
      { wire: reply(question, { flags: question.transport === "udp" ? 0x0200 : 0 }) },
    ]);
    world.ask("www.Example.test");
    world.settle(100);
    t.same(
      world.asked.map(({ transport, question }) => transport === "tcp" && question.name),
      [false, "www.Example.test"],
    );
  },
);

t.test("S2: a forger that guesses id and port but not the case gets nothing", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, (question) => {
    if (question.name === question.name.toLowerCase())
      return answering()(question, Buffer.alloc(0));
    const name = "www.example.test";
    const forged = reply(
      { ...question, questions: [{ name, type: "A", class: "IN" }] },
      { answers: [a(name, "6.6.6.6")] },
    );
    return [
      { wire: forged },
      { wire: reply(question, { answers: [a(question.name, "6.6.6.7")] }) },
    ];
  });
  const asked = world.ask("www.example.test");
  world.settle(100);
  t.equal(inWords(asked), "A 198.51.100.1");
  t.equal(inWords(world.ask("www.example.test")), "A 198.51.100.1", "nor is it kept");
  t.equal(world.forwarder.stats().servers[0]!.counts.caseMismatches, 1);
});

t.test("S2: after a while the server gets another chance", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, (question) => [
    {
      wire: reply(
        { ...question, questions: [{ name: question.name.toLowerCase(), type: "A", class: "IN" }] },
        { answers: [a(question.name.toLowerCase(), "198.51.100.9")] },
      ),
    },
  ]);
  world.ask("a.example.test");
  world.pass(5);
  world.server(1, answering());
  world.ask("b.example.test");
  world.pass(15 * 60 * 1000);
  world.ask("cdefgh.example.test");
  world.settle(100);
  const names = world.asked.map(({ question }) => question.name);
  t.same(names.slice(1, 3), ["a.example.test", "b.example.test"]);
  t.not(names[3], "cdefgh.example.test");
});

t.test("S2, ask 33: a server with a spelling of its own is believed in lower case", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, (question) => {
    const name = "Www.EXAMPLE.test";
    const questions = [{ name, type: "A" as const, class: "IN" as const }];
    return [{ wire: reply({ ...question, questions }, { answers: [a(name, "198.51.100.9")] }) }];
  });
  const asked = world.ask("www.example.test");
  world.settle(100);
  t.equal(inWords(asked), "A 198.51.100.9");
  t.equal(asked.answer?.ok && formatName(asked.answer.answers[0]!.owner), "www.example.test.");
  const { caseMismatches, replies } = world.forwarder.stats().servers[0]!.counts;
  t.same({ caseMismatches, replies }, { caseMismatches: 1, replies: 2 });
  t.same(world.asked.map(({ question }) => question.name).slice(1), ["www.example.test"]);
});
