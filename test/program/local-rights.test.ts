// Tokens of services from configuration and from the API, with the real program under default deny.
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, type Program } from "../program.ts";

const ROOT = "aaaaaaaa-0000-4000-8000-00000000000a";
const OWN = "bbbbbbbb-0000-4000-8000-00000000000b";
const FILES = "cccccccc-0000-4000-8000-00000000000c";

async function asRoot(program: Program, method: string, path: string, body?: unknown) {
  const mark = path.includes("?") ? "&" : "?";
  const answer = await program.http(method, `${path}${mark}token=${ROOT}`, body);
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.text === "" ? undefined : JSON.parse(answer.text);
}

async function allow(program: Program, secret: string, service: string) {
  const Rules = `service "${service}" { policy = "write" }`;
  await asRoot(program, "PUT", "/v1/acl/policy", { Name: service, Rules });
  const Policies = [{ Name: service }];
  await asRoot(program, "PUT", "/v1/acl/token", { SecretID: secret, Policies });
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`not yet: ${what}`);
    await sleep(100);
  }
}

t.test("services of the configuration wait for their rights", async (t) => {
  const acl = {
    enabled: true,
    default_policy: "deny",
    tokens: { initial_management: ROOT },
  };
  const services = [
    { name: "own", token: OWN, check: { id: "own-ttl", ttl: "1h", status: "passing" } },
    { name: "files", check: { id: "files-ttl", ttl: "1h" } },
  ];
  let program = await startProgram(t, { acl, services });
  const names = async () =>
    Object.keys((await asRoot(program, "GET", "/v1/catalog/services")) as object).sort();
  t.same(await names(), ["consul"], "the server itself needs no token");
  t.same(Object.keys(await asRoot(program, "GET", "/v1/agent/services")).sort(), ["files", "own"]);
  t.match(program.output(), /\[WARN\][^\n]*Service registration blocked by ACLs[^\n]*own/);
  await allow(program, OWN, "own");
  await until("own", async () => (await names()).includes("own"));
  t.match(await asRoot(program, "GET", "/v1/health/checks/own"), [{ Status: "passing" }]);
  t.same(await names(), ["consul", "own"]);
  await allow(program, FILES, "files");
  const path = "/v1/agent/token/config_file_service_registration";
  await asRoot(program, "PUT", path, { Token: FILES });
  await until("files", async () => (await names()).includes("files"));

  const api = "dddddddd-0000-4000-8000-00000000000d";
  await allow(program, api, "api");
  const body = { Name: "api", Check: { CheckID: "api-ttl", TTL: "1h" } };
  const registered = await program.http("PUT", `/v1/agent/service/register?token=${api}`, body);
  t.equal(registered.status, 200, registered.text);
  t.same(await names(), ["api", "consul", "files", "own"]);
  const journal = join(program.dataDir, "local/journal");
  t.match(readFileSync(journal, "utf8"), api, "the token of the request is the service's");
  t.equal(statSync(journal).mode & 0o777, 0o600);
  await program.end("SIGKILL");
  const { dataDir, dnsPort, httpPort } = program;
  const at = { directory: dirname(dataDir), dnsPort, httpPort };
  program = await startProgram(t, { acl, services }, at);
  await program.http("PUT", `/v1/agent/check/pass/api-ttl?token=${api}`);
  t.match(await asRoot(program, "GET", "/v1/health/checks/api"), [{ Status: "passing" }]);
  for (const secret of [OWN, FILES, api]) t.notMatch(program.output(), secret, "no secret");
});
