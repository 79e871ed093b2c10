/** `acl` and its subcommands; layouts as Consul 1.10 prints them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runAcl } from "./run-acl.ts";
import { runCli, type RunOptions } from "./run.ts";

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const management = "00000000-0000-0000-0000-000000000001";
const anonymous = "00000000-0000-0000-0000-000000000002";
const accessor = "11111111-2222-4333-8444-555555555555";
const secret = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";

const program = await startProgram(t, { acl: { enabled: true, default_policy: "deny" } });
const agent = program.httpPort;
/** Of the first token. */
let root = "";

/** One command as the first token. */
const acl = (line: string | string[], options?: RunOptions) => runAcl(agent, root, line, options);

/** Lines that are refused, at the same time: code 1, nothing on standard output, this text on standard error. */
async function refused(t: Test, ...rows: [line: string | string[], err: string | RegExp][]) {
  await Promise.all(
    rows.map(async ([line, err]) => {
      const result = await acl(line);
      t.same({ code: result.code, out: result.out }, { code: 1, out: "" }, String(line));
      t.match(result.err, err, String(line));
    }),
  );
}

const good = (out: string) => ({ code: 0, out, err: "" });

t.test("bootstrap", async (t) => {
  const chosen = "0a1b2c3d-1111-4222-8333-444455556666";
  await refused(
    t,
    ["bootstrap a b", "This command takes up to one argument\n"],
    ["bootstrap word", /500 \(Invalid Token: SecretID is not a valid UUID\)\n$/],
    ["bootstrap @/nowhere", /^Error reading provided token: .*no such file or directory\n$/],
  );
  const { code, out, err } = await runCli(agent, ["acl", "bootstrap", "-"], {
    input: `${chosen}\n`,
  });
  t.same({ code, err }, { code: 0, err: "" });
  t.match(out, `SecretID:         ${chosen}\n`);
  root = /^SecretID: +(.*)$/m.exec(out)![1]!;
  t.match(
    out,
    new RegExp(
      `^AccessorID: {7}${uuid.source}\\nSecretID: {9}${uuid.source}\\n` +
        "Description: {6}Bootstrap Token \\(Global Management\\)\\nLocal: {12}false\\n" +
        "Create Time: {6}\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(\\.\\d+)? \\+0000 UTC\\n" +
        `Policies:\\n   ${management} - global-management\\n\\n$`,
    ),
  );
  await refused(
    t,
    [
      "bootstrap",
      /^Failed ACL bootstrapping: Unexpected response code: 403 \(Permission denied: .*reset index: \d+\)\)\n$/,
    ],
    ["bootstrap -format=yaml", "Unknown format: yaml\n"],
  );
});

t.test("policy", async (t) => {
  const rules = 'key_prefix "a/" { policy = "read" }';
  const created = await acl([
    "policy",
    "create",
    "-name",
    "readers",
    "-description",
    "May read",
    "-valid-datacenter",
    "dc1",
    "-valid-datacenter",
    "dc2",
    "-rules",
    rules,
  ]);
  const id = uuid.exec(created.out)![0];
  const text = `ID:           ${id}\nName:         readers\nDescription:  May read\nDatacenters:  dc1, dc2\n`;
  t.same(created, good(`${text}Rules:\n${rules}\n`));
  for (const by of [`-id ${id}`, `-id ${id.slice(0, 9)}`, "-name readers"])
    t.same(await acl(`policy read ${by}`), good(`${text}Rules:\n${rules}\n`), by);
  const meta = "Hash:         HASH\nCreate Index: N\nModify Index: N\n";
  t.same(await acl("policy read -meta -name readers"), good(`${text}${meta}Rules:\n${rules}\n`));
  const json = JSON.parse((await acl("policy read -format=json -name readers")).out) as object;
  t.same(
    Object.keys(json),
    "ID Name Description Rules Datacenters Hash CreateIndex ModifyIndex".split(" "),
  );

  const path = join(temporaryDirectory(t), "rules.hcl");
  writeFileSync(path, 'operator = "read"\n');
  t.match(await acl(`policy update -name readers -rules @${path}`), {
    code: 0,
    out: `${text}Rules:\noperator = "read"\n\n`,
  });
  t.match(await acl(`policy update -id ${id.slice(0, 8)} -name other -rules -`, { input: rules }), {
    code: 0,
    out: `${text.replace("readers", "other")}Rules:\n${rules}\n`,
  });
  t.match(await acl(`policy update -id ${id} -no-merge -name readers`), {
    code: 0,
    out: `ID:           ${id}\nName:         readers\nDescription:  \nDatacenters:  \nRules:\n\n`,
  });
  const list = await acl("policy list");
  t.equal(list.code, 0);
  t.match(
    list.out,
    new RegExp(`^global-management:\\n   ID: {11}${management}\\n   Description:  `),
  );
  t.match(list.out, `readers:\n   ID:           ${id}\n   Description:  \n   Datacenters:  \n\n`);
  t.match((await acl("policy list -meta")).out, "   Hash:         HASH\n   Create Index: N\n");
  t.match(JSON.parse((await acl("policy list -format json")).out), [
    { ID: management },
    { ID: id },
  ]);

  await refused(
    t,
    ["policy create", /^Missing required '-name' flag\n\nUsage: waypost acl policy/],
    [
      "policy create -name x -rules @/nowhere",
      /^Error loading rules: Failed to read file: .*\/nowhere/,
    ],
    [
      "policy create -name x -rules bad",
      /^Failed to create new policy: Unexpected response code: 500 \(/,
    ],
    ["policy create -name readers", /^Failed to create new policy: .*readers/],
    [
      "policy create -name x -rules a -from-token b",
      "Error loading rules: Cannot specify both -rules and -from-token\n",
    ],
    [
      `policy create -name x -from-token ${anonymous}`,
      "Error loading rules: Token is not a legacy token with rules\n",
    ],
  );
  for (const word of ["read", "update", "delete"])
    await refused(
      t,
      [`policy ${word}`, "Must specify either the -id or -name parameters\n"],
      [
        "policy read -id 7777",
        "Error determining policy ID: No such policy ID with prefix: 7777\n",
      ],
      [
        "policy read -name nobody",
        /^Error determining policy ID: Failed to find policy with name nobody: /,
      ],
      [`policy read -id ${secret}`, /^Error reading policy "aaaaaaaa-.*403 \(ACL not found\)/],
    );
  t.same(await acl("policy create -name short"), {
    ...good((await acl("policy read -name short")).out),
  });
  t.match(await acl("policy delete -name short"), {
    code: 0,
    out: new RegExp(`^Policy "${uuid.source}" deleted successfully\\n$`),
  });
});

t.test("role", async (t) => {
  const created = await acl(
    "role create -name web -description Front -policy-name readers -service-identity web:dc1,dc2 -service-identity api -node-identity n1:dc1",
  );
  const [id, policyId] = created.out.match(new RegExp(uuid, "g")) ?? [];
  const head = `ID:           ${id}\nName:         web\nDescription:  Front\n`;
  const grants =
    `Policies:\n   ${policyId} - readers\nService Identities:\n   web (Datacenters: dc1, dc2)\n` +
    "   api (Datacenters: all)\nNode Identities:\n   n1 (Datacenter: dc1)\n";
  t.same(created, good(`${head}${grants}\n`));
  for (const by of [`-id ${id}`, `-id ${id!.slice(0, 8)}`, "-name web"])
    t.same(await acl(`role read ${by}`), good(`${head}${grants}\n`), by);
  t.match(await acl("role read -name web -meta"), {
    out: `${head}Hash:         HASH\nCreate Index: N\nModify Index: N\nPolicies:\n`,
  });
  t.same(JSON.parse((await acl("role read -name web -format json")).out), {
    ...(JSON.parse((await acl("role read -name web -format json")).out) as object),
    ServiceIdentities: [
      { ServiceName: "web", Datacenters: ["dc1", "dc2"] },
      { ServiceName: "api" },
    ],
    NodeIdentities: [{ NodeName: "n1", Datacenter: "dc1" }],
  });
  t.same(
    await acl(
      `role update -id ${id} -description New -policy-id ${policyId!.slice(0, 8)} -service-identity web -service-identity db -node-identity n1:dc1`,
    ),
    good(
      `${head.replace("Front", "New")}Policies:\n   ${policyId} - readers\nService Identities:\n` +
        "   web (Datacenters: all)\n   api (Datacenters: all)\n   db (Datacenters: all)\n" +
        "Node Identities:\n   n1 (Datacenter: dc1)\n\n",
    ),
  );
  t.same(
    await acl(`role update -id ${id} -no-merge -name web -policy-name readers`),
    good(
      `ID:           ${id}\nName:         web\nDescription:  \nPolicies:\n   ${policyId} - readers\n\n`,
    ),
  );
  t.same(
    await acl("role list"),
    good(
      `web:\n   ID:           ${id}\n   Description:  \n   Policies:\n      ${policyId} - readers\n\n`,
    ),
  );
  t.match(JSON.parse((await acl("role list -format json")).out), [{ ID: id, Name: "web" }]);

  await refused(
    t,
    ["role create", /^Missing required '-name' flag\n\nUsage/],
    [
      "role create -name x",
      "Cannot create a role without specifying -policy-name, -policy-id, -service-identity, or -node-identity at least once\n",
    ],
    ["role create -name x -node-identity n1", 'Malformed -node-identity argument: "n1"\n'],
    [
      "role create -name x -service-identity a:b:c",
      'Malformed -service-identity argument: "a:b:c"\n',
    ],
    [
      "role create -name x -policy-id 7777",
      "Error resolving policy ID 7777: No such policy ID with prefix: 7777\n",
    ],
    ["role read", "Must specify either the -id or -name parameters\n"],
    ["role read -name ghost", 'Role not found with name "ghost"\n'],
    [`role read -id ${secret}`, `Role not found with ID "${secret}"\n`],
    ["role update -name x", "Cannot update a role without specifying the -id parameter\n"],
    [`role update -id ${secret}`, `Role not found with ID "${secret}"\n`],
    ["role delete", "Must specify the -id or -name parameters\n"],
    ["role delete -name ghost", "Error determining role ID: No such role with name ghost\n"],
  );
  await acl("role create -name gone -policy-name readers");
  t.match(await acl("role delete -name gone"), {
    code: 0,
    out: new RegExp(`^Role "${uuid.source}" deleted successfully\\n$`),
  });
});

t.test("token", async (t) => {
  const [policyId] = uuid.exec((await acl("policy read -name readers")).out) ?? [];
  const [roleId] = uuid.exec((await acl("role read -name web")).out) ?? [];
  const policies = `Policies:\n   ${policyId} - readers\n`;
  const head = (description: string) =>
    `AccessorID:       ${accessor}\nSecretID:         ${secret}\nDescription:      ${description}\n` +
    "Local:            true\nCreate Time:      TIME\nExpiration Time:  TIME\n";
  const body =
    `${policies}Roles:\n   ${roleId} - web\nService Identities:\n   db (Datacenters: all)\n` +
    "Node Identities:\n   n1 (Datacenter: dc1)\n";
  t.same(
    await acl(
      `token create -accessor ${accessor} -secret ${secret} -local -description <app> -expires-ttl 2h -policy-id ${policyId!.slice(0, 8)} -role-id ${roleId!.slice(0, 8)} -service-identity db -node-identity n1:dc1`,
    ),
    good(`${head("<app>")}${body}\n`),
  );
  for (const by of [`-id ${accessor}`, "-id 11111111", "-accessor-id 11111111"])
    t.same(await acl(`token read ${by}`), good(`${head("<app>")}${body}\n`), by);
  t.same(
    await acl("token read -self -meta", { env: { CONSUL_HTTP_TOKEN: secret } }),
    good(
      `${head("<app>")}Hash:             HASH\nCreate Index:     N\nModify Index:     N\n${body}\n`,
    ),
  );
  const json = (await acl("token read -id 1111 -format=json")).out;
  t.match(json, /^\{\n {4}"CreateIndex": \d+,\n/);
  t.match(json, '"Description": "\\u003capp\\u003e"', "as Go escapes it");
  t.same(
    Object.keys(JSON.parse(json) as object),
    "CreateIndex ModifyIndex AccessorID SecretID Description Policies Roles ServiceIdentities NodeIdentities Local ExpirationTime CreateTime Hash".split(
      " ",
    ),
  );

  const update = (line: string) => acl(`token update -id ${accessor} ${line}`);
  t.same(
    await update(
      "-merge-policies -policy-name readers -merge-roles -merge-service-identities -service-identity api -merge-node-identities -node-identity n2:dc1",
    ),
    good(
      `${head("<app>")}${policies}Roles:\n   ${roleId} - web\nService Identities:\n   db (Datacenters: all)\n   api (Datacenters: all)\n` +
        "Node Identities:\n   n1 (Datacenter: dc1)\n   n2 (Datacenter: dc1)\n\n",
    ),
    "merged",
  );
  t.same(
    await update("-description second -policy-name global-management"),
    good(`${head("second")}Policies:\n   ${management} - global-management\n\n`),
    "replaced",
  );
  t.same(
    await update(
      "-append-policy-name readers -append-role-name web -append-service-identity db -append-node-identity n1:dc1",
    ),
    good(
      `${head("second")}Policies:\n   ${management} - global-management\n   ${policyId} - readers\n${body.slice(policies.length)}\n`,
    ),
    "appended",
  );
  await refused(
    t,
    [
      `token update -id ${accessor} -policy-name a -append-policy-id b`,
      /^Cannot combine the use of policy-id\/policy-name flags with append- variants\. /,
    ],
    [
      `token update -id ${accessor} -upgrade-legacy`,
      "Can't use -upgrade-legacy on a non-legacy token\n",
    ],
  );

  const clone = await acl(`token clone -id ${accessor} -description copy`);
  t.match(clone, {
    code: 0,
    out: /^AccessorID: .*\nSecretID: .*\nDescription:      copy\nLocal:            true\n/,
  });
  const [cloneId] = uuid.exec(clone.out)!;
  const list = await acl("token list");
  t.match(
    list.out,
    `${head("second")}Legacy:           false\nPolicies:\n   ${management} - global-management\n`,
  );
  t.match(list.out, new RegExp(`^AccessorID: {7}${anonymous}\\n.*\\n\\nAccessorID`, "s"));
  t.match((await acl("token list -meta")).out, "Legacy:           false\nHash:             HASH\n");
  t.match(
    (JSON.parse((await acl("token list -format json")).out) as { AccessorID: string }[]).map(
      ({ AccessorID }) => AccessorID,
    ),
    new Set([anonymous, accessor, cloneId]),
  );
  t.same(
    await acl(`token delete -id ${cloneId.slice(0, 8)}`),
    good(`Token "${cloneId}" deleted successfully\n`),
  );
  t.match(await acl("token read -id anonymous"), {
    code: 0,
    out: `AccessorID:       ${anonymous}`,
  });

  await refused(
    t,
    [
      "token create",
      "Cannot create a token without specifying -policy-name, -policy-id, -role-name, -role-id, -service-identity, or -node-identity at least once\n",
    ],
    [
      "token create -policy-name ghost",
      /^Failed to create new token: Unexpected response code: 500 \(No such ACL policy with name "ghost"\)\n$/,
    ],
    [
      "token create -role-id 7777",
      "Error resolving role ID 7777: No such role ID with prefix: 7777\n",
    ],
    [
      "token create -policy-name readers -expires-ttl 1s",
      /^Failed to create new token: .*cannot be less than 1m0s/,
    ],
    [
      "token create -policy-name readers -expires-ttl soon",
      /^invalid value "soon" for flag -expires-ttl: time: invalid duration "soon"\n\nUsage: /,
    ],
    ["token read", "Must specify the -id parameter\n"],
    ["token delete", "Must specify the -id parameter\n"],
    ["token update", "Cannot update a token without specifying the -id parameter\n"],
    ["token clone", "Cannot update a token without specifying the -id parameter\n"],
    ["token read -id 7777", "Error determining token ID: No such token ID with prefix: 7777\n"],
    [
      `token read -id ${management}`,
      /^Error reading token ".*": Unexpected response code: 403 \(ACL not found\)\n$/,
    ],
    ["token list now", "Too many arguments (expected 0, got 1)\n"],
  );
  const denied = await acl("token list", { env: { CONSUL_HTTP_TOKEN: "" } });
  t.same(denied, {
    code: 1,
    out: "",
    err: "Failed to retrieve the token list: Unexpected response code: 403 (Permission denied)\n",
  });
});

t.test("a beginning that several ids have is refused", async (t) => {
  await acl("token create -policy-name readers -accessor 99999999-1111-4111-8111-111111111111");
  await acl("token create -policy-name readers -accessor 99999999-2222-4111-8111-111111111111");
  await refused(t, [
    "token read -id 9999",
    "Error determining token ID: Partial token ID is not unique\n",
  ]);
});

t.test("set-agent-token", async (t) => {
  for (const type of ["default", "agent", "master", "recovery", "replication"])
    t.same(
      await acl(`set-agent-token ${type} ${secret}`),
      good(`ACL token "${type}" set successfully\n`),
    );
  t.match(await runCli(agent, ["acl", "token", "read", "-self"]), {
    code: 0,
    out: `AccessorID:       ${accessor}`,
  });
  await acl(["set-agent-token", "default", ""]);
  await refused(
    t,
    ["set-agent-token", "Error! Missing TYPE and TOKEN arguments\n"],
    ["set-agent-token agent", "Error! Missing TOKEN argument\n"],
    ["set-agent-token other", "Error! MISSING TYPE argument\n"],
    ["set-agent-token other x", "Unknown token type\n"],
    ["set-agent-token agent x y", "Error! Too many arguments: expected 2 got 3\n"],
  );
});

t.test("translate-rules", async (t) => {
  const old = 'key "a" { policy = "write" }';
  const translated = 'key_prefix "a" {\n  policy = "write"\n}';
  t.same(await acl(["translate-rules", old]), good(`${translated}\n`));
  t.same(await acl("translate-rules -", { input: old }), good(`${translated}\n`));
  await refused(
    t,
    ["translate-rules", "Error! Missing TRANSLATE argument\n"],
    ["translate-rules {", /^Error translating rules: /],
    [`translate-rules -token-secret ${secret}`, "Token is not a legacy token with rules\n"],
    [`translate-rules -token-accessor ${secret}`, /^Error reading token: .*403/],
  );
});
