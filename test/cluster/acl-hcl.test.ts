// The parser of rules and configuration against whatever comes: an answer, in time, and the same as JSON's.
import t from "tap";
import { parseHcl, type HclObject } from "../../src/cluster/acl-hcl.ts";
import { translateLegacyRules } from "../../src/cluster/acl-legacy.ts";
import { parseRules, RULES_LENGTH_MAX } from "../../src/cluster/acl-rules.ts";
import { createPick } from "./state-fixtures.ts";

const MUTATIONS = Number(process.env["FUZZ_RULES"] ?? 3000);

const seeds = [
  'key_prefix "app/" { policy = "write" } key "app/ro" { policy = "read" } # c',
  'service "web" { policy = "read", intentions = "write" } // c\noperator = "read"',
  'a = <<-EOF\n  x\n  EOF\nb = [1, true, "c\\n\\u0041", ["d"]]\n/* c */ acl = "write"',
  '{"key":{"a":{"policy":"read"}},"operator":"write","l":[1,2,{"x":"y"}]}',
];
const pieces = ['"', "{", "}", "[", "]", "=", "\\", "<<", "\n", "/*", "#", "\u0000", "\ud800", "é"];

t.test("mutated rules: a result or a sentence, never an exception", async (t) => {
  const pick = createPick(17);
  let good = 0;
  for (let i = 0; i < MUTATIONS; i++) {
    let text = seeds[pick(seeds.length)]!;
    for (let changes = 1 + pick(3); changes > 0; changes--) {
      const at = pick(text.length + 1);
      const piece = pieces[pick(pieces.length)]!.repeat(1 + pick(3));
      text = text.slice(0, at) + piece + text.slice(at + pick(4));
    }
    const parsed = parseRules(text);
    const translated = translateLegacyRules(text);
    if (parsed.ok) good++;
    else if (
      !/^(Failed to parse ACL rules: (line \d+: |invalid JSON)|Invalid \w+ policy)/.test(
        parsed.error,
      )
    )
      t.fail(`${JSON.stringify(text)}: ${parsed.error}`);
    if (parsed.ok && !translated.ok) t.fail(`${JSON.stringify(text)}: ${translated.error}`);
  }
  t.ok(good > 0 && good < MUTATIONS, `${good} of ${MUTATIONS} are still rules`);
});

t.test("long and deep texts are answered in time that grows with their length", async (t) => {
  const long = (piece: string) => piece.repeat(Math.floor(RULES_LENGTH_MAX / piece.length));
  const texts: Record<string, string> = {
    "blocks of one name": long('key "a" { policy = "read" } '),
    "empty blocks": long("a{}"),
    "open blocks": long("a{"),
    "open lists": `a = ${long("[").slice(8)}`,
    labels: long("a "),
    comments: long("/**/"),
    "one string": `a = "${long("x").slice(16)}"`,
    heredocs: long("a=<<E\nE\n"),
    "open heredoc": `a=<<E\n${long("x\n").slice(16)}`,
    "JSON lists": `{"key":${long("[").slice(16)}`,
    "JSON objects": `{${'"a":{'.repeat(40_000)}`,
  };
  for (const [what, text] of Object.entries(texts)) {
    const before = process.cpuUsage();
    parseRules(text);
    translateLegacyRules(text);
    const { user, system } = process.cpuUsage(before);
    // Quadratic work took a minute and more here; the bound leaves room for a slow machine.
    t.ok(user + system < 3_000_000, `${what}: ${Math.round((user + system) / 1000)} ms`);
  }
  t.match(parseRules("a".repeat(RULES_LENGTH_MAX + 1)), { error: /longer than/ });
  t.match(translateLegacyRules("a".repeat(RULES_LENGTH_MAX + 1)), { error: /longer than/ });
});

/** The tree in HCL, every list a literal one. */
function print(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(print).join(",")}]`;
  return JSON.stringify(value);
}

t.test("attributes in HCL are what JSON says", async (t) => {
  const pick = createPick(3);
  const words = ["", "a", "read", '"quoted"', "back\\slash", "tab\t", "é ☃", "\u0001", "${x}"];
  const random = (depth: number): unknown => {
    switch (pick(depth > 3 ? 3 : 4)) {
      case 0:
        return words[pick(words.length)]!;
      case 1:
        return pick(1000) - 500;
      case 2:
        return pick(2) === 0;
      default:
        return Array.from({ length: pick(4) }, () => random(depth + 1));
    }
  };
  for (let i = 0; i < 500; i++) {
    const members = Object.fromEntries(
      Array.from({ length: 1 + pick(4) }, (_, at) => [`m${at}`, random(0)]),
    );
    const hcl = Object.entries(members).map(([name, value]) => `${name} = ${print(value)}`);
    const fromHcl = parseHcl(hcl.join(pick(2) === 0 ? "\n" : ", "));
    const fromJson = parseHcl(JSON.stringify(members));
    if (!fromHcl.ok || !fromJson.ok) return void t.fail(hcl.join("\n"));
    const plain = (tree: HclObject): unknown => JSON.parse(JSON.stringify(tree));
    if (JSON.stringify(fromHcl.value) !== JSON.stringify(fromJson.value))
      t.same(plain(fromHcl.value), plain(fromJson.value), hcl.join("\n"));
  }
});

t.test("rules from before 1.4 in the current form", async (t) => {
  const rows: [string, string][] = [
    ['key "a" { policy = "read" }', 'key_prefix "a" {\n  policy = "read"\n}'], // recorded
    ['key "" { policy = "read" }', 'key_prefix "" {\n  policy = "read"\n}'],
    ['operator = "read"', 'operator = "read"'],
    [
      'keyring = "write"\nagent "x" { policy = "deny" }',
      'keyring = "write"\n\nagent_prefix "x" {\n  policy = "deny"\n}',
    ],
    [
      'service "a" { policy = "read" } service "b\\"c" { policy = "write" }',
      'service_prefix "a" {\n  policy = "read"\n}\n\nservice_prefix "b\\"c" {\n  policy = "write"\n}',
    ],
    ['{"node":{"n":{"policy":"write"}}}', 'node_prefix "n" {\n  policy = "write"\n}'],
    ["", ""],
  ];
  for (const [legacy, current] of rows) {
    const translated = translateLegacyRules(legacy);
    t.same(translated, { ok: true, value: current }, legacy);
    t.ok(parseRules(current).ok, `${current} is read`);
  }
  for (const resource of ["agent", "event", "key", "node", "query", "service", "session"]) {
    const translated = translateLegacyRules(`${resource} "x" { policy = "read" }`);
    t.ok(translated.ok && translated.value.startsWith(`${resource}_prefix "x" {`), resource);
  }
  t.match(translateLegacyRules("key {"), { ok: false, error: /^Failed to parse rules: line 1/ });
});
