import t from "tap";
import {
  aliasResult,
  countResult,
  cutOutput,
  expiredOutput,
  lastOctets,
  newCounters,
  outputLimit,
  type AliasedCheck,
  type CheckStatus,
} from "../../../src/cluster/checks/check.ts";

import { parseCheck, type CheckDefinition } from "../../../src/cluster/definition.ts";

function check(body: Record<string, unknown> = {}): CheckDefinition {
  const parsed = parseCheck({ Name: "c", TCP: "h:1", Interval: "10s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return parsed.value;
}

// p, w, c: what a run found; P, W, C: what is reported; "-": nothing is. The first run counts at once.
const thresholds: { when: Record<string, number>; found: string; reported: string }[] = [
  { when: {}, found: "pwcp", reported: "PWCP" },
  { when: { SuccessBeforePassing: 2 }, found: "ppcpp", reported: "PPC-P" },
  { when: { SuccessBeforePassing: 2 }, found: "cpwp", reported: "C-WP" },
  { when: { FailuresBeforeCritical: 3 }, found: "cccc", reported: "CCCC" },
  { when: { FailuresBeforeCritical: 3 }, found: "pccccpcc", reported: "P--CCP--" },
  {
    when: { FailuresBeforeWarning: 1, FailuresBeforeCritical: 3 },
    found: "pccc",
    reported: "PWWC",
  },
  // Consul's own test of its status handler
  {
    when: { SuccessBeforePassing: 2, FailuresBeforeWarning: 2, FailuresBeforeCritical: 3 },
    found: "pcccpp",
    reported: "P-WC-P",
  },
];

t.test("thresholds", async (t) => {
  const words: Record<string, CheckStatus> = { p: "passing", w: "warning", c: "critical" };
  for (const { when, found, reported } of thresholds) {
    const definition = check(when);
    const counters = newCounters(definition);
    const got = found
      .split("")
      .map(
        (letter) => countResult(counters, definition, words[letter]!)?.[0]?.toUpperCase() ?? "-",
      );
    t.equal(got.join(""), reported, `${JSON.stringify(when)} ${found}`);
  }
});

t.test("output is cut by octets, never inside a character", async (t) => {
  t.equal(cutOutput("0123456789abcdef", 10), "0123456789 ... (captured 10 of 16 bytes)");
  t.equal(cutOutput("0123456789", 10), "0123456789");
  t.equal(cutOutput("ééé", 3), "é ... (captured 3 of 6 bytes)");
  t.equal(lastOctets(new TextEncoder().encode("abcdef"), 3), "def");
  t.equal(lastOctets(new TextEncoder().encode("ééé"), 3), "é");
  t.equal(lastOctets(new TextEncoder().encode("abc"), 9), "abc");
  t.equal(outputLimit(check({ OutputMaxSize: 10 }), 4096), 10);
  t.equal(outputLimit(check({ OutputMaxSize: 9999 }), 4096), 4096, "only lowered");
  t.equal(expiredOutput(""), "TTL expired");
});

t.test("an alias is as bad as the worst of its service and the node", async (t) => {
  const row = (checkId: string, status: string, serviceId = "web"): AliasedCheck => ({
    checkId,
    name: checkId,
    status,
    serviceId,
    output: `${checkId} says`,
    type: "ttl",
  });
  const target = { node: "n", serviceId: "web", serviceExists: true };
  const cases: [string, AliasedCheck[], string][] = [
    ["no checks", [], "passing No checks found."],
    ["all passing", [row("a", "passing"), row("b", "passing", "")], "passing All checks passing."],
    ["of others", [row("a", "critical", "other")], "passing No checks found."],
    [
      "warning first",
      [row("a", "warning"), row("b", "passing")],
      'warning Aliased check "a" failing: a says',
    ],
    [
      "critical wins",
      [row("a", "warning"), row("b", "critical", "")],
      'critical Aliased check "b" failing: b says',
    ],
    [
      "first critical",
      [row("c", "critical"), row("b", "critical")],
      'critical Aliased check "b" failing: b says',
    ],
  ];
  for (const [when, checks, wanted] of cases) {
    const { status, output } = aliasResult(target, checks, () => false);
    t.equal(`${status} ${output}`, wanted, when);
  }
  t.same(
    aliasResult({ ...target, serviceExists: false }, [row("a", "passing", "")], () => false),
    {
      status: "critical",
      output: "Service web could not be found on node n",
    },
  );
  t.match(
    aliasResult(target, [row("al", "critical", "")], ({ checkId }) => checkId === "al"),
    {
      status: "passing",
    },
  );
});
