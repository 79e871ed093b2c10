/** Rows on registrations: PUT /v1/catalog/register against puts on one etcd member, both fsynced. */
import { httpLoad, type HttpResult } from "./load.ts";
import { ratio, type Row } from "./rows.ts";
import { startEtcd, startWaypost } from "./servers.ts";
import type { Server } from "./process.ts";

const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5);
const ROUNDS = 3;

// Each request registers a new instance on one of 1,000 nodes, about 200 octets of JSON.
const registerLua = `
local n = 0
function request()
  n = n + 1
  local id = string.format("web-%d-%d", math.floor(n / 1000), n % 1000)
  local body = string.format(
    '{"Node":"node-%d","Address":"10.0.%d.%d","Service":{"ID":"%s","Service":"web-%d","Port":8080,"Tags":["v1"],"Address":"10.1.%d.%d"}}',
    n % 1000, math.floor((n % 1000) / 250), n % 250, id, n % 500, math.floor(n / 250) % 250, n % 250)
  return wrk.format("PUT", "/v1/catalog/register", nil, body)
end
`;

// etcd's JSON gateway wants base64; 20 octets of key, 200 of value.
const putLua = `
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 3, 0, -1 do
      local six = math.floor(bits / 64 ^ shift) % 64
      out[#out + 1] = alphabet:sub(six + 1, six + 1)
    end
    if not b then out[#out - 1] = "=" end
    if not c then out[#out] = "=" end
  end
  return table.concat(out)
end
local value = base64(string.rep("x", 200))
local n = 0
function request()
  n = n + 1
  local body = string.format('{"key":"%s","value":"%s"}', base64(string.format("bench/key/%010d", n)), value)
  return wrk.format("POST", "/v3/kv/put", nil, body)
end
`;

/** Rates and CPU with 1 and with 32 connections. */
export async function registrations(): Promise<Row[]> {
  const etcd = await startEtcd();
  const waypost = await startWaypost();
  const rows: Row[] = [];
  for (const [connections, rateBar] of [
    [1, 0.8],
    [32, 1.2],
  ] as const) {
    await median(waypost.http, registerLua, connections, 1);
    const ours = await median(waypost.http, registerLua, connections, ROUNDS);
    const theirs = await median(etcd, putLua, connections, ROUNDS);
    const what = `registrations, ${connections} connection${connections === 1 ? "" : "s"}`;
    const rates = [ours.perSecond, theirs.perSecond] as const;
    rows.push(ratio(what, "/s", rates[0], "etcd puts", rates[1], "at least", rateBar));
    const cpu = [ours.cpuMicrosPerRequest, theirs.cpuMicrosPerRequest] as const;
    rows.push(ratio(what, "us CPU", cpu[0], "etcd puts", cpu[1], "at most", 0.5));
  }
  await etcd.stop();
  await waypost.stop();
  return rows;
}

async function median(
  server: Server,
  lua: string,
  connections: number,
  rounds: number,
): Promise<HttpResult> {
  const results: HttpResult[] = [];
  for (let round = 0; round < rounds; round++)
    results.push(await httpLoad(server, { lua, connections, seconds: SECONDS }));
  results.sort((a, b) => a.perSecond - b.perSecond);
  return results[Math.floor(results.length / 2)]!;
}
