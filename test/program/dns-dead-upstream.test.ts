/** Upstreams that are gone, and come back. */
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { BUSY_MS } from "../program.ts";
import { answering } from "../upstream.ts";
import { startScene, type Seen } from "./scene.ts";

t.test(
  "all dead: SERVFAIL in 3 s, then at once; back within a second of their return",
  async (t) => {
    const { ask, upstream } = await startScene(t, answering("192.0.2.1", 1));
    await ask("before.test");
    upstream.says(() => []);
    const timed = async (name: string): Promise<[number, Seen]> => {
      const startedMs = performance.now();
      const seen = await ask(name);
      return [performance.now() - startedMs, seen];
    };
    const [first, failed] = await timed("dead.test");
    t.ok(first <= 3_000 + BUSY_MS, `the first after ${first.toFixed()} ms`);
    t.match(failed, { rcode: "SERVFAIL", flag_ra: true, flag_aa: false, flag_rd: true });
    const took: number[] = [];
    for (let i = 0; i < 20; i++) {
      const [ms, seen] = await timed(`dead-${i}.test`);
      took.push(ms);
      if (ms > 200 + BUSY_MS || seen.rcode !== "SERVFAIL")
        t.fail(`${i}: ${seen.rcode} after ${ms.toFixed()} ms`);
      await sleep(20);
    }
    const median = took.toSorted((x, y) => x - y)[10]!;
    t.ok(median <= 200, `then after ${median.toFixed(1)} ms`);
    upstream.says(answering("192.0.2.1", 1));
    const returnedMs = performance.now();
    let i = 0;
    while (
      (await ask(`back-${i++}.test`)).rcode !== "NOERROR" &&
      performance.now() < returnedMs + 5_000
    )
      await sleep(20);
    const ms = performance.now() - returnedMs;
    t.ok(ms <= 1_000 + BUSY_MS, `back after ${ms.toFixed()} ms`);
    await upstream.hangUp();
    const [closed] = await timed("closed.test");
    t.ok(closed <= 200 + BUSY_MS, `a closed port is known after ${closed.toFixed()} ms`);
    await upstream.listen();
    const again = performance.now();
    while (
      (await ask(`again-${i++}.test`)).rcode !== "NOERROR" &&
      performance.now() < again + 5_000
    )
      await sleep(20);
    t.ok(performance.now() - again <= 1_000 + BUSY_MS, "and its return within a second");
  },
);
