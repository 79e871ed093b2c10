import t from "tap";
import { createWaiters } from "../../src/http/blocking.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { createServer, registerService, settle, World, type Server } from "./harness.ts";

const indexOf = (answer: { headers: Headers }) => Number(answer.headers.get("X-Consul-Index"));

async function currentIndex(server: Server, path: string): Promise<number> {
  return indexOf(await server.ask("GET", path));
}

// spec/http.md 3.1 and 3.3: index 0 and older indexes answer at once.
t.test("answers at once unless the client has the current index", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const index = await currentIndex(server, "/v1/health/service/web");
  for (const query of ["", "?index=0&wait=5s", "?wait=5s", `?index=${index - 1}`]) {
    const pending = server.start("GET", `/v1/health/service/web${query}`);
    await settle();
    t.equal(pending.isDone, true, query || "no query");
  }
  t.equal(server.waiters.count, 0);
});

t.test("holds until its own topic changes", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const index = await currentIndex(server, "/v1/catalog/service/web");
  const pending = server.start("GET", `/v1/catalog/service/web?index=${index}&wait=10s`);
  await registerService(server, "n2", "other");
  await registerService(server, "n1", "web"); // idempotent: 3.7
  await settle();
  t.equal(pending.isDone, false, "another service and a repeated registration wake nobody");
  await registerService(server, "n3", "web");
  const answer = await pending.answer;
  t.equal((answer.json as unknown[]).length, 2);
  t.ok(indexOf(answer) > index);
  t.equal(server.waiters.count, 0, "nothing is left behind");
  t.equal(server.world.nowMs, 1000, "no time had to pass");
});

// 3.2: default 5 minutes, cap 10 minutes, at most a sixteenth more.
const waits = [
  { wait: "1s", jitter: 0, untilMs: 1000 },
  { wait: "1s", jitter: 0.999, untilMs: 1062 },
  { wait: "", jitter: 0, untilMs: 300_000 },
  { wait: "0s", jitter: 0, untilMs: 300_000 },
  { wait: "-5s", jitter: 0, untilMs: 300_000 },
  { wait: "9h", jitter: 0, untilMs: 600_000 },
  { wait: "9h", jitter: 0.5, untilMs: 618_750 },
];
for (const { wait, jitter, untilMs } of waits)
  t.test(`wait=${wait} with jitter ${jitter} ends after ${untilMs} ms`, async (t) => {
    const server = createServer({ jitter: () => jitter });
    await registerService(server, "n1", "web");
    const index = await currentIndex(server, "/v1/catalog/nodes");
    const pending = server.start("GET", `/v1/catalog/nodes?index=${index}&wait=${wait}`);
    await settle();
    server.world.advance(untilMs - 1);
    await settle();
    t.equal(pending.isDone, false, "not before");
    server.world.advance(101); // deadlines are kept in buckets
    const answer = await pending.answer;
    t.equal(answer.status, 200);
    t.equal(indexOf(answer), index, "the current index, and no sign of the timeout");
    t.equal(server.world.timerCount, 0, "no timer is left");
  });

t.test("an index from the future waits, then gets the smaller one (3.4)", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const pending = server.start("GET", "/v1/catalog/nodes?index=123456789&wait=1s");
  await registerService(server, "n2", "web");
  await settle();
  t.equal(pending.isDone, false);
  server.world.advance(2000);
  t.ok(indexOf(await pending.answer) < 123456789);
});

t.test("a session that stays unknown is no answer (3.8)", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const create = (node: string) =>
    server.ask("PUT", "/v1/session/create", { body: { Node: node, Checks: [] } });
  await create("n1");
  const id = "10000000-0000-4000-8000-000000000003";
  const path = `/v1/session/info/${id}`;
  const index = await currentIndex(server, path);
  const pending = server.start("GET", `${path}?index=${index}&wait=10s`);
  await settle();
  await create("n1"); // ...000000000002
  await settle();
  t.equal(pending.isDone, false, "another session came");
  await create("n1");
  const answer = await pending.answer;
  t.match(answer.json, [{ ID: id }]);
});

t.test("a client that goes away frees its place", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const index = await currentIndex(server, "/v1/catalog/nodes");
  const abort = new AbortController();
  const pending = server.start("GET", `/v1/catalog/nodes?index=${index}`, { signal: abort.signal });
  await settle();
  t.equal(server.waiters.count, 1);
  abort.abort();
  await settle();
  t.equal(server.waiters.count, 0);
  t.equal(pending.isDone, true);
});

t.test("one more than the limit gets 503 at once", async (t) => {
  const server = createServer({ waiterLimit: 2 });
  await registerService(server, "n1", "web");
  const path = `/v1/catalog/nodes?index=${await currentIndex(server, "/v1/catalog/nodes")}`;
  const held = [server.start("GET", path), server.start("GET", path)];
  await settle();
  const refused = await server.ask("GET", path);
  t.equal(refused.status, 503);
  t.match(refused.text, /Too many blocking queries/);
  server.waiters.close();
  for (const { answer } of held) t.equal((await answer).status, 200, "stopping answers the others");
  t.equal((await server.ask("GET", path)).status, 200, "and later ones at once");
});

t.test("a restore wakes everybody (3.10)", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const path = "/v1/catalog/service/web";
  const index = await currentIndex(server, path);
  const pending = server.start("GET", `${path}?index=${index}`);
  await settle();
  const { chunks } = server.state.snapshot();
  await server.state.install([...chunks]);
  server.waiters.wakeAll();
  const answer = await pending.answer;
  t.equal(indexOf(answer), index, "answered although the index is the same");
});

t.test("no wake-up is lost between a look and its wait", async (t) => {
  // A write falls at a random turn while pollers come back with the index they know. Only as much time
  // passes as a slice of woken waiters takes, so that one lost wake-up leaves its poller behind.
  for (let seed = 1; seed <= 6; seed++) {
    let state = seed;
    const random = (below: number) =>
      ((state = (state * 1103515245 + 12345) % 2 ** 31) >> 8) % below;
    const pause = async (turns: number) => {
      for (let i = random(turns); i > 0; i--) await Promise.resolve();
    };
    const server = createServer({ barrier: () => pause(3).then(() => "ok" as const) });
    await registerService(server, "n0", "web");
    const goal = 20;
    const seen = [0, 0, 0, 0];
    let isOver = false;
    const poll = async (self: number) => {
      let index = 0;
      while (seen[self]! < goal && !isOver) {
        const answer = await server.ask("GET", `/v1/catalog/service/web?index=${index}&wait=1m`);
        index = indexOf(answer);
        seen[self] = (answer.json as unknown[]).length;
      }
    };
    const pollers = Promise.all(seen.map((_, self) => poll(self)));
    for (let count = 1; count < goal; count++) {
      const haveNews = () => seen.every((n) => n >= count);
      if (!(await until(server, haveNews))) break; // a poller hangs
      // Microtasks from now: while the pollers come back, look, and begin to wait.
      await pause(60);
      void server.propose(register(node(`n${count}`), service("web")));
      await Promise.resolve();
    }
    t.equal(await until(server, () => seen.every((n) => n >= goal)), true, `seed ${seed}`);
    isOver = true;
    server.waiters.close();
    await pollers;
  }
});

/** Lets others run until the condition holds; false if it has not after many turns. */
async function until({ world }: Server, condition: () => boolean): Promise<boolean> {
  for (let turn = 0; turn < 500; turn++) {
    for (let i = 0; i < 100; i++) {
      if (condition()) return true; // noticed within a microtask
      await Promise.resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
    world.advance(1);
  }
  return false;
}

t.test("3,000 waiters cost a bounded amount of memory", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const index = await currentIndex(server, "/v1/health/service/web");
  const before = process.memoryUsage().heapUsed;
  const held = Array.from({ length: 3000 }, () =>
    server.start("GET", `/v1/health/service/web?index=${index}&wait=10m`),
  );
  await settle();
  t.equal(server.waiters.count, 3000);
  t.equal(server.world.timerCount, 1, "one timer for all of them");
  const octetsEach = (process.memoryUsage().heapUsed - before) / 3000;
  // Node's Request alone takes most of this; the listener of production keeps less.
  t.ok(octetsEach < 32_768, `${Math.round(octetsEach)} octets each`);
  await registerService(server, "n2", "web");
  server.world.advance(200);
  const answers = await Promise.all(held.map(({ answer }) => answer));
  t.ok(answers.every(({ json }) => (json as unknown[]).length === 2));
});

// Consul 1.10 `default_query_time`, `max_query_time`; up to 1/16 more.
t.test("the configuration bounds how long a hold lasts", async (t) => {
  const server = createServer({
    settings: { defaultQueryTimeMs: 20_000, maxQueryTimeMs: 40_000 },
    jitter: () => 0,
  });
  const table: [string, number][] = [
    ["", 20_000],
    ["&wait=5s", 5000],
    ["&wait=1h", 40_000],
  ];
  for (const [wait, holdMs] of table) {
    const pending = server.start("GET", `/v1/catalog/services?index=99${wait}`);
    await settle();
    server.world.advance(holdMs - 1);
    await settle();
    t.notOk(pending.isDone, `${wait} holds`);
    server.world.advance(51); // deadlines are kept in buckets of 50 ms
    await settle();
    t.ok(pending.isDone, `${wait} ends`);
  }
});

t.test("a crowd is woken slice by slice, and nobody stands behind all of it", async (t) => {
  const world = new World();
  const waiters = createWaiters(world);
  const ended: string[] = [];
  const waitFor = (topic: string, count: number, signal?: AbortSignal) => {
    for (let n = 0; n < count; n++)
      void waiters.wait([topic], 1e6, signal).then((woken) => ended.push(`${topic} ${woken}`));
  };
  const endedNow = async () => {
    await settle();
    return ended.splice(0);
  };
  waitFor("crowd", 1000);
  waitFor("single", 1);
  waitFor("other", 1);
  const abort = new AbortController();
  waitFor("crowd", 1, abort.signal);
  waiters.wake(["crowd"]);
  const first = await endedNow();
  t.ok(first.length > 0 && first.length <= 100, `${first.length} at once`);
  waiters.wake(["single"]);
  waiters.wake(["crowd"]); // they are on their way already
  abort.abort();
  t.same(await endedNow(), ["crowd gone"], "its place is free at once, though it was due");
  world.advance(1);
  t.ok((await endedNow()).includes("single changed"), "served with the next slice");
  t.equal(waiters.count, 1003 - first.length - 1 - 32, "those who are due still count");
  world.advance(1000);
  t.equal((await endedNow()).length, 1000 - first.length - 31);
  t.equal(waiters.count, 1, "the one who waits for something else");
  waitFor("crowd", 100);
  waiters.wakeAll();
  waiters.close();
  t.equal((await endedNow()).length, 101, "closing ends those who are due as well");
  t.equal(world.timerCount, 0);
});
