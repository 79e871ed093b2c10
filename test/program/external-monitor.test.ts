/** External services through the real program: a server that goes up and down, and the agent killed. */
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { freePort } from "../free-port.mjs";
import { startProgram, type Program } from "../program.ts";

/** Bounds every wait for something that takes an interval or two. */
const LIMIT_MS = 12_000;

type Check = { CheckID: string; Status: string; Output: string; ModifyIndex: number };

async function read<T>(program: Program, path: string): Promise<T> {
  // The API's own answers, whose form the corpus tests.
  return JSON.parse((await program.http("GET", path)).text) as T;
}

const checksOf = (program: Program, node: string): Promise<Check[]> =>
  read(program, `/v1/health/node/${node}`);

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await sleep(50);
  }
}

const untilStatus = (program: Program, node: string, id: string, status: string): Promise<void> =>
  until(`${id} is ${status}`, async () =>
    (await checksOf(program, node)).some((it) => it.CheckID === id && it.Status === status),
  );

/** An HTTP server that can be told what to answer, and be gone. */
async function startBackend(t: Test) {
  const port = await freePort();
  let code = 200;
  let server: Server | undefined;
  const up = () =>
    new Promise<void>((listening) => {
      server = createServer((_request, response) => response.writeHead(code).end("hello"));
      server.listen(port, "127.0.0.1", listening);
    });
  const down = () => new Promise<void>((closed) => void server?.close(() => closed()));
  await up();
  t.teardown(down);
  return {
    port,
    url: `http://127.0.0.1:${port}/`,
    up,
    down,
    says: (next: number) => (code = next),
  };
}

const figure = async (program: Program, name: string): Promise<number> => {
  const { text } = await program.http("GET", "/metrics");
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
};

t.test("registered as the tutorial does, with curl; probed; killed; deregistered", async (t) => {
  const backend = await startBackend(t);
  const monitor = { node_probe_interval: "1s", critical_threshold: 1 };
  const program = await startProgram(t, { external_monitor: monitor });
  const curl = (path: string, body: object): string =>
    execFileSync("curl", [
      "-sS",
      "--request",
      "PUT",
      "--data",
      JSON.stringify(body),
      `http://127.0.0.1:${program.httpPort}${path}`,
    ]).toString();
  const external = {
    Node: "hashicorp",
    Address: "127.0.0.1",
    NodeMeta: { "external-node": "true", "external-probe": "true" },
    Service: { ID: "search1", Service: "search", Port: backend.port },
    Checks: [
      {
        Name: "http-check",
        status: "passing",
        Definition: { http: backend.url, interval: "1s" },
      },
    ],
  };
  t.equal(curl("/v1/catalog/register", external), "true");
  await untilStatus(program, "hashicorp", "externalNodeHealth", "passing");
  await until("its output", async () =>
    (await checksOf(program, "hashicorp")).some(({ Output }) => Output.endsWith("Output: hello")),
  );
  const before = (await checksOf(program, "hashicorp")).map(({ ModifyIndex }) => ModifyIndex);
  await sleep(2500);
  const after = (await checksOf(program, "hashicorp")).map(({ ModifyIndex }) => ModifyIndex);
  t.same(after, before, "the same results are not written again");

  backend.says(500);
  await untilStatus(program, "hashicorp", "http-check", "critical");
  t.same(await read(program, "/v1/health/service/search?passing"), []);
  backend.says(200);
  await untilStatus(program, "hashicorp", "http-check", "passing");

  await program.end("SIGKILL");
  const { dnsPort, httpPort, dataDir } = program;
  const again = await startProgram(
    t,
    { external_monitor: monitor },
    { directory: dirname(dataDir), dnsPort, httpPort },
  );
  const restarted = (await checksOf(again, "hashicorp")).map(({ Status }) => Status);
  t.same(restarted, ["passing", "passing"], "as it was");
  await backend.down();
  await untilStatus(again, "hashicorp", "http-check", "critical");
  t.ok((await figure(again, "waypost_external_status_changes_total")) >= 1);
  t.equal(await figure(again, "waypost_external_nodes"), 1);

  // Deregistered again and again while probes are under way: it never comes back by itself.
  await backend.up();
  for (let i = 0; i < 4; i++) {
    curl("/v1/catalog/register", external);
    await sleep(600 + 150 * i);
    t.equal(curl("/v1/catalog/deregister", { Node: "hashicorp" }), "true");
    await sleep(1200);
    t.same(await read(again, "/v1/catalog/service/search"), []);
    t.same(await checksOf(again, "hashicorp"), []);
  }
  t.equal(await figure(again, "waypost_external_nodes"), 0);
});

t.test("external_services: kept, changed by a reload, gone with the entry", async (t) => {
  const backend = await startBackend(t);
  const entry = {
    name: "orders-db",
    address: "127.0.0.1",
    port: backend.port,
    tags: ["rds"],
    check: { http: backend.url, interval: "1s" },
  };
  const first = await startProgram(t, { external_services: [entry] });
  await untilStatus(first, "orders-db", "service:orders-db", "passing");
  const body = { Node: "orders-db", ServiceID: "orders-db" };
  await first.http("PUT", "/v1/catalog/deregister", body);
  await until("it is restored", async () => {
    const found = await read<unknown[]>(first, "/v1/health/service/orders-db?passing");
    return found.length === 1;
  });
  first.configure({ external_services: [{ ...entry, tags: ["aurora"] }] });
  t.equal((await first.http("PUT", "/v1/agent/reload")).status, 200);
  await until("it has the new tag", async () => {
    const found = await read<unknown[]>(first, "/v1/catalog/service/orders-db?tag=aurora");
    return found.length === 1;
  });
  first.configure({ external_services: [{ ...entry, addres: "x" }] });
  const refused = await first.http("PUT", "/v1/agent/reload");
  t.match(refused.text, /external_services\[0\]\.addres \(did you mean address\?\)/);
  await first.end("SIGKILL");
  const at = {
    directory: dirname(first.dataDir),
    dnsPort: first.dnsPort,
    httpPort: first.httpPort,
  };
  const second = await startProgram(t, {}, at);
  await until("service and node are gone", async () => {
    const nodes = await read<{ Node: string }[]>(second, "/v1/catalog/nodes");
    return nodes.every(({ Node }) => Node !== "orders-db");
  });
  t.same(await read(second, "/v1/catalog/service/orders-db"), []);
});
