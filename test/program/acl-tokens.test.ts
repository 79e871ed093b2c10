// The agent's own tokens and the bootstrap file through the real program and its restart.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";

const ROOT = "aaaaaaaa-0000-4000-8000-00000000000a";
const acl = {
  enabled: true,
  default_policy: "deny",
  enable_token_persistence: true,
  tokens: { initial_management: ROOT },
};

const admin = async (program: Program, method: string, path: string, body?: unknown) => {
  const mark = path.includes("?") ? "&" : "?";
  const answer = await program.http(method, `${path}${mark}token=${ROOT}`, body);
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.text === "" ? undefined : JSON.parse(answer.text);
};

t.test("tokens set at run time count at once, also in DNS, and after a restart", async (t) => {
  const program = await startProgram(t, { acl });
  const { dnsPort, httpPort } = program;
  await admin(program, "PUT", "/v1/catalog/register", {
    Node: "web-node",
    Address: "10.0.0.7",
    Service: { Service: "web" },
  });
  const Rules = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }';
  await admin(program, "PUT", "/v1/acl/policy", { Name: "see", Rules });
  const { SecretID } = await admin(program, "PUT", "/v1/acl/token", {
    Policies: [{ Name: "see" }],
  });
  const client = await udpClient(dnsPort);
  t.teardown(() => client.close());
  let questions = 0;
  const addresses = async () => {
    const reply = await client.ask(query(++questions, "web.service.consul"));
    if (reply === undefined) throw new Error("no reply");
    return decode(reply).answers?.length ?? 0;
  };
  const nodes = async (from: Program) =>
    JSON.parse((await from.http("GET", "/v1/catalog/nodes")).text).length;

  t.same([await addresses(), await nodes(program)], [0, 0]);
  t.equal(await addresses(), 0, "and the answer is published");
  await admin(program, "PUT", "/v1/agent/token/default", { Token: SecretID });
  t.same([await addresses(), await nodes(program)], [1, 2]);
  await admin(program, "PUT", "/v1/agent/token/dns", {
    Token: "cccccccc-0000-4000-8000-00000000000c",
  });
  t.same([await addresses(), await nodes(program)], [0, 2], "DNS has its own");
  await admin(program, "PUT", "/v1/agent/token/dns", { Token: "" });
  const recovery = "dddddddd-0000-4000-8000-00000000000d";
  await admin(program, "PUT", "/v1/agent/token/agent_master", { Token: recovery });
  t.equal((await program.http("GET", `/v1/agent/self?token=${recovery}`)).status, 200);

  const file = join(program.dataDir, "acl-tokens.json");
  t.equal(statSync(file).mode & 0o777, 0o600, "readable by the owner alone");
  t.same(JSON.parse(readFileSync(file, "utf8")), { default: SecretID, agent_recovery: recovery });
  t.notMatch(program.output(), SecretID, "no secret in the log");
  await program.end("SIGTERM");

  const directory = dirname(program.dataDir);
  const configured = { ...acl, tokens: { ...acl.tokens, default: ROOT } };
  const next = await startProgram(t, { acl: configured }, { directory, dnsPort, httpPort });
  t.match(next.output(), /acl\.tokens\.default is not used/);
  t.equal(await nodes(next), 2);
  t.equal(
    (await next.http("GET", "/v1/acl/tokens")).status,
    403,
    "the file wins over the configuration",
  );
  t.equal((await next.http("GET", `/v1/agent/self?token=${recovery}`)).status, 200);
  await next.end("SIGTERM");

  const { enable_token_persistence: _, ...without } = acl;
  const last = await startProgram(t, { acl: without }, { directory, dnsPort, httpPort });
  t.equal(await nodes(last), 0, "without persistence the file is not read");
  await last.end("SIGTERM");

  writeFileSync(file, "[");
  const broken = startProgram(t, { acl }, { directory, dnsPort, httpPort });
  await t.rejects(broken, /acl-tokens\.json does not hold tokens; restore it, or remove it/);
});

for (const isKept of [true, false])
  t.test(`tokens of the configuration are read again, kept ones win: ${isKept}`, async (t) => {
    const one = "11111111-0000-4000-8000-000000000001";
    const two = "22222222-0000-4000-8000-000000000002";
    const configured = (tokens: Record<string, string>) => ({
      acl: {
        ...acl,
        enable_token_persistence: isKept,
        tokens: { initial_management: ROOT, ...tokens },
      },
    });
    const program = await startProgram(t, configured({}));
    const Rules = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }';
    await admin(program, "PUT", "/v1/acl/policy", { Name: "see", Rules });
    for (const SecretID of [one, two])
      await admin(program, "PUT", "/v1/acl/token", {
        SecretID,
        Description: SecretID,
        Policies: [{ Name: "see" }],
      });
    const client = await udpClient(program.dnsPort);
    t.teardown(() => client.close());
    let questions = 0;
    const addresses = async () => {
      const reply = await client.ask(query(++questions, "n1.node.consul"));
      if (reply === undefined) throw new Error("no reply");
      return decode(reply).answers?.length ?? 0;
    };
    const own = async () => {
      const { status, text } = await program.http("GET", "/v1/acl/token/self");
      return status === 200 ? JSON.parse(text).Description : status;
    };
    const reload = () => admin(program, "PUT", "/v1/agent/reload");

    t.same([await own(), await addresses(), await addresses()], [403, 0, 0]);
    program.configure(configured({ default: one, agent_recovery: two }));
    await reload();
    t.same([await own(), await addresses()], [one, 1], "DNS has not kept its denial");
    t.equal((await program.http("GET", `/v1/agent/self?token=${two}`)).status, 200);
    await admin(program, "PUT", "/v1/agent/token/default", { Token: two });
    t.equal(await own(), two);
    await reload();
    t.equal(await own(), isKept ? two : one);
    program.configure(configured({}));
    await reload();
    t.same([await own(), await addresses()], isKept ? [two, 1] : [403, 0]);
    t.equal(/acl\.tokens\.default is not used/.test(program.output()), isKept);
    t.notMatch(program.output(), /acl\.tokens\.default has changed/);
    await program.end("SIGTERM");
  });

t.test("acl-bootstrap-reset in the data directory allows one more bootstrap", async (t) => {
  const program = await startProgram(t, { acl: { enabled: true, default_policy: "deny" } });
  const boot = () => program.http("PUT", "/v1/acl/bootstrap");
  t.equal((await boot()).status, 200);
  const refused = await boot();
  t.equal(refused.status, 403);
  const index = /reset index: (\d+)/.exec(refused.text)![1]!;
  const file = join(program.dataDir, "acl-bootstrap-reset");
  writeFileSync(file, `${index}\n`);
  const again = await boot();
  t.equal(again.status, 200);
  t.throws(() => statSync(file), { code: "ENOENT" }, "it is used up");
  t.equal((await boot()).status, 403);
  const { SecretID } = JSON.parse(again.text);
  t.equal((await program.http("GET", `/v1/acl/tokens?token=${SecretID}`)).status, 200);
});
