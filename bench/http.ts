/**
 * Rows on the HTTP API: KV, health, registrations of the agent, and how fast a change reaches a blocked
 * query; beside one etcd member where it has the operation, and beside a bare hono route on the same
 * runtime, which is as cheap as a request can be here.
 */
import { etcdGet, etcdPut } from "./etcd.ts";
import { openConnection } from "./http-connection.ts";
import { inTurns, type Asked } from "./load.ts";
import type { Server } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startEtcd, startHono, startWaypost, type Waypost } from "./servers.ts";

const KEYS = 1_000;
const CHANGES = 2_000;

const kvPutLua = `
local value = string.rep("x", 190) .. os.time()
local n = 0
function request()
  n = n + 1
  return wrk.format("PUT", string.format("/v1/kv/bench/key/%010d", n), nil, value)
end
`;
const kvGetLua = `
local paths = {}
for n = 1, ${KEYS} do paths[n] = string.format("/v1/kv/bench/key/%010d", n) end
local n = 0
function request()
  n = n % ${KEYS} + 1
  return wrk.format("GET", paths[n])
end
`;
const getLua = (path: string) => `function request() return wrk.format("GET", "${path}") end`;

// A definition of about 200 octets; each request changes one of 1,000 services of the agent.
const agentRegisterLua = `
local n = os.time() % 1000 * 1000
function request()
  n = n + 1
  local body = string.format(
    '{"ID":"own-%d","Name":"own-%d","Port":8080,"Tags":["v%d"],"Address":"10.1.%d.%d","Meta":{"purpose":"to be registered again and again by the bench"}}',
    n % 1000, n % 100, n, math.floor(n / 250) % 250, n % 250)
  return wrk.format("PUT", "/v1/agent/service/register", nil, body)
end
`;

/** All rows of the group. */
export async function http(): Promise<Row[]> {
  const waypost = await startWaypost();
  const etcd = await startEtcd();
  const rows = [...(await puts(waypost, etcd)), ...(await reads(waypost, etcd))];
  rows.push(...(await recurse(waypost)), ...(await changeToAnswer(waypost)));
  rows.push(...(await agentRegistrations(waypost, etcd)));
  await etcd.stop();
  await waypost.stop();
  return rows;
}

async function puts({ http: ours }: Waypost, etcd: Server): Promise<Row[]> {
  const asked = [
    { server: ours, lua: kvPutLua },
    { server: etcd, lua: etcdPut },
  ];
  const [many, theirMany] = await inTurns(asked, 32);
  const [one, theirOne] = await inTurns(asked, 1);
  const rates = [many!.perSecond, theirMany!.perSecond] as const;
  const cpu = [many!.cpuMicrosPerRequest, theirMany!.cpuMicrosPerRequest] as const;
  const singles = [one!.perSecond, theirOne!.perSecond] as const;
  const what = "KV put 200 B";
  return [
    ratio(`${what}, 32 connections`, "/s", rates[0], "etcd", rates[1], "at least", 1.5),
    ratio(`${what}, 32 connections`, "us CPU", cpu[0], "etcd", cpu[1], "at most", 0.5),
    ratio(`${what}, 1 connection`, "/s", singles[0], "etcd", singles[1], "at least", 1.2),
  ];
}

async function reads(waypost: Waypost, etcd: Server): Promise<Row[]> {
  const { httpPort } = waypost;
  for (let n = 0; n < 10; n++) {
    const Service = { ID: `ten-${n}`, Service: "ten", Port: 8080 + n, Tags: ["v1"] };
    const Check = { CheckID: `ten-${n}`, Name: "up", Status: "passing", ServiceID: `ten-${n}` };
    const node = { Node: `node-${n}`, Address: `10.0.0.${n}` };
    await put(httpPort, "/v1/catalog/register", JSON.stringify({ ...node, Service, Check }));
  }
  for (let n = 1; n <= KEYS; n++)
    await put(httpPort, `/v1/kv/bench/key/${String(n).padStart(10, "0")}`, "x".repeat(200));
  const path = "/v1/health/service/ten";
  const list: unknown = await (await fetch(`http://127.0.0.1:${httpPort}${path}`)).json();
  const hono = await startHono(list);
  const keys = [
    { server: waypost.http, lua: kvGetLua },
    { server: hono, lua: kvGetLua },
    { server: etcd, lua: etcdGet },
  ];
  const lists = [waypost.http, hono].map((server) => ({ server, lua: getLua(path) }));
  const costs = async (asked: readonly Asked[]) =>
    (await inTurns(asked, 32)).map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest);
  const [get, bareGet, theirs] = await costs(keys);
  const [health, bareHealth] = await costs(lists);
  await hono.stop();
  const what = "health/service, 10 instances";
  return [
    absolute("KV get, 32 connections", "us CPU", get!, 13),
    ratio("KV get, 32 connections", "us CPU", get!, "etcd", theirs!, "at most", 0.5),
    ratio("KV get, 32 connections", "us CPU", get!, hono.name, bareGet!, "at most", 1.45),
    absolute(what, "us CPU", health!, 25),
    ratio(what, "us CPU", health!, hono.name, bareHealth!, "at most", 1.93),
  ];
}

async function recurse(waypost: Waypost): Promise<Row[]> {
  for (let n = 0; n < KEYS; n++)
    await put(waypost.httpPort, `/v1/kv/tree/${String(n).padStart(6, "0")}`, "v".repeat(150));
  const asked = [{ server: waypost.http, lua: getLua("/v1/kv/tree/?recurse") }];
  const [tree] = await inTurns(asked, 32);
  const what = "kv?recurse of 1,000 keys of 150 B";
  return [absolute(what, "us CPU", tree!.cpuMicrosPerRequest, 400)];
}

async function agentRegistrations({ http: ours }: Waypost, etcd: Server): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [connections, bar] of [
    [1, 0.8],
    [32, 1.2],
  ] as const) {
    const asked = [
      { server: ours, lua: agentRegisterLua },
      { server: etcd, lua: etcdPut },
    ];
    const [mine, theirs] = await inTurns(asked, connections);
    const what = `agent/service/register, ${connections} connection${connections === 1 ? "" : "s"}`;
    const rates = [mine!.perSecond, theirs!.perSecond] as const;
    rows.push(ratio(what, "/s", rates[0], "etcd puts", rates[1], "at least", bar));
  }
  return rows;
}

/** From sending the PUT until the blocked query has its answer, so the write itself is in it. */
async function changeToAnswer({ httpPort }: Waypost): Promise<Row[]> {
  const waiter = await openConnection(httpPort);
  const writer = await openConnection(httpPort);
  const path = "/v1/kv/bench/watched";
  await writer.ask("PUT", path, "0");
  const tookMs: number[] = [];
  let index = (await waiter.ask("GET", path)).index;
  for (let n = 1; n <= CHANGES; n++) {
    const blocked = waiter.ask("GET", `${path}?index=${index}&wait=60s`);
    // The waiter must be waiting: an answer that comes at once would measure nothing.
    await new Promise((resolve) => setTimeout(resolve, 2));
    const sentMs = performance.now();
    const written = writer.ask("PUT", path, String(n));
    const answer = await blocked;
    tookMs.push(performance.now() - sentMs);
    if (answer.index <= index) throw new Error(`answered with index ${answer.index}`);
    index = answer.index;
    await written;
  }
  waiter.close();
  writer.close();
  tookMs.sort((a, b) => a - b);
  const quantile = (share: number) => tookMs[Math.floor(tookMs.length * share)]!;
  return [
    absolute("change sent to blocked query answered, p50", "ms", quantile(0.5), 1),
    absolute("change sent to blocked query answered, p99", "ms", quantile(0.99), 5),
  ];
}

async function put(port: number, path: string, body: string): Promise<void> {
  const reply = await fetch(`http://127.0.0.1:${port}${path}`, { method: "PUT", body });
  if ((await reply.text()) !== "true") throw new Error(`PUT ${path}: ${reply.status}`);
}
