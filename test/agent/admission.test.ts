// Requests that come while one agent takes the place of another.
import { createServer } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { createAdmission } from "../../src/agent/admission.ts";
import type { RequestEnv } from "../../src/http/call.ts";
import { createWorld } from "../cluster/engine-world.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const env: RequestEnv = {
  client: { address: "192.0.2.7", port: 4711 },
  keepOpen() {},
  letIdle() {},
  hadDotSegments: true,
};
const write = () =>
  new Request("http://n1:8500/v1/kv/a%2Fb?dc=dc1", {
    method: "PUT",
    body: "value",
    headers: { "X-Consul-Token": "t", Host: "n1:8500" },
  });

function create() {
  const world = createWorld();
  const { timers, log } = world.options;
  const admission = createAdmission({ isLent: false, timers, log });
  admission.serve(({ method }) => Promise.resolve(new Response(`${method} here`)));
  return { world, admission };
}

t.test("a write that waits is passed on as it came", async (t) => {
  const path = join(temporaryDirectory(t), "requests");
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (octets: Buffer) => (body += octets.toString()));
    request.on("end", () => {
      const { method, url, headers } = request;
      const { host, "x-consul-token": token, "x-waypost-passed-on": from } = headers;
      response.writeHead(201, { "X-Consul-Index": "7" });
      response.end(JSON.stringify({ method, url, host, token, from, body }));
    });
  }).listen(path);
  await once(server, "listening");
  t.teardown(() => server.close());
  const { admission } = create();
  admission.lend();
  const reply = admission.fetch(write(), env);
  const read = await admission.fetch(new Request("http://n1/v1/kv/a"), env);
  t.equal(await read.text(), "GET here", "reads do not wait");
  t.equal(read.headers.get("Connection"), null);
  admission.giveUp(path);
  const { status, headers } = await reply;
  t.equal(status, 201);
  t.equal(headers.get("X-Consul-Index"), "7");
  t.equal(headers.get("Connection"), "close", "the next one goes to the successor");
  t.same(JSON.parse(await (await reply).text()), {
    method: "PUT",
    url: "/v1/kv/a%2Fb?dc=dc1",
    host: "n1:8500",
    token: "t",
    from: JSON.stringify({ client: env.client, hadDotSegments: true }),
    body: "value",
  });
  const later = await admission.fetch(new Request("http://n1/v1/kv/a"), env);
  t.equal(later.status, 201, "reads see what the successor has");
  const waiting = await admission.fetch(new Request("http://n1/v1/kv/a?index=7"), env);
  t.equal(await waiting.text(), "GET here", "who waits for a change is sent away from here");
  t.equal(waiting.headers.get("Connection"), "close");
});

t.test("what cannot be passed on is refused, and says whether it was done", async (t) => {
  const path = join(temporaryDirectory(t), "requests");
  for (const given of [undefined, path]) {
    const { admission } = create();
    admission.lend();
    const reply = admission.fetch(write(), env);
    admission.giveUp(given);
    const { status, headers } = await reply;
    t.same([status, headers.get("Retry-After")], [503, "1"], "certainly not done");
    const read = await admission.fetch(new Request("http://n1/v1/kv/a"), env);
    t.equal(await read.text(), "GET here", "a read is answered here");
  }
  const server = createServer((request) => request.socket.destroy()).listen(path);
  await once(server, "listening");
  t.teardown(() => server.close());
  const { admission, world } = create();
  admission.giveUp(path);
  const reply = await admission.fetch(write(), env);
  t.equal(reply.status, 500);
  t.match(await reply.text(), /may have been done/);
  t.match(world.logged, [/the successor has not answered/]);
});

t.test("a write that has begun is finished first, for a second", async (t) => {
  const { admission, world } = create();
  let resolve: (response: Response) => void = () => {};
  const promise = new Promise<Response>((done) => (resolve = done));
  admission.serve(() => promise);
  await admission.finished();
  const reply = admission.fetch(write(), env);
  admission.lend();
  let isFinished = false;
  const finished = admission.finished().then(() => (isFinished = true));
  await Promise.resolve();
  t.notOk(isFinished);
  resolve(new Response("done"));
  await finished;
  t.equal(await (await reply).text(), "done");

  const hanging = create();
  hanging.admission.serve(() => new Promise<Response>(() => {}));
  void hanging.admission.fetch(write(), env);
  hanging.admission.lend();
  const over = hanging.admission.finished();
  hanging.world.pass(1000);
  await over;
  t.same([...world.logged, ...hanging.world.logged], [], "no longer than that");
});
