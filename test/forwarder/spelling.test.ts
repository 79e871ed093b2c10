/** Letters of names: the random case that servers are asked with (0x20) is nothing for clients. */
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { a, createWorld, reply, soa } from "./world.ts";

t.test("ask 33: names at and above the QNAME come back as the client spells them", async (t) => {
  const world = createWorld(1, { mixedCase: true, prefetch: false });
  let sent = "";
  world.server(1, (question) => {
    sent = question.name;
    // As servers do that compress names against the question.
    const zone = question.name.split(".").slice(-2).join(".");
    return question.type === "A"
      ? [{ wire: reply(question, { answers: [a(question.name, "192.0.2.1")] }) }]
      : [{ wire: reply(question, { authorities: [soa(zone, 60, 60)] }) }];
  });
  const spelled = (name: string, type: "A" | "AAAA"): string[] => {
    const { answer } = world.ask(name, type);
    world.pass(10);
    if (answer === null) throw new Error("no answer");
    if (!answer.ok) throw new Error(answer.reason);
    return [...answer.answers, ...answer.authority].map(({ owner }) => formatName(owner));
  };
  const ask = (name: string, type: "A" | "AAAA"): string[] => {
    const pending = world.ask(name, type);
    world.pass(10);
    t.ok(pending.answer?.ok, `${name} is answered`);
    return spelled(name, type);
  };
  t.same(ask("Some.Longer.Example", "A"), ["Some.Longer.Example."]);
  t.not(sent, "Some.Longer.Example");
  t.same(ask("Some.Longer.Example", "AAAA"), ["Longer.Example."]);
  t.same(spelled("SOME.LONGER.EXAMPLE", "AAAA"), ["LONGER.EXAMPLE."], "also what was kept");
  world.settle();
});
