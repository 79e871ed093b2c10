import { readFileSync } from "node:fs";
import t from "tap";
import { createAcl, createAuthorizer, type AclSettings } from "../../src/cluster/acl.ts";
import { parseHcl } from "../../src/cluster/acl-hcl.ts";
import { createCovering, mergeRules, parseRules, type Rules } from "../../src/cluster/acl-rules.ts";
import { GLOBAL_MANAGEMENT_ID } from "../../src/cluster/acl-state.ts";
import { initialManagementCommand } from "../../src/cluster/acl-tokens.ts";
import type { Command } from "../../src/cluster/command.ts";
import { createLog } from "./state-fixtures.ts";

const P1 = "33333333-0000-0000-0000-000000000001";
const P2 = "33333333-0000-0000-0000-000000000002";
const A1 = "44444444-0000-0000-0000-000000000001";
const SECRET = "55555555-0000-0000-0000-000000000001";
const ROOT = "66666666-0000-0000-0000-000000000001";
const ANONYMOUS = "00000000-0000-0000-0000-000000000002";

function rulesOf(text: string): Rules {
  const parsed = parseRules(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

t.test("rules in HCL and JSON say the same (HTTP spec 17.9)", async (t) => {
  const hcl = `
    # comment
    key_prefix "app/" { policy = "write" } key "app/ro" { policy = "read" } // another
    service "web" { policy = "read", intentions = "write" }
    service "" {
      policy = <<EOF
read
EOF
    }
    /* and a third */
    operator = "read"
    agent_prefix "" { policy = "deny" }
    "node" "a\\tb" { policy = "write" }
    partition "x" { namespace "y" { policy = "read" } }`;
  const text = hcl.replace(/<<EOF\nread\nEOF/, '"read"');
  const json = JSON.stringify({
    key_prefix: { "app/": { policy: "write" } },
    key: [{ "app/ro": [{ policy: "read" }] }],
    service: [{ web: { policy: "read" } }, { "": { policy: "read" } }],
    operator: "read",
    agent_prefix: { "": { policy: "deny" } },
    node: { "a\tb": { policy: "write" } },
  });
  t.same(rulesOf(text), rulesOf(json));
  const heredoc = parseHcl('a = <<-EOT\n  x\n  y\n  EOT\nb = [1, true, "c",]');
  t.same(heredoc, { ok: true, value: { a: "x\ny\n", b: [1, true, "c"] } });
});

t.test("names of rules are taken in any case", async (t) => {
  const small = 'key "a" { policy = "deny" } key "b" { policy = "read" } acl = "read"';
  const large = 'KEY "a" { Policy = "deny" } key "b" { POLICY = "read" } ACL = "read"';
  t.same(rulesOf(large), rulesOf(small));
});

t.test("rules that cannot be are refused with a reason", async (t) => {
  const rows: [string, RegExp][] = [
    ['service "x" { policy = "bogus" }', /Invalid service policy for "x": "bogus"/],
    ['service "x" { policy = "list" }', /Invalid service policy/],
    ['service "x" {}', /no policy given/],
    ['service_prefix "x" { policy = "bogus" }', /^Invalid service_prefix policy for "x"/],
    ['operator = "list"', /Invalid operator policy/],
    ['key = "deny"', /^Failed to parse ACL rules: expected key "\.\.\." {/],
    ['key { policy = "deny" }', /^Failed to parse ACL rules: expected key "\.\.\." {/],
    ['{"node_prefix": 5}', /expected node_prefix "\.\.\." {/],
    ['{"node_prefix": {"": "deny"}}', /expected node_prefix "\.\.\." {/],
    ['{"key": ["a", {"b": {"policy": "deny"}}]}', /expected key "\.\.\." {/],
    ['KEY "a" { Policy = "DENY" }', /^Invalid key policy for "a": "DENY"/],
    ['acl = ["read"]', /Invalid acl policy/],
    ['service "x" { policy = "read"', /line 1: expected '}'/],
    ["service", /expected '=' or '{'/],
    ['a = "b', /literal not terminated/],
    ['\n\na = "\\q"', /line 3: illegal escape/],
    ["a = b", /unknown value 'b'/],
    ["{", /invalid JSON/],
    ['{"a": null}', /invalid JSON/],
    ["}", /unexpected '}'/],
    ["/*", /comment not terminated/],
    ["a { ".repeat(50), /nest too deeply/],
    [`a = ${"[".repeat(50)}`, /nest too deeply/],
    ["a = <<EOF\nx", /heredoc not terminated/],
  ];
  for (const [text, reason] of rows) {
    const parsed = parseRules(text);
    t.match(parsed.ok ? "" : parsed.error, reason, text.slice(0, 40));
  }
  t.ok(parseRules('key "a" { policy = "list" }').ok, "list is for keys");
  t.ok(parseRules("").ok, "no rules");
});

t.test("exact beats prefix, longest prefix wins, deny > write > list > read", async (t) => {
  const rules = mergeRules([
    rulesOf(`
      key_prefix "" { policy = "read" } key_prefix "app/" { policy = "write" }
      key_prefix "app/secret/" { policy = "deny" } key "app/ro" { policy = "read" }`),
    rulesOf('key_prefix "both" { policy = "list" } key "x" { policy = "write" }'),
    rulesOf('key_prefix "both" { policy = "read" } key "x" { policy = "deny" }'),
  ]);
  const rows: [string, string][] = [
    ["other", "read"],
    ["app/a", "write"],
    ["app/", "write"],
    ["app", "read"],
    ["app/ro", "read"],
    ["app/rox", "write"],
    ["app/secret/a", "deny"],
    ["both", "list"],
    ["x", "deny"],
  ];
  const covering = createCovering(rules.resources.key);
  for (const [key, access] of rows) t.equal(covering(key), access, key);
  t.equal(createCovering(rules.resources.node)("n"), undefined);
});

t.test("what no rule covers follows the default policy, but never acl", async (t) => {
  for (const policy of ["allow", "deny"] as const) {
    const allowed = policy === "allow";
    const nothing = createAuthorizer(mergeRules([]), policy);
    t.equal(nothing.nodeWrite("n"), allowed);
    t.equal(nothing.operatorWrite(), allowed);
    t.equal(nothing.aclRead(), false);
    const some = createAuthorizer(
      rulesOf('node "a" { policy = "read" } node "b" { policy = "deny" } acl = "read"'),
      policy,
    );
    t.same([some.nodeRead("a"), some.nodeWrite("a")], [true, false]);
    t.same([some.nodeRead("b"), some.nodeRead("c")], [false, allowed]);
    t.same([some.aclRead(), some.aclWrite()], [true, false]);
  }
});

t.test("keys: list needs its own right, deleting a tree needs write on all of it", async (t) => {
  const rules = `
    key_prefix "" { policy = "read" } key_prefix "app/" { policy = "write" }
    key_prefix "ls/" { policy = "list" } key_prefix "mix/" { policy = "write" }
    key_prefix "mix/ro/" { policy = "read" } key "one/x" { policy = "write" }
    key_prefix "own/" { policy = "write" } key "own/secret" { policy = "deny" }`;
  const some = createAuthorizer(rulesOf(rules), "deny");
  const rows: [string, boolean, boolean, boolean][] = [
    // prefix, list, write as a key, write as a tree
    ["", false, false, false],
    ["app/", true, true, true],
    ["app/deep/er", true, true, true],
    ["app", false, false, false],
    ["ls/", true, false, false],
    ["mix/", true, true, false],
    ["mix/r", true, true, false],
    ["mix/rw", true, true, true],
    ["one/x", true, true, false], // an exact rule says nothing about what is below
    ["own/", true, true, false],
    ["own/secret", false, false, false],
    ["own/other", true, true, true],
  ];
  for (const [key, list, write, tree] of rows)
    t.same(
      [some.keyList(key), some.keyWrite(key), some.keyWritePrefix(key)],
      [list, write, tree],
      key,
    );
  const none = createAuthorizer(rulesOf('key "a/b" { policy = "deny" }'), "allow");
  t.same(
    [none.keyWritePrefix("a/"), none.keyWritePrefix("b/"), none.keyList("b/")],
    [false, true, true],
  );
  t.same(
    [some.eventRead("e"), some.keyringRead(), some.eventWrite("e"), some.keyringWrite()],
    [false, false, false, false],
  );
  const ring = createAuthorizer(
    rulesOf('event_prefix "d" { policy = "write" } keyring = "read"'),
    "deny",
  );
  t.same(
    [ring.eventWrite("deploy"), ring.eventRead("x"), ring.keyringRead(), ring.keyringWrite()],
    [true, false, true, false],
  );
});

const policy = (id: string, name: string, rules: string, datacenters: string[] | null = null) =>
  ({
    type: "acl-policy-set",
    policy: { id, name, description: "", rules, datacenters },
  }) as const satisfies Command;

const token = (links: { id: string; name: string }[], accessorId = A1, secretId = SECRET) =>
  ({
    type: "acl-token-set",
    token: {
      accessorId,
      secretId,
      description: "",
      policies: links,
      local: false,
      createTimeMs: 7,
    },
  }) as const satisfies Command;

t.test("the texts of the recorded refusals (acl-crud-a)", async (t) => {
  const recorded = new Set(
    JSON.parse(readFileSync("test/corpus/http/acl-crud-a.json", "utf8")).steps.map(
      (step: { expect?: { text?: string } }) => step.expect?.text,
    ),
  );
  const names = "Only alphanumeric characters, '-' and '_' are allowed";
  const builtin = "Changing the Rules for the builtin global-management policy is not permitted";
  const cases: [string, Command][] = [
    ['Invalid Policy: A Policy with Name "web-read2" already exists', policy(P2, "web-read2", "")],
    [`Invalid Policy: invalid Name. ${names}`, policy(P2, "bad name!", "")],
    ["Invalid Policy: no Name is set", policy(P2, "", "")],
    [
      "Delete operation not permitted on the builtin global-management policy",
      { type: "acl-policy-delete", id: GLOBAL_MANAGEMENT_ID },
    ],
    [builtin, policy(GLOBAL_MANAGEMENT_ID, "global-management", 'acl = "read"')],
    ["Changing a tokens SecretID is not permitted", token([], A1, ROOT)],
    ['No such ACL policy with name "none"', token([{ id: "", name: "none" }])],
    [
      "Delete operation not permitted on the anonymous token",
      { type: "acl-token-delete", accessorId: ANONYMOUS },
    ],
  ];
  for (const [text, command] of cases) {
    t.ok(recorded.has(text), `recorded: ${text}`);
    const { state, run } = createLog();
    run(policy(P1, "web-read2", ""));
    run(token([]));
    t.same(run(command), { result: { ok: false, error: text }, topics: [] });
    t.equal(state.acl.index, 2);
  }
  const { run } = createLog();
  t.equal(run(policy(P1, "bad", 'service "x" { policy = "bogus" }')).result.ok, false);
  t.equal(run(token([{ id: P1, name: "" }])).result.ok, false, "unknown policy id");
});

t.test("links by id or name, answered with both, merged; deleted ones disappear", async (t) => {
  const { state, run } = createLog();
  run(policy(P1, "web", ""));
  const set = run(
    token([
      { id: "", name: "WEB" },
      { id: P1, name: "" },
    ]),
  );
  t.match(set.result, { ok: true, value: { policies: [{ id: P1, name: "web" }] } });
  run(policy(P1, "renamed", ""));
  t.same(state.acl.token(A1)?.policies, [{ id: P1, name: "renamed" }]);
  t.equal(state.acl.policyByName("web"), undefined);
  run({ type: "acl-policy-delete", id: P1 });
  t.same(state.acl.tokenBySecret(SECRET)?.policies, []);
  const again = run(token([]));
  t.match(again.result, { ok: true, value: { createTimeMs: 7, createIndex: 2 } });
  run({ type: "acl-token-delete", accessorId: A1 });
  t.equal(state.acl.tokenBySecret(SECRET), undefined);
  t.same(
    state.acl.tokens().map(({ accessorId }) => accessorId),
    [ANONYMOUS],
  );
});

t.test("bootstrap is open once, again only with the reset index (HTTP spec 17.4)", async (t) => {
  const { state, run } = createLog();
  const boot = (accessorId: string, resetIndex: number) => ({
    type: "acl-bootstrap" as const,
    resetIndex,
    token: token([{ id: GLOBAL_MANAGEMENT_ID, name: "" }], accessorId, `secret-${accessorId}`)
      .token,
  });
  t.equal(run(boot("a", 0)).result.ok, true);
  t.same(run(boot("b", 0)).result, {
    ok: false,
    error: "Permission denied: ACL bootstrap no longer allowed (reset index: 1)",
  });
  t.equal(run(boot("b", 1)).result.ok, true);
  t.equal(state.acl.bootstrapIndex, 3);
});

function settings(over: Partial<AclSettings> = {}): AclSettings {
  return {
    enabled: true,
    defaultPolicy: "deny",
    enableKeyListPolicy: false,
    datacenter: "dc1",
    nodeName: "edge-1",
    tokens: { initialManagement: ROOT, agentRecovery: "recovery", default: "", dns: "" },
    ...over,
  };
}

t.test("tokens give the rights of their policies", async (t) => {
  const { state, run } = createLog();
  const own = settings();
  const acl = createAcl(state.acl, own, () => 0);
  const rights = (secret?: string) => {
    const found = acl.authorizer(secret);
    return found === "ACL not found" ? found : found.serviceRead("web");
  };
  t.equal(rights("unknown"), "ACL not found");
  t.equal(rights(), false, "anonymous under default deny");
  t.equal(rights(ROOT), true, "before the leader made a token of it");

  const uuid = "77777777-0000-0000-0000-000000000001";
  const made = initialManagementCommand(state.acl, ROOT, { uuid, timeMs: 1 });
  t.match(made, { type: "acl-bootstrap", token: { description: "Master Token" } });
  run(made!);
  t.equal(initialManagementCommand(state.acl, ROOT, { uuid, timeMs: 2 }), undefined);
  const other = initialManagementCommand(state.acl, "other", { uuid, timeMs: 2 });
  t.match(other, { type: "acl-token-set" }, "bootstrap is over");
  const root = acl.authorizer(ROOT);
  t.ok(root !== "ACL not found" && root.aclWrite() && root.nodeWrite("x") && root.operatorWrite());

  run(policy(P1, "web", 'service "web" { policy = "read" }'));
  run(policy(P2, "there", 'service "web" { policy = "read" }', ["dc2"]));
  run(token([{ id: P2, name: "" }]));
  t.equal(rights(SECRET), false, "a policy of another datacenter");
  run(token([{ id: P1, name: "" }]));
  t.equal(rights(SECRET), true);
  run(policy(P1, "web", ""));
  t.equal(rights(SECRET), false, "a changed policy counts at once");
  run(token([{ id: "", name: "global-management" }], ANONYMOUS, "anonymous"));
  t.equal(rights(), true, "anonymous has rights of its own");
  t.equal(acl.dnsAuthorizer().serviceRead("web"), true);
  own.tokens.dns = SECRET;
  t.equal(acl.dnsAuthorizer().serviceRead("web"), false, "acl.tokens.dns comes first");
  own.tokens.dns = "gone";
  t.equal(acl.dnsAuthorizer().serviceRead("web"), false, "an unknown one sees nothing");
  own.tokens.default = SECRET;
  t.equal(rights(), false, "acl.tokens.default stands for no token");
  run({ type: "acl-token-delete", accessorId: A1 });
  t.equal(rights(SECRET), "ACL not found", "a deleted token counts at once");

  const recovery = acl.authorizer("recovery");
  if (recovery === "ACL not found") throw new Error("the recovery token is not known");
  t.same([recovery.agentWrite("edge-1"), recovery.agentWrite("edge-2")], [true, false]);
  t.same([recovery.nodeRead("edge-1"), recovery.serviceRead("web")], [true, false]);

  const off = createAcl(state.acl, settings({ enabled: false }), () => 0);
  const all = off.authorizer("whatever");
  t.ok(all !== "ACL not found" && all.aclWrite());
  t.equal(off.defaultPolicy, "allow");
});

t.test("an installed image replaces the rights", async (t) => {
  const { state, run } = createLog();
  const acl = createAcl(state.acl, settings(), () => 0);
  const image = state.snapshot().chunks;
  const empty = [...image];
  run(policy(P1, "web", 'service "web" { policy = "read" }'));
  run(token([{ id: P1, name: "" }]));
  t.not(acl.authorizer(SECRET), "ACL not found");
  await state.install(empty);
  t.equal(acl.authorizer(SECRET), "ACL not found");
});
