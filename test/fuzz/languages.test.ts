/** Filter expressions, ACL rules, regular expressions, templates of queries: changed at random. */
import t from "tap";
import { parseRules } from "../../src/cluster/acl-rules.ts";
import type { QueryRecord } from "../../src/cluster/model.ts";
import { compileTemplate } from "../../src/cluster/query-template.ts";
import { compileRegexp } from "../../src/cluster/regexp.ts";
import { parseDuration } from "../../src/duration.ts";
import { createFilter, type Fields } from "../../src/http/filter.ts";
import { bounded } from "./limit.ts";
import { changedText, createSource, oddText, seed, type Source } from "./random.ts";

const CASES = Number(process.env["FUZZ_TEXTS"] ?? 2_000);

const fields: Fields = {
  members: {
    Node: "text",
    Port: "integer",
    Enabled: "boolean",
    Tags: "texts",
    Meta: { map: "text" },
    Service: { members: { Service: "text", Weights: { members: { Passing: "integer" } } } },
    Checks: { each: { members: { Status: "text", CheckID: "text" } } },
  },
};
const objects = [
  {
    Node: "n1",
    Port: 80,
    Enabled: true,
    Tags: ["a", "primary"],
    Meta: { version: "1", "a b": "", __proto__x: "y" },
    Service: { Service: "web", Weights: { Passing: 1 } },
    Checks: [{ Status: "passing", CheckID: "c" }],
  },
  {
    Node: "",
    Port: -1,
    Enabled: false,
    Tags: [],
    Meta: {},
    Service: { Service: "a".repeat(200), Weights: { Passing: 0 } },
    Checks: [],
  },
];

const filters = [
  'Node == "n1" and Port != 80',
  'not (Service.Service matches "^w.*b$" or Tags is empty)',
  'primary in Tags and "x" not in Meta',
  "Meta.version == `1` or Meta[\"a b\"] != ''",
  'Checks.Status == "passing" and Service.Weights.Passing is not empty',
  "Enabled==true or Node contains n",
  "((((Node == a))))",
];
const rules = [
  'key_prefix "foo/" { policy = "write" } key "a" { policy = "deny" } operator = "read"',
  'service "web" { policy = "read" intentions = "read" } node_prefix "" { policy = "read" }',
  'event_prefix "" { policy = "write" }\n# a comment\n// another\n/* and one */ acl = "write"',
  '{"key":{"":{"policy":"list"}},"session_prefix":{"":{"policy":"write"}},"keyring":"deny"}',
  '{"service":[{"web":[{"policy":"read"}]}],"query_prefix":{"q":{"policy":"read"}}}',
  'agent "n" {\n  policy = <<EOF\nread\nEOF\n}\nmesh = "write"',
];
const expressions = ["^geo-db-(.*?)-([^\\-]+?)$", "(a|b)*c{2,5}", "[[:alpha:]]+\\d", "\\bx(?i:y)"];
const templates = [
  "${name.full}",
  "${match(1)}.x",
  "a ${name.prefix} ${name.suffix}",
  "${agent.segment}",
];

type Case = { what: string; run: () => void };

function filterCase(source: Source): Case {
  const text = source.once(5)
    ? Array.from({ length: 1 + source.below(40) }, () => source.pick(filters)).join(
        source.pick([" and ", " or ", " ", "("]),
      )
    : changedText(source, source.pick(filters), '()"`.[] andornotis=!\\é\u0000');
  return {
    what: `filter ${JSON.stringify(text)}`,
    run() {
      const filter = createFilter(text, fields);
      if (!filter.ok) {
        if (filter.error === "") throw new Error("an error without a text");
        return;
      }
      for (const object of objects)
        if (typeof filter.value(object) !== "boolean") throw new Error("neither true nor false");
    },
  };
}

function rulesCase(source: Source): Case {
  const alphabet = '{}"=_\n #/*<$\\[],:';
  let text = changedText(source, source.pick(rules), alphabet);
  if (source.once(50)) text = source.pick(["{", "[", "a {", '"']).repeat(5_000) + text;
  return {
    what: `rules ${JSON.stringify(text)}`,
    run() {
      const parsed = parseRules(text);
      if (!parsed.ok && parsed.error === "") throw new Error("an error without a text");
    },
  };
}

function regexpCase(source: Source): Case {
  const text = changedText(source, source.pick(expressions), "()[]{}*+?|\\^$.-,09pPbd");
  const subject = source.once(3) ? "a".repeat(400) : oddText(source);
  return {
    what: `regexp ${JSON.stringify(text)} on ${JSON.stringify(subject)}`,
    run() {
      const compiled = compileRegexp(text);
      if (compiled.ok) compiled.value.test(subject);
      else if (compiled.error === "") throw new Error("an error without a text");
    },
  };
}

function templateCase(source: Source): Case {
  const changed = () => changedText(source, source.pick(templates), "${}().mathnx0123");
  const query: QueryRecord = {
    id: "",
    name: source.pick(["", "geo-", "x"]),
    session: "",
    token: "",
    template: {
      type: "name_prefix_match",
      regexp: source.once(3)
        ? changedText(source, source.pick(expressions), "()[]*+?|\\")
        : source.pick(expressions),
      removeEmptyTags: source.once(2),
    },
    service: {
      service: changed(),
      failover: { nearestN: 0, datacenters: source.once(3) ? [changed()] : null },
      onlyPassing: false,
      ignoreCheckIds: null,
      near: source.once(2) ? changed() : "",
      tags: source.once(2) ? [changed(), ""] : null,
      nodeMeta: source.once(3) ? { [oddText(source)]: changed() } : null,
      serviceMeta: null,
      connect: false,
    },
    dns: { ttl: "" },
    createIndex: 1,
    modifyIndex: 1,
  };
  return {
    what: `template ${JSON.stringify(query)}`,
    run() {
      const compiled = compileTemplate(query);
      if (compiled.ok) compiled.value.render(`${query.name}${"ab".repeat(100)}`);
      else if (compiled.error === "") throw new Error("an error without a text");
    },
  };
}

function durationCase(source: Source): Case {
  const text = changedText(
    source,
    source.pick(["1h2m3.5s", "10s", "-0.1us"]),
    "0123456789.hmsuµn-+e",
  );
  return { what: `duration ${JSON.stringify(text)}`, run: () => void parseDuration(text) };
}

const kinds = { filterCase, rulesCase, regexpCase, durationCase };
for (const [name, create] of Object.entries({ ...kinds, templateCase }))
  t.test(`${name}: ${CASES} of seed ${seed}`, async (t) => {
    const source = createSource(name.length);
    for (let n = 0; n < CASES; n++) {
      const { what, run } = create(source);
      try {
        await bounded(run);
      } catch (error) {
        t.fail(`FUZZ_SEED=${seed}, case ${n}: ${what}: ${String(error)}`);
        return;
      }
    }
  });
