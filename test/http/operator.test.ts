// /v1/operator where the recorded scenarios are silent: rights, keyrings, several settings.
import t from "tap";
import { loadKeyrings } from "../../src/cluster/keyring/driver.ts";
import { operatorRoutes } from "../../src/http/operator.ts";
import { denying, ROOT } from "./guarded.ts";
import { createServer, registerService, type Server } from "./harness.ts";

const key = (octet: number, octets = 16) => Buffer.alloc(octets, octet).toString("base64");
const [a, b] = [key(1), key(2, 32)];
const keyringPath = "/v1/operator/keyring";

async function create(
  options: {
    encrypt?: string;
    pools?: ("lan" | "wan")[];
    leads?: boolean;
    acl?: Parameters<typeof createServer>[0];
  } = {},
): Promise<Server> {
  const keyrings = await loadKeyrings({
    dataDir: undefined,
    encrypt: options.encrypt ?? "",
    pools: options.pools ?? ["lan", "wan"],
    warn() {},
  });
  const server: Server = createServer({
    ...options.acl,
    more: operatorRoutes({
      autopilot: () => server.state.autopilot,
      lastEntry: () => ({ term: 2, index: server.state.reader.index }),
      leadsSinceMs: () => (options.leads === false ? undefined : 1_700_000_000_000),
      keyrings,
    }),
  });
  await server.propose({ type: "epoch", epoch: 1 });
  return server;
}

t.test("keyring: list, install, use, remove on both pools", async (t) => {
  const server = await create({ encrypt: a });
  const ask = async (method: string, Key?: string) => {
    const answer = await server.ask(
      method,
      keyringPath,
      Key === undefined ? {} : { body: { Key } },
    );
    return { status: answer.status, text: answer.text, json: answer.json };
  };
  const pool = (isWan: boolean, keys: string[]) => ({
    WAN: isWan,
    Datacenter: "dc1",
    Segment: "",
    Keys: Object.fromEntries(keys.map((each) => [each, 1])),
    PrimaryKeys: { [keys[0]!]: 1 },
    NumNodes: 1,
  });
  t.same((await ask("GET")).json, [pool(true, [a]), pool(false, [a])]);
  t.match(await ask("POST", b), { status: 200, text: "" });
  t.same((await ask("GET")).json, [pool(true, [a, b]), pool(false, [a, b])]);
  t.match(await ask("PUT", b), { status: 200, text: "" });
  t.same((await ask("GET")).json, [pool(true, [b, a]), pool(false, [b, a])]);
  t.match(await ask("DELETE", b), {
    status: 500,
    text:
      "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n" +
      "\t* node-a.dc1: Removing the primary key is not allowed\n" +
      "\t* dc1 (LAN) error: 1/1 nodes reported failure\n" +
      "\t* node-a: Removing the primary key is not allowed\n\n",
  });
  t.match(await ask("DELETE", a), { status: 200, text: "" });
  t.match(await ask("PUT", a), { status: 500, text: /Requested key is not in the keyring/ });
  t.match(await ask("POST", "AAAA"), { status: 500, text: /key size must be 16, 24 or 32 bytes/ });
  t.match(await ask("POST", "?"), { status: 500, text: /illegal base64 data/ });
  const local = await server.ask("GET", `${keyringPath}?local-only=true&relay-factor=5`);
  t.same(local.json, [pool(false, [b])]);
});

t.test("keyring: without encryption it says so", async (t) => {
  const server = await create({ pools: ["lan"] });
  const list = await server.ask("GET", keyringPath);
  t.same(
    [list.status, list.text],
    [
      500,
      "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n" +
        "\t* node-a: Keyring is empty (encryption not enabled)\n\n",
    ],
  );
  const install = await server.ask("POST", keyringPath, { body: { Key: a } });
  t.match(install.text, /node-a: No keyring to modify \(encryption not enabled\)/);
});

t.test("rights", async (t) => {
  const server = await create({ encrypt: a, acl: { acl: denying() } });
  const missing = "Permission denied: Missing operator";
  const refused: [string, string, number, string][] = [
    ["GET", keyringPath, 500, "Reading keyring denied by ACLs"],
    ["POST", keyringPath, 500, "Modifying keyring denied due to ACLs"],
    ["GET", "/v1/operator/raft/configuration", 403, "Permission denied"],
    ["DELETE", "/v1/operator/raft/peer?id=x", 403, "Permission denied"],
    ["POST", "/v1/operator/raft/transfer-leader", 403, "Permission denied"],
    ["GET", "/v1/operator/usage", 403, "Permission denied"],
    ["GET", "/v1/operator/autopilot/configuration", 403, `${missing}:read permissions`],
    ["PUT", "/v1/operator/autopilot/configuration", 403, `${missing}:write permissions`],
    ["GET", "/v1/operator/autopilot/health", 403, `${missing}:read permissions`],
    ["GET", "/v1/operator/autopilot/state", 403, `${missing}:read permissions`],
  ];
  for (const [method, path, status, text] of refused) {
    const body = method === "GET" || method === "DELETE" ? {} : { body: {} };
    const answer = await server.ask(method, path, body);
    t.same([answer.status, answer.text], [status, text], `${method} ${path}`);
  }
  const list = await server.ask("GET", `${keyringPath}?token=${ROOT}`);
  t.equal(list.status, 200);
});

t.test("autopilot: the first entry brings the defaults, a set replaces all", async (t) => {
  const server = await create();
  const path = "/v1/operator/autopilot/configuration";
  const get = async () => (await server.ask("GET", path)).json as Record<string, unknown>;
  t.match(await get(), { CleanupDeadServers: true, CreateIndex: 1, ModifyIndex: 1 });
  const set = (query: string, body: unknown) => server.ask("PUT", path + query, { body });
  t.equal((await set("", { LastContactThreshold: 1500000, MinQuorum: 3 })).text, "true");
  t.match(await get(), {
    CleanupDeadServers: false,
    LastContactThreshold: "1.5ms",
    MinQuorum: 3,
    CreateIndex: 1,
    ModifyIndex: 2,
  });
  t.equal((await set("?cas=1", {})).text, "false");
  t.equal((await set("?cas=18446744073709551615", {})).text, "false");
  t.equal((await set("?cas=2", { UpgradeVersionTag: "v" })).text, "true");
  t.match(await get(), { UpgradeVersionTag: "v", MinQuorum: 0, CreateIndex: 1 });
  for (const body of [{ MinQuorum: -1 }, { MaxTrailingLogs: 1.5 }, { CleanupDeadServers: "no" }]) {
    const refused = await set("", body);
    t.equal(refused.status, 400, JSON.stringify(body));
    t.match(refused.text, /^Bad request: Error parsing autopilot config: json: cannot unmarshal/);
  }
  t.equal((await set("?cas=-1", {})).status, 400);
  const copy = await create();
  await copy.state.install(server.state.snapshot().chunks);
  t.same(copy.state.autopilot, server.state.autopilot, "snapshots carry it");
});

t.test("health: 429 while nobody leads, with the same body", async (t) => {
  const well = await (await create()).ask("GET", "/v1/operator/autopilot/health");
  t.equal(well.status, 200);
  t.match(well.json, { Healthy: true, Servers: [{ StableSince: "2023-11-14T22:13:20.000Z" }] });
  const ill = await (await create({ leads: false })).ask("GET", "/v1/operator/autopilot/health");
  t.equal(ill.status, 429);
  t.match(ill.json, { Healthy: false, FailureTolerance: 0, Servers: [{ Healthy: false }] });
  const state = await (await create()).ask("GET", "/v1/operator/autopilot/state");
  const id = "aaaaaaaa-0000-4000-8000-000000000001";
  t.match(state.json, { Leader: id, Voters: [id], Servers: { [id]: { Status: "leader" } } });
});

t.test("the only server cannot be removed, nor hand over", async (t) => {
  const server = await create();
  const cases: [string, string, RegExp][] = [
    ["DELETE", "raft/peer?address=127.0.0.1:8300", /^need at least one voter in configuration/],
    [
      "DELETE",
      "raft/peer?id=aaaaaaaa-0000-4000-8000-000000000001",
      /^need at least one voter in configuration/,
    ],
    ["POST", "raft/transfer-leader", /^cannot find peer/],
    ["POST", "raft/transfer-leader?id=x", /^id "x" was not found in the Raft configuration$/],
  ];
  for (const [method, path, text] of cases) {
    const answer = await server.ask(method, `/v1/operator/${path}`);
    t.equal(answer.status, 500, path);
    t.match(answer.text, text, path);
  }
});

t.test("usage counts nodes, names and instances", async (t) => {
  const server = await create();
  await registerService(server, "n1", "web");
  await registerService(server, "n2", "web");
  await registerService(server, "n2", "Web", { ID: "upper" });
  await registerService(server, "n2", "proxy", { Kind: "connect-proxy" });
  await registerService(server, "n2", "odd", { Kind: "constructor" });
  const { json } = await server.ask("GET", "/v1/operator/usage");
  t.match(json, {
    Usage: {
      dc1: {
        Nodes: 2,
        Services: 4,
        ServiceInstances: 5,
        ConnectServiceInstances: { "connect-proxy": 1, "mesh-gateway": 0 },
        BillableServiceInstances: 4,
      },
    },
    KnownLeader: true,
  });
});
