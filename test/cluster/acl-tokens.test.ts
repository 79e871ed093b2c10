// Roles, identities, expiry and the bootstrap in the state machine, and what they grant.
import t from "tap";
import { createAcl, type AclSettings, type Authorizer } from "../../src/cluster/acl.ts";
import { isExpired } from "../../src/cluster/acl-state.ts";
import type { AclGrants, Command } from "../../src/cluster/command.ts";
import { createState } from "../../src/cluster/state.ts";
import { createLog } from "./state-fixtures.ts";

const id = (n: number) => `33333333-0000-4000-8000-${String(n).padStart(12, "0")}`;
const secretOf = (n: number) => `55555555-0000-4000-8000-${String(n).padStart(12, "0")}`;

const policy = (n: number, name: string, rules: string): Command => ({
  type: "acl-policy-set",
  policy: { id: id(n), name, description: "", rules, datacenters: null },
});
const role = (n: number, name: string, grants: Partial<AclGrants> = {}): Command => ({
  type: "acl-role-set",
  role: { id: id(n), name, description: "", policies: [], ...grants },
});
type TokenFields = Extract<Command, { type: "acl-token-set" }>["token"];
const token = (n: number, over: Partial<TokenFields> = {}): Command => ({
  type: "acl-token-set",
  token: {
    accessorId: id(n),
    secretId: secretOf(n),
    description: "",
    policies: [],
    local: false,
    createTimeMs: 1000,
    ...over,
  },
});

const settings: AclSettings = {
  enabled: true,
  defaultPolicy: "deny",
  enableKeyListPolicy: false,
  datacenter: "dc1",
  nodeName: "n1",
  tokens: { initialManagement: "", agentRecovery: "", default: "", dns: "" },
};

function createWorld() {
  const log = createLog();
  const world = { nowMs: 1000 };
  const acl = createAcl(log.state.acl, settings, () => world.nowMs);
  const rights = (n: number): Authorizer => {
    const found = acl.authorizer(secretOf(n));
    if (found === "ACL not found") throw new Error(found);
    return found;
  };
  return { ...log, world, acl, rights };
}

t.test("a role gives its policies and identities to those who have it", async (t) => {
  const { state, run, rights } = createWorld();
  run(policy(1, "kv", 'key_prefix "app/" { policy = "write" }'));
  const made = run(role(2, "ops", { policies: [{ id: "", name: "KV" }] }));
  t.match(made.result, { ok: true, value: { policies: [{ id: id(1), name: "kv" }] } });
  run(token(3, { roles: [{ id: "", name: "Ops" }] }));
  t.equal(rights(3).keyWrite("app/a"), true);
  run(role(2, "ops", { serviceIdentities: [{ serviceName: "web", datacenters: [] }] }));
  t.same([rights(3).keyWrite("app/a"), rights(3).serviceWrite("web")], [false, true], "at once");
  run(role(2, "renamed"));
  t.same(state.acl.token(id(3))?.roles, [{ id: id(2), name: "renamed" }]);
  t.equal(state.acl.roleByName("ops"), undefined);
  run({ type: "acl-role-delete", id: id(2) });
  t.same(state.acl.token(id(3))?.roles, [], "links to what is gone are not read");
  t.same(run({ type: "acl-role-delete", id: id(2) }).topics, [], "an unknown one changes nothing");
});

t.test("identities (HTTP spec 17.11)", async (t) => {
  const { run, rights } = createWorld();
  run(token(1, { serviceIdentities: [{ serviceName: "web", datacenters: [] }] }));
  const web = rights(1);
  t.same(
    [web.serviceWrite("web"), web.serviceWrite("web-sidecar-proxy"), web.serviceWrite("web2")],
    [true, true, false],
  );
  t.same([web.serviceRead("db"), web.nodeRead("n"), web.nodeWrite("n")], [true, true, false]);
  run(token(2, { serviceIdentities: [{ serviceName: "web", datacenters: ["dc2"] }] }));
  t.same(
    [rights(2).serviceWrite("web"), rights(2).serviceRead("web")],
    [false, false],
    "elsewhere",
  );
  run(token(3, { nodeIdentities: [{ nodeName: "n", datacenter: "dc1" }] }));
  const node = rights(3);
  t.same([node.nodeWrite("n"), node.nodeRead("m"), node.serviceRead("x")], [true, false, true]);
  t.same([node.serviceWrite("x"), node.keyRead("k")], [false, false]);
  run(token(4, { nodeIdentities: [{ nodeName: "n", datacenter: "dc2" }] }));
  t.equal(rights(4).nodeRead("n"), false, "elsewhere");
  const twice = run(
    token(5, {
      serviceIdentities: [
        { serviceName: "a", datacenters: ["dc1", "dc1"] },
        { serviceName: "a", datacenters: ["dc2"] },
        { serviceName: "b", datacenters: ["dc1"] },
        { serviceName: "b", datacenters: [] },
      ],
    }),
  );
  t.match(twice.result, {
    value: {
      serviceIdentities: [
        { serviceName: "a", datacenters: ["dc1", "dc2"] },
        { serviceName: "b", datacenters: [] },
      ],
    },
  });
});

t.test("what is refused, in Consul's words", async (t) => {
  const allowed = "Only alphanumeric characters, '-' and '_' are allowed";
  const service = (serviceName: string, datacenters: string[] = []) => ({
    serviceIdentities: [{ serviceName, datacenters }],
  });
  const node = (nodeName: string, datacenter: string) => ({
    nodeIdentities: [{ nodeName, datacenter }],
  });
  const rows: [string, Command][] = [
    ["Invalid Role: no Name is set", role(9, "")],
    [`Invalid Role: invalid Name. ${allowed}`, role(9, "a b")],
    [`Invalid Role: invalid Name. ${allowed}`, role(9, "a".repeat(257))],
    ['Invalid Role: A Role with Name "HELD" already exists', role(9, "HELD")],
    ['Invalid Role: A role with name "other" already exists', role(1, "other")],
    ['No such ACL policy with name "x"', role(9, "r", { policies: [{ id: "", name: "x" }] })],
    ['No such ACL role with name "x"', token(9, { roles: [{ id: "", name: "x" }] })],
    ["Service identity is missing the service name field on this role", role(9, "r", service(""))],
    ["Service identity is missing the service name field on this token", token(9, service(""))],
    [`Service identity "-x" has an invalid name. ${allowed}`, token(9, service("-x"))],
    [
      'Service identity "x" cannot specify a list of datacenters on a local token',
      token(9, { ...service("x", ["dc1"]), local: true }),
    ],
    ["Node identity is missing the node name field on this token", token(9, node("", "dc1"))],
    ["Node identity is missing the datacenter field on this role", role(9, "r", node("n", ""))],
    [`Node identity has an invalid name. ${allowed}`, token(9, node("N 1", "dc1"))],
    ["Invalid Token: SecretID is already in use", token(9, { secretId: secretOf(3) })],
    ["Invalid Token: SecretID is already in use", token(9, { secretId: id(3) })],
    ["Invalid Token: AccessorID is already in use", token(9, { accessorId: secretOf(3) })],
  ];
  for (const [text, command] of rows) {
    const { state, run } = createWorld();
    run(role(1, "held"));
    run(role(2, "other"));
    run(token(3));
    const before = state.acl.version;
    t.same(run(command), { result: { ok: false, error: text }, topics: [] }, text);
    t.equal(state.acl.version, before, "and nothing has changed");
  }
});

t.test("a token whose time is over is not found at once, and is reaped", async (t) => {
  const { state, run, world, acl } = createWorld();
  run(token(1, { expirationTimeMs: 5000 }));
  run(token(2, { expirationTimeMs: 9000 }));
  run(token(3));
  t.not(acl.authorizer(secretOf(1)), "ACL not found");
  world.nowMs = 4999;
  t.not(acl.authorizer(secretOf(1)), "ACL not found", "the last millisecond");
  world.nowMs = 5000;
  t.equal(acl.authorizer(secretOf(1)), "ACL not found", "known before, and over now");
  t.equal(isExpired(state.acl.token(id(1))!, 5000), true);
  t.same(
    [...state.acl.expiring],
    [
      [id(1), 5000],
      [id(2), 9000],
    ],
  );
  const accessorIds = [id(1), id(2), id(3), id(7)];
  t.same(run({ type: "acl-tokens-reap", accessorIds, expiredMs: 5000 }).topics, ["acl"]);
  t.same(
    [1, 2, 3].map((n) => state.acl.token(id(n)) !== undefined),
    [false, true, true],
    "only those whose time is over",
  );
  t.same([...state.acl.expiring.keys()], [id(2)]);
  t.same(run({ type: "acl-tokens-reap", accessorIds, expiredMs: 5000 }).topics, []);
  const again = run(token(2, { description: "d", expirationTimeMs: 99_000 }));
  t.match(again.result, { value: { expirationTimeMs: 9000 } }, "an update does not prolong");
});

t.test("a wrong reset index is told from none", async (t) => {
  const { run } = createWorld();
  const boot = (n: number, resetIndex: number): Command => {
    const made = token(n);
    if (made.type !== "acl-token-set") throw new Error("not a token");
    return { type: "acl-bootstrap", token: made.token, resetIndex };
  };
  run(boot(1, 0));
  t.match(run(boot(2, 0)).result, { error: /no longer allowed \(reset index: 1\)$/ });
  t.match(run(boot(2, 7)).result, {
    error: "Invalid bootstrap reset index (specified 7, reset index: 1)",
  });
  t.match(run(boot(2, 1)).result, { ok: true });
});

t.test("roles, identities and expiry survive a snapshot to the octet", async (t) => {
  const { state, run } = createWorld();
  run(policy(1, "kv", ""));
  run(
    role(2, "ops", {
      policies: [{ id: id(1), name: "" }],
      nodeIdentities: [{ nodeName: "n", datacenter: "dc1" }],
    }),
  );
  run(token(3, { roles: [{ id: id(2), name: "" }], expirationTimeMs: 5000 }));
  const other = createState();
  const installed = await other.install([...state.snapshot().chunks]);
  t.equal(installed.ok, true);
  t.equal(other.digest(), state.digest());
  t.same(other.acl.role(id(2)), state.acl.role(id(2)));
  t.same([...other.acl.expiring], [[id(3), 5000]]);
  t.equal(other.acl.roleByName("OPS")?.id, id(2));
});

t.test("a change does not bring back a token that was deleted meanwhile", async (t) => {
  const { state, run } = createWorld();
  const command = token(3);
  if (command.type !== "acl-token-set") throw new Error("not a token");
  const change = { ...command, mustExist: true };
  run(command);
  t.match(run(change).result, { ok: true });
  run({ type: "acl-token-delete", accessorId: id(3) });
  t.same(run(change).result, { ok: false, error: `Cannot find token "${id(3)}"` });
  t.equal(state.acl.token(id(3)), undefined);
});
