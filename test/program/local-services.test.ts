/** Local services of the real program: what was acknowledged survives a kill, damage is named. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";

function restarted(t: Test, { dataDir, dnsPort, httpPort }: Program): Promise<Program> {
  return startProgram(t, {}, { directory: dirname(dataDir), dnsPort, httpPort });
}

t.test(
  "registrations, TTL states and maintenance survive kill -9 after their answer",
  async (t) => {
    let program = await startProgram(t);
    const put = async (path: string, body?: unknown) => {
      const { status, text } = await program.http("PUT", `/v1/agent/${path}`, body);
      t.equal(status, 200, text);
    };
    for (let i = 0; i < 5; i++) {
      const name = `svc${i}`;
      const checks = [{ CheckID: `c${i}`, TTL: "10m" }];
      await put("service/register", { Name: name, Port: 1 + i, Checks: checks });
      await put(`check/pass/c${i}?note=up`);
      if (i === 3) await put("service/deregister/svc0");
      if (i === 4) await put("service/maintenance/svc4?enable=true&reason=why");
      await program.end("SIGKILL");
      program = await restarted(t, program);

      const local = JSON.parse((await program.http("GET", "/v1/agent/services")).text) as object;
      t.ok(Object.hasOwn(local, name), `${name} is here`);
      t.equal(Object.hasOwn(local, "svc0"), i < 3, "svc0 until it was deregistered");
      const health = await program.http("GET", `/v1/health/checks/${name}?filter=Type==ttl`);
      t.match(JSON.parse(health.text), [{ CheckID: `c${i}`, Status: "passing", Output: "up" }]);
    }
    const checks = JSON.parse((await program.http("GET", "/v1/agent/checks")).text) as object;
    t.match(checks, { "_service_maintenance:svc4": { Status: "critical", Notes: "why" } });
  },
);

const bodyOf = (id: string) =>
  JSON.stringify({
    Token: "",
    Service: { ID: id, Service: id, Tags: ["kept"], Port: 80, Weights: { Passing: 1, Warning: 1 } },
    Source: "remote",
  });

t.test("files of Consul are taken over once; one that is damaged is named and left", async (t) => {
  let program = await startProgram(t);
  await program.end("SIGTERM");
  const folder = join(program.dataDir, "services");
  mkdirSync(folder);
  writeFileSync(join(folder, "good"), bodyOf("good"));
  writeFileSync(join(folder, "bad"), bodyOf("bad").slice(0, 20));
  program = await restarted(t, program);
  const ids = async () =>
    Object.keys(JSON.parse((await program.http("GET", "/v1/agent/services")).text) as object);
  t.same(await ids(), ["good"]);
  t.match(program.output(), `[ERROR] cannot use ${folder}/bad, it is left as it is`);
  t.same(readdirSync(folder), ["bad"]);

  await program.http("PUT", "/v1/agent/service/deregister/good");
  writeFileSync(join(folder, "bad"), bodyOf("bad"));
  await program.end("SIGKILL");
  program = await restarted(t, program);
  t.same(await ids(), [], "never a second time");
  t.match(program.output(), "files of local services are not read");
  t.equal((await program.http("GET", "/v1/catalog/service/good")).text, "[]");
});

t.test("maintenance hides a service, or the whole node, from DNS", async (t) => {
  const program = await startProgram(t);
  for (const Name of ["one", "two"])
    await program.http("PUT", "/v1/agent/service/register", { Name, Address: "10.0.0.1" });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  let questions = 0;
  const seen = async () => {
    const counts: number[] = [];
    for (const name of ["one", "two"]) {
      const reply = await client.ask(query(++questions, `${name}.service.consul`));
      counts.push(decode(reply!).answers?.length ?? 0);
    }
    return counts;
  };
  t.same(await seen(), [1, 1]);
  await program.http("PUT", "/v1/agent/service/maintenance/one?enable=true&reason=why");
  t.same(await seen(), [0, 1]);
  await program.http("PUT", "/v1/agent/maintenance?enable=true");
  t.same(await seen(), [0, 0]);
  await program.http("PUT", "/v1/agent/service/maintenance/one?enable=false");
  t.same(await seen(), [0, 0]);
  await program.http("PUT", "/v1/agent/maintenance?enable=false");
  t.same(await seen(), [1, 1]);
});

t.test("a damaged journal ends the start with the reason", async (t) => {
  const program = await startProgram(t);
  for (const name of ["one", "two", "three"])
    await program.http("PUT", "/v1/agent/service/register", { Name: name });
  await program.end("SIGKILL");
  const path = join(program.dataDir, "local/journal");
  writeFileSync(path, readFileSync(path, "utf8").replace('"two"', '"tow"'));
  await t.rejects(
    restarted(t, program),
    /ended at start \(1\)[^]*local\/journal: line 3 does not match its checksum[^]*restore [^]* or move it aside/,
  );
  renameSync(dirname(path), `${dirname(path)}.damaged`);
  const next = await restarted(t, program);
  t.equal((await next.http("GET", "/v1/agent/services")).text, "{}");
});

t.test("a check from configuration finds the port of this very program", async (t) => {
  const program = await startProgram(t);
  const target = `127.0.0.1:${program.httpPort}`;
  const checks = [
    { id: "h", name: "h", http: `http://${target}/v1/status/leader`, interval: "1s" },
    { id: "t", name: "t", tcp: target, interval: "1s" },
  ];
  program.configure({ service: { name: "self", port: program.httpPort, checks } });
  const reload = await program.http("PUT", "/v1/agent/reload");
  t.equal(reload.status, 200, reload.text);
  const index = async () => {
    const reply = await fetch(`http://127.0.0.1:${program.httpPort}/v1/health/service/self`);
    return reply.headers.get("X-Consul-Index");
  };
  const deadline = Date.now() + 15_000;
  for (;;) {
    const path = `/v1/health/service/self?passing&wait=5s&index=${await index()}`;
    const look = await program.http("GET", "/v1/health/service/self?passing");
    if ((JSON.parse(look.text) as unknown[]).length === 1) break;
    if (Date.now() > deadline) throw new Error(program.output());
    await program.http("GET", path);
  }
  const { text } = await program.http("GET", "/v1/health/checks/self");
  const outputs = (JSON.parse(text) as { Output: string }[]).map(({ Output }) => Output);
  t.match(outputs.sort(), [
    /^HTTP GET http:\/\/127.0.0.1:\d+\/v1\/status\/leader: 200 OK Output: "127/,
    /^TCP connect 127.0.0.1:\d+: Success$/,
  ]);
  program.configure({ service: undefined });
  await program.http("PUT", "/v1/agent/reload");
  t.equal((await program.http("GET", "/v1/health/service/self")).text, "[]");
});
