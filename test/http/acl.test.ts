// /v1/acl where the recorded scenarios are silent: expiry, clones, links, resets, what is gone.
import t from "tap";
import { createGuarded, ROOT } from "./guarded.ts";
import type { Server } from "./harness.ts";

const ANONYMOUS = "00000000-0000-0000-0000-000000000002";
const hour = 3_600_000;

type Token = { AccessorID: string; SecretID: string; ExpirationTime?: string; CreateTime: string };
const tokenOf = (answer: { json: unknown }): Token => answer.json as Token; // the shape is asserted below

const nowMs = (server: Server): number => server.world.clock.wallMs();

t.test("ExpirationTTL and ExpirationTime", async (t) => {
  const { server, admin } = createGuarded();
  const at = (ms: number) => new Date(nowMs(server) + ms).toISOString();
  const refused: [unknown, number, string][] = [
    [
      { ExpirationTTL: "59s" },
      500,
      "ExpirationTime cannot be less than 1m0s in the future (was 59s)",
    ],
    [
      { ExpirationTTL: "24h1s" },
      500,
      "ExpirationTime cannot be more than 24h0m0s in the future (was 24h0m1s)",
    ],
    [{ ExpirationTTL: "-5s" }, 500, "Token Expiration TTL '-5s' should be > 0"],
    [
      { ExpirationTTL: "1h", ExpirationTime: at(hour) },
      500,
      "Token Expiration TTL and Expiration Time cannot both be set",
    ],
    [{ ExpirationTime: at(-hour) }, 500, "ExpirationTime cannot be before CreateTime"],
    [
      { ExpirationTime: at(2 * 24 * hour) },
      500,
      "ExpirationTime cannot be more than 24h0m0s in the future (was 48h0m0s)",
    ],
    [{ Type: "client" }, 500, "Type cannot be specified for this token"],
    [{ AuthMethod: "m" }, 500, "AuthMethod field is disallowed outside of Login"],
  ];
  for (const [body, status, text] of refused)
    t.match(await admin("PUT", "/v1/acl/token", body), { status, text }, text);
  t.match(await admin("PUT", "/v1/acl/token", { ExpirationTime: "tomorrow" }), {
    status: 400,
    text: /^Bad request: Token decoding failed: parsing time "tomorrow"/,
  });
  const made = tokenOf(await admin("PUT", "/v1/acl/token", { ExpirationTTL: "1m" }));
  t.equal(made.ExpirationTime, at(60_000));
  const given = await admin("PUT", "/v1/acl/token", { ExpirationTime: at(hour) });
  t.equal(tokenOf(given).ExpirationTime, at(hour));
  const zero = await admin("PUT", "/v1/acl/token", { ExpirationTime: "0001-01-01T00:00:00Z" });
  t.notOk(tokenOf(zero).ExpirationTime, "Go's zero time is none");
});

t.test("an expired token is as good as gone, and its life cannot be changed", async (t) => {
  const { server, admin, as } = createGuarded();
  const made = tokenOf(await admin("PUT", "/v1/acl/token", { ExpirationTTL: "1h" }));
  const path = `/v1/acl/token/${made.AccessorID}`;
  const refusal = { status: 500, text: `Cannot change expiration time of ${made.AccessorID}` };
  t.match(await admin("PUT", path, { ExpirationTTL: "2h" }), refusal);
  t.match(await admin("PUT", path, { ExpirationTime: new Date(0).toISOString() }), refusal);
  const same = await admin("PUT", path, { ExpirationTime: made.ExpirationTime, Description: "d" });
  t.match(same.json, { Description: "d", ExpirationTime: made.ExpirationTime });
  const clone = tokenOf(await admin("PUT", `${path}/clone`, {}));
  t.equal(clone.ExpirationTime, made.ExpirationTime, "a clone lives as long");
  t.equal((await as(made.SecretID)("GET", "/v1/acl/token/self")).status, 200);
  const count = async () => ((await admin("GET", "/v1/acl/tokens")).json as unknown[]).length;
  const before = await count();

  server.world.nowMs += hour - 30_000;
  t.match(await admin("PUT", `${path}/clone`, {}), { status: 500, text: /less than 1m0s/ });
  server.world.nowMs += 30_000;
  const gone = { status: 403, text: "ACL not found" };
  t.match(await as(made.SecretID)("GET", "/v1/acl/token/self"), gone);
  t.match(await as(made.SecretID)("GET", "/v1/catalog/nodes"), gone);
  t.match(await admin("GET", path), gone);
  t.match(await admin("PUT", `${path}/clone`, {}), gone);
  t.match(await admin("PUT", path, {}), {
    status: 500,
    text: `Cannot find token "${made.AccessorID}"`,
  });
  t.equal(await count(), before - 2);
});

t.test("tokens and roles by what they link to; secrets for those who may write", async (t) => {
  const { admin, as } = createGuarded();
  const idOf = async (path: string, body: unknown) =>
    (Object((await admin("PUT", path, body)).json) as { ID: string }).ID;
  const policy = await idOf("/v1/acl/policy", { Name: "p", Rules: 'acl = "read"' });
  const role = await idOf("/v1/acl/role", { Name: "r", Policies: [{ ID: policy.toUpperCase() }] });
  await idOf("/v1/acl/role", { Name: "other" });
  const linked = tokenOf(await admin("PUT", "/v1/acl/token", { Policies: [{ Name: "p" }] }));
  const member = tokenOf(await admin("PUT", "/v1/acl/token", { Roles: [{ ID: role }] }));
  const accessors = async (path: string) =>
    ((await admin("GET", path)).json as Token[]).map(({ AccessorID }) => AccessorID);
  t.same(await accessors(`/v1/acl/tokens?policy=${policy}`), [linked.AccessorID]);
  t.same(await accessors(`/v1/acl/tokens?role=${role}`), [member.AccessorID]);
  t.same(await accessors(`/v1/acl/tokens?role=${role}&policy=${policy}`), []);
  const roles = await admin("GET", `/v1/acl/roles?policy=${policy}`);
  t.match(roles.json, [{ ID: role }]);
  t.equal((roles.json as unknown[]).length, 1);

  const reader = as(member.SecretID); // its right comes through the role
  const seen = await reader("GET", `/v1/acl/token/${linked.AccessorID}`);
  t.match(seen.json, { SecretID: "<hidden>" });
  t.match((await reader("GET", "/v1/acl/token/self")).json, { SecretID: member.SecretID });
  t.equal((await reader("PUT", "/v1/acl/role", { Name: "x" })).text, "Permission denied");
});

t.test("self without a token is acl.tokens.default; anonymous has none", async (t) => {
  const { server, admin, tokens } = createGuarded();
  const made = tokenOf(await admin("PUT", "/v1/acl/token", {}));
  const self = () => server.ask("GET", "/v1/acl/token/self");
  t.match(await self(), { status: 403, text: "ACL not found" });
  tokens.default = made.SecretID;
  t.match((await self()).json, { AccessorID: made.AccessorID });
});

t.test("a second bootstrap needs the index in the file, which is used up", async (t) => {
  let [file, removed] = [0, 0];
  const bootstrapReset = {
    read: () => Promise.resolve(file),
    remove: () => Promise.resolve(void removed++),
  };
  const { server } = createGuarded({ bootstrapReset });
  const boot = () => server.ask("PUT", "/v1/acl/bootstrap");
  const first = await boot();
  t.equal(first.status, 200);
  const refused = await boot();
  t.match(refused, { status: 403, text: /^Permission denied: .*\(reset index: \d+\)$/ });
  const index = Number(/\d+/.exec(refused.text)![0]);
  file = index + 1;
  t.match(await boot(), {
    status: 500,
    text: `Invalid bootstrap reset index (specified ${index + 1}, reset index: ${index})`,
  });
  t.equal(removed, 0);
  file = index;
  const again = await boot();
  t.equal(again.status, 200);
  t.not(tokenOf(again).SecretID, tokenOf(first).SecretID);
  t.equal(removed, 1);
  const stale = await boot();
  t.match(stale, { status: 500, text: /^Invalid bootstrap reset index/ }, "the index has moved on");
});

t.test("translation of legacy rules, and what is left of the legacy endpoints", async (t) => {
  const { server, admin } = createGuarded();
  t.match(await admin("POST", "/v1/acl/rules/translate", "key {"), {
    status: 400,
    text: /^Bad request: Failed to parse rules: /,
  });
  const path = "/v1/acl/rules/translate/";
  t.match(await admin("GET", path), { status: 400, text: "Bad request: Missing token ID" });
  t.match(await admin("GET", `${path}${ROOT}`), { status: 403, text: "ACL not found" });
  t.match(await admin("GET", path + ANONYMOUS), {
    status: 500,
    text: "The specified token does not have any rules to translate",
  });
  for (const [method, gone] of [
    ["PUT", "create"],
    ["PUT", "update"],
    ["PUT", "destroy/x"],
    ["GET", "info/x"],
    ["PUT", "clone/x"],
    ["GET", "list"],
  ] as const)
    t.match(await server.ask(method, `/v1/acl/${gone}`), {
      status: 410,
      text: `Endpoint /v1/acl/${gone} for the legacy ACL system was removed in Consul 1.11.`,
    });
  for (const left of ["login", "logout", "auth-methods", "binding-rules"])
    t.match(await server.ask("GET", `/v1/acl/${left}`), { status: 404, text: "" }, left);
});

t.test("waiters of roles and tokens wake when ACLs change", async (t) => {
  const { server, admin } = createGuarded();
  // Index 1 stands for "nothing yet", too.
  for (const Name of ["a", "b"]) await admin("PUT", "/v1/acl/policy", { Name });
  const first = await admin("GET", "/v1/acl/roles");
  const index = first.headers.get("X-Consul-Index");
  const waiting = server.start("GET", `/v1/acl/roles?index=${index}&wait=1m`, {
    headers: { "X-Consul-Token": ROOT },
  });
  await admin("PUT", "/v1/acl/role", { Name: "r" });
  t.match((await waiting.answer).json, [{ Name: "r" }]);
});

t.test(
  "an answer from which something was left out says so to those who show a token",
  async (t) => {
    const { server, admin, as } = createGuarded();
    const register = (Node: string) =>
      admin("PUT", "/v1/catalog/register", {
        Node,
        Address: "10.0.0.1",
        Service: { Service: "web" },
      });
    await register("a");
    await register("b");
    await admin("PUT", "/v1/kv/k", "v");
    const Rules = 'node "a" { policy = "read" } service_prefix "" { policy = "read" }';
    await admin("PUT", "/v1/acl/policy", { Name: "half", Rules });
    const half = tokenOf(await admin("PUT", "/v1/acl/token", { Policies: [{ Name: "half" }] }));
    const rows: [path: string, isFiltered: boolean][] = [
      ["/v1/catalog/nodes", true],
      ["/v1/health/service/web", true],
      ["/v1/catalog/node/a", false],
      ["/v1/catalog/services", false],
      ["/v1/kv/?keys", true],
      ["/v1/kv/k?recurse", true],
      ["/v1/kv/k", false], // refused
    ];
    for (const [path, isFiltered] of rows) {
      const header = async (ask: ReturnType<typeof as>) =>
        (await ask("GET", path)).headers.get("X-Consul-Results-Filtered-By-ACLs");
      t.equal(await header(as(half.SecretID)), isFiltered ? "true" : null, path);
      t.equal(await header(admin), null, `${path}: management`);
      t.equal(await header((method) => server.ask(method, path)), null, `${path}: nobody`);
    }
  },
);

t.test("a name that cannot be is told before an id that is unknown, or none at all", async (t) => {
  const { admin } = createGuarded();
  for (const [kind, title] of [
    ["policy", "Policy"],
    ["role", "Role"],
  ])
    for (const [id, Name, text] of [
      ["nothing", "", `Invalid ${title}: no Name is set`],
      ["nothing", "a b", new RegExp(`^Invalid ${title}: invalid Name\\.`)],
      ["nothing", "a", `${title} ID invalid UUID`],
      [ROOT, "", `Invalid ${title}: no Name is set`],
      [ROOT, "a", `cannot find ${kind} ${ROOT}`],
    ] as const)
      t.match(await admin("PUT", `/v1/acl/${kind}/${id}`, { Name }), { status: 500, text });
  const management = "/v1/acl/policy/00000000-0000-0000-0000-000000000001";
  t.match(await admin("PUT", management, { Name: "m", Datacenters: ["dc1"] }), {
    status: 500,
    text: "Changing the Datacenters of the builtin global-management policy is not permitted",
  });
});

t.test("acl.tokens.default cannot remove itself, whoever shows no token is it", async (t) => {
  const { server, admin, tokens } = createGuarded();
  const Policies = [{ Name: "global-management" }];
  const made = tokenOf(await admin("PUT", "/v1/acl/token", { Policies }));
  tokens.default = made.SecretID;
  t.match(await server.ask("DELETE", `/v1/acl/token/${made.AccessorID}`), {
    status: 500,
    text: "Deletion of the request's authorization token is not permitted",
  });
});

t.test("GET of a token with expanded: what is behind it", async (t) => {
  const { admin, as } = createGuarded();
  const idOf = async (path: string, body: unknown) =>
    (Object((await admin("PUT", path, body)).json) as { ID: string }).ID;
  const own = await idOf("/v1/acl/policy", { Name: "own", Rules: 'key "a" { policy = "read" }' });
  const inner = await idOf("/v1/acl/policy", { Name: "inner", Rules: 'acl = "read"' });
  const both = [{ ID: own }, { ID: inner }];
  const role = await idOf("/v1/acl/role", {
    Name: "r",
    Policies: both,
    NodeIdentities: [{ NodeName: "n", Datacenter: "dc1" }],
  });
  const fields = { Policies: [{ ID: own }], Roles: [{ ID: role }] };
  const identities = [{ ServiceName: "web" }];
  const made = tokenOf(
    await admin("PUT", "/v1/acl/token", { ...fields, ServiceIdentities: identities }),
  );
  const path = `/v1/acl/token/${made.AccessorID}`;
  const plain = Object((await admin("GET", path)).json) as object;
  t.notMatch(plain, { ExpandedPolicies: Array });
  for (const query of ["expanded=true", "expanded"]) {
    const { json } = await admin("GET", `${path}?${query}`);
    t.match(json, plain, "all of the token");
    const extra = Object.keys(Object(json) as object).slice(Object.keys(plain).length);
    t.same(
      extra,
      "ExpandedPolicies ExpandedRoles NamespaceDefaultPolicyIDs NamespaceDefaultRoleIDs AgentACLDefaultPolicy AgentACLDownPolicy ResolvedByAgent".split(
        " ",
      ),
    );
    t.match(json, {
      ExpandedPolicies: [
        { ID: own, Name: "own", Rules: 'key "a" { policy = "read" }' },
        { ID: inner, Name: "inner" },
        {
          // As Consul's servers make it: the rules, and the hash of nothing behind them.
          ID: /^0a73657276696365202277656222207b.*7d6c62272e07bb014262b821756295c58d$/,
          Name: /^synthetic-policy-0a/,
          Description: 'synthetic policy for service identity "web"',
          Rules: /^\nservice "web" \{\n\tpolicy = "write"\n\}\nservice "web-sidecar-proxy" /,
          CreateIndex: 0,
        },
        {
          Description: 'synthetic policy for node identity "n"',
          Rules: '\nnode "n" {\n\tpolicy = "write"\n}\nservice_prefix "" {\n\tpolicy = "read"\n}',
          Datacenters: ["dc1"],
        },
      ],
      ExpandedRoles: [{ ID: role, Name: "r", Policies: both }],
      AgentACLDefaultPolicy: "deny",
      AgentACLDownPolicy: "extend-cache",
    });
    t.equal((Object(json) as { ExpandedPolicies: [] }).ExpandedPolicies.length, 4, "each once");
  }
  t.match((await as(made.SecretID)("GET", "/v1/acl/token/self?expanded")).json, {
    ExpandedRoles: [{ Name: "r" }],
  });
  const bare = tokenOf(await admin("PUT", "/v1/acl/token", {}));
  t.match((await admin("GET", `/v1/acl/token/${bare.AccessorID}?expanded`)).json, {
    ExpandedPolicies: null,
    ExpandedRoles: null,
  });
  const self = await as(bare.SecretID)("GET", "/v1/acl/token/self?expanded");
  t.equal(self.status, 200);
  t.notOk(self.text.includes("Expanded"), "rules are for those who may read ACLs");
});
