/** Long lists among the lines of dnsmasq's configuration mean what the same lines mean one by one. */
import fc from "fast-check";
import t from "tap";
import { NameList } from "../../src/forwarder/local/name-list.ts";
import { createRuleTable, type NameMatch, type RuleAction } from "../../src/forwarder/rules.ts";
import { visitMatches } from "../../src/config/forwarder/names.ts";
import { parseName } from "../../src/dns/name.ts";
import { treeOf } from "../../src/config/dnsmasq/tree.ts";
import { read } from "./dnsmasq.ts";

const names = fc.constantFrom("a.test", "B.test", "x.a.test", "lan", "a-_.9", "*.a.test", "a..b");
const values = fc.constantFrom("", "#", "192.0.2.1", "2001:db8::1", "1.1.1.1#54", "bad one", "@");
const line = fc
  .record({ word: fc.constantFrom("address", "server", "local"), name: names, value: values })
  .map(({ word, name, value }) => `${word}=/${name}/${value}`);

/** What the files say, and where; the places of messages count. */
const whole = (text: string) => {
  const { entries, errors, notes } = read(text);
  return JSON.stringify({ tree: treeOf(entries), entries, errors, notes });
};

t.test(
  "a line is read the same with a blank in front of it, which takes the long way",
  async () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const short = lines.join("\n");
        const long = lines.map((each) => ` ${each}`).join("\n");
        return whole(short) === whole(long);
      }),
      { numRuns: 500 },
    );
  },
);

const many = Array.from({ length: 3000 }, (_, i) => `ad${i}.test`);
const conf = many.map((name, i) =>
  i % 3 === 0 ? `address=/${name}/0.0.0.0` : i % 3 === 1 ? `local=/${name}/` : `address=/${name}/#`,
);

t.test("a list is packed, and shown as a list", async (t) => {
  const { entries, errors } = read(["no-resolv", ...conf, "local=/*x.test/"].join("\n"));
  t.same(errors, []);
  const valueOf = (key: string) =>
    entries.find((each) => each.key === key)!.value as { names: Iterable<string> }[];
  const [zone] = valueOf("forwarder.zones");
  t.ok(zone!.names instanceof NameList);
  t.same([...zone!.names], [...many.filter((_, i) => i % 3 === 1), "*x.test"]);
  const shown = JSON.parse(JSON.stringify(valueOf("forwarder.addresses"))) as unknown;
  t.same(shown, [
    { names: many.filter((_, i) => i % 3 === 0), addresses: ["0.0.0.0"] },
    { names: many.filter((_, i) => i % 3 === 2), addresses: ["#"] },
  ]);
});

t.test("the same server of a name, said again and again, is one", async (t) => {
  // Told apart they would take more memory than there is.
  const { entries } = read("server=/a.test/192.0.2.1\n".repeat(50_000));
  const shown: unknown = JSON.parse(JSON.stringify(treeOf(entries)["forwarder"]));
  t.match(shown, { zones: [{ names: ["a.test"], servers: ["192.0.2.1"] }] });
});

t.test("rules of a packed list are those of its names, one by one", async (t) => {
  const texts = [...many, "", "*", "*.w.test", "*end", "10.0.0.0/9", "UPPER.test", "in.consul"];
  const { entries } = read(texts.map((name) => `local=/${name}/`).join("\n"));
  const list = entries.find(({ key }) => key === "forwarder.zones")!.value as { names: NameList }[];
  const packed = list[0]!.names;
  t.ok(packed instanceof NameList);
  const action: RuleAction = { kind: "deny" };
  const consul = wire("consul");
  const tables = [packed, [...packed]].map((given) => {
    const matches: NameMatch[] = [];
    visitMatches(
      given,
      [consul],
      (match) => matches.push(match),
      (_, why) => t.fail(why),
    );
    return {
      matches,
      table: createRuleTable(
        matches.map((match) => ({ match, action })),
        key,
      ),
    };
  });
  t.ok(tables[0]!.matches.length < 10);
  t.ok(
    tables[0]!.matches.some((match) => "name" in match && match.name[0] === 2),
    "names of our own domain stand alone",
  );
  for (const name of [
    ...many.slice(0, 50),
    "x.ad7.test",
    "a.w.test",
    "w.test",
    "friend",
    "b",
    "in.consul",
    "upper.test",
    "1.0.0.10.in-addr.arpa",
    "1.0.128.10.in-addr.arpa",
    "none.example",
  ])
    t.same(tables[0]!.table.find(wire(name), 1), tables[1]!.table.find(wire(name), 1), name);
});

const key = { low: 1, high: 2 };

function wire(name: string): Uint8Array {
  const parsed = parseName(name);
  if (!parsed.ok) throw new Error(name);
  return parsed.value;
}
