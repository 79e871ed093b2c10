/** Clients of the real program that leave while their query is blocked: nothing of them stays. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, type Program } from "../program.ts";

const LIMIT_MS = 10_000;

/** Blocked queries of the program, once they are `wanted` or the limit is over. */
async function blockedQueries(program: Program, wanted: number): Promise<number> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    const { text } = await program.http("GET", "/metrics");
    const count = Number(/^waypost_http_blocked_queries (\d+)$/m.exec(text)?.[1]);
    if (count === wanted || Date.now() > deadline) return count;
    await sleep(20);
  }
}

async function ask(program: Program, path: string, socket?: Socket): Promise<Socket> {
  const client = socket ?? connect(program.httpPort, "127.0.0.1");
  if (socket === undefined) await once(client, "connect");
  client.on("error", () => {}); // a reset of our own
  client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return client;
}

async function setUp(program: Program): Promise<string[]> {
  await program.http("PUT", "/v1/kv/a/b", "1");
  await program.http("PUT", "/v1/agent/service/register", { Name: "web", Port: 80 });
  const { text } = await program.http("GET", "/v1/agent/service/web");
  const { ContentHash: hash } = JSON.parse(text) as { ContentHash: string };
  return [
    "/v1/kv/a/b?index=100000&wait=10m",
    "/v1/kv/a/?recurse&index=100000&wait=10m",
    "/v1/kv/?keys&index=100000",
    "/v1/kv/missing?index=100000&wait=10m",
    "/v1/health/service/web?index=100000&wait=10m",
    "/v1/catalog/nodes?index=100000&wait=10m",
    "/v1/session/list?index=100000&wait=10m",
    `/v1/agent/service/web?hash=${hash}&wait=10m`,
  ];
}

const leaving: [string, (client: Socket) => void][] = [
  ["closes in order", (client) => client.end()],
  ["is torn down", (client) => client.destroy()],
  ["is reset", (client) => client.resetAndDestroy()],
];

t.test("a client that leaves frees its waiter", async (t) => {
  const program = await startProgram(t);
  const paths = await setUp(program);
  for (const [how, leave] of leaving) {
    const clients = await Promise.all(paths.map((path) => ask(program, path)));
    t.equal(await blockedQueries(program, paths.length), paths.length, `blocked: ${how}`);
    for (const client of clients) leave(client);
    t.equal(await blockedQueries(program, 0), 0, `freed: ${how}`);
    for (const client of clients) client.destroy();
  }
});

t.test("also with its second query on a connection that is kept", async (t) => {
  const program = await startProgram(t);
  await program.http("PUT", "/v1/kv/k", "1");
  for (const [how, leave] of leaving) {
    const client = await ask(program, "/v1/kv/k?index=1");
    await once(client, "data"); // any data newer than index 1 is there at once
    await ask(program, "/v1/kv/k?index=100000&wait=10m", client);
    t.equal(await blockedQueries(program, 1), 1, `blocked: ${how}`);
    leave(client);
    t.equal(await blockedQueries(program, 0), 0, `freed: ${how}`);
    client.destroy();
  }
});
