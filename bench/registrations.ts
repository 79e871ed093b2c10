/** Rows on registrations: PUT /v1/catalog/register against puts on one etcd member, both fsynced. */
import { etcdPut } from "./etcd.ts";
import { inTurns } from "./load.ts";
import { ratio, type Row } from "./rows.ts";
import { startEtcd, startWaypost } from "./servers.ts";

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

/** Rates and CPU with 1 and with 32 connections. */
export async function registrations(): Promise<Row[]> {
  const etcd = await startEtcd();
  const waypost = await startWaypost();
  const rows: Row[] = [];
  for (const [connections, rateBar] of [
    [1, 0.8],
    [32, 1.2],
  ] as const) {
    const asked = [
      { server: waypost.http, lua: registerLua },
      { server: etcd, lua: etcdPut },
    ];
    const [ours, theirs] = await inTurns(asked, connections);
    const what = `registrations, ${connections} connection${connections === 1 ? "" : "s"}`;
    const rates = [ours!.perSecond, theirs!.perSecond] as const;
    rows.push(ratio(what, "/s", rates[0], "etcd puts", rates[1], "at least", rateBar));
    const cpu = [ours!.cpuMicrosPerRequest, theirs!.cpuMicrosPerRequest] as const;
    rows.push(ratio(what, "us CPU", cpu[0], "etcd puts", cpu[1], "at most", 0.5));
  }
  await etcd.stop();
  await waypost.stop();
  return rows;
}
