import t from "tap";
import { createServer, settle } from "./harness.ts";

/** Numbers below a bound, the same for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
}

const names = ["a", "a/", "a/b", "a/b/c", "b", "b/a", ""];

// Watchers come back with the index they were given while keys come, change and go at random moments
// between their steps. When all is quiet each of them must know what a fresh read shows: a wake-up
// that was lost, or a topic that does not reach a watcher, leaves it with something older.
t.test("in the end every watcher of the KV store knows the newest state", async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = randomFrom(seed);
    const pause = async (turns: number) => {
      for (let n = random(turns); n > 0; n--) await Promise.resolve();
    };
    const server = createServer({ barrier: () => pause(4).then(() => "ok" as const) });
    const watched = [
      ...names.filter((name) => name !== "").map((name) => `/v1/kv/${name}?`),
      ...names.map((name) => `/v1/kv/${name}?recurse&`),
      ...names.map((name) => `/v1/kv/${name}?keys&`),
    ];
    const known = watched.map(() => "");
    let isOver = false;
    const watch = async (path: string, self: number) => {
      for (let index = 0; !isOver;) {
        const answer = await server.ask("GET", `${path}index=${index}&wait=10m`);
        index = Number(answer.headers.get("X-Consul-Index"));
        known[self] = `${answer.status} ${answer.text}`;
      }
    };
    const watchers = watched.map(watch);
    for (let step = 0; step < 200; step++) {
      const name = names[random(names.length)]!;
      const act = random(5);
      if (act === 0) void server.ask("DELETE", `/v1/kv/${name}?recurse`);
      else if (name === "") continue;
      else if (act === 1) void server.ask("DELETE", `/v1/kv/${name}`);
      else void server.ask("PUT", `/v1/kv/${name}`, { body: String(random(3)) });
      await pause(80);
      if (random(4) === 0) server.world.advance(1);
    }
    for (let n = 0; n < 20; n++) {
      await settle();
      server.world.advance(1); // only slices of woken waiters: no hold comes to its end
    }
    for (const [self, path] of watched.entries()) {
      const { status, text } = await server.ask("GET", path);
      if (known[self] !== `${status} ${text}`)
        t.equal(known[self], `${status} ${text}`, `seed ${seed}: ${path}`);
    }
    t.ok(
      known.every((text) => text !== ""),
      `seed ${seed}`,
    );
    isOver = true;
    server.waiters.close();
    await Promise.all(watchers);
  }
});
