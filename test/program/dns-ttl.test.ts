/** How long answers of others are kept, through the real program. */
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { overTcp, question, records, saying, startScene, ttls, zoo } from "./scene.ts";

t.test("TTLs count down second by second to 1, from workers as from the main thread", async (t) => {
  const { program, upstream, client, ask } = await startScene(t, zoo);
  const watch = async (
    name: string,
    life: number,
    look: () => Promise<number[]>,
    shown: (elapsedSeconds: number) => number[],
  ): Promise<void> => {
    const before = performance.now();
    t.same(await look(), shown(0), `${name}: as received`);
    const after = performance.now();
    const wrong: string[] = [];
    let asked = 0;
    // No look may end after the record does, however slow the machine.
    while (performance.now() < before + life * 1000 - 400) {
      const early = performance.now();
      const seen = await look();
      const late = performance.now();
      asked++;
      // The server counts from somewhere between `before` and `after`.
      const least = Math.floor(Math.max(0, early - after) / 1000);
      const most = Math.floor((late - before) / 1000);
      const right = [least, most].some((s) => JSON.stringify(shown(s)) === JSON.stringify(seen));
      if (!right) wrong.push(`${seen.join()} after ${(late - before).toFixed(1)} ms`);
      await sleep(20);
    }
    t.same(wrong, [], `${name}: ${asked} looks`);
    t.equal(upstream.count(name), 1, `${name}: asked once`);
    while (performance.now() < after + life * 1000 + 20) await sleep(10);
    t.same(await look(), shown(0), `${name}: fetched again after its end`);
    t.equal(upstream.count(name), 2);
  };
  let looks = 0;
  const plain = (n: number) => [n];
  await Promise.all([
    watch(
      "ttl-2.test",
      2,
      async () => ttls(await ask("ttl-2.test")),
      (s) => plain(2 - s),
    ),
    // DO is never for workers, so these are the main thread's.
    watch(
      "ttl-2.do.test",
      2,
      async () => ttls(await ask("ttl-2.do.test", { do: true })),
      (s) => plain(2 - s),
    ),
    watch(
      "ttl-2.tcp.test",
      2,
      async () => ttls(await overTcp(program, "ttl-2.tcp.test")),
      (s) => plain(2 - s),
    ),
    // With AD nothing is prepared for workers; the next question, in mid-second, does that.
    watch(
      "ttl-3.test",
      3,
      async () => {
        if (looks++ === 1) await sleep(500);
        return ttls(await ask("ttl-3.test", looks === 1 ? { ad: true } : {}));
      },
      (s) => plain(3 - s),
    ),
    watch(
      "chain-1.test",
      2,
      async () => ttls(await ask("chain-1.test")),
      (s) => [30 - s, 2 - s],
    ),
    watch(
      "gone-900-2.test",
      2,
      async () => ttls(await ask("gone-900-2.test")),
      (s) => plain(2 - s),
    ),
    watch(
      "nodata-2-900.test",
      2,
      async () => ttls(await ask("nodata-2-900.test")),
      (s) => plain(2 - s),
    ),
  ]);
  for (const ttl of [0, 2 ** 31, 2 ** 32 - 1]) {
    const name = `ttl-${ttl}.test`;
    t.same(ttls(await ask(name)), [0], `${ttl} is shown as 0 (RFC 2181 8)`);
    t.same(ttls(await ask(name)), [0]);
    t.equal(upstream.count(name), 2, `${ttl} is not kept`);
  }
  for (const ttl of [86_400, 86_401, 2 ** 31 - 1]) {
    const name = `ttl-${ttl}.test`;
    t.ok(ttls(await ask(name))[0]! <= 86_400, `${ttl} is at most a day`);
    await ask(name);
    t.equal(upstream.count(name), 1, `${ttl} is kept`);
  }
  t.same(ttls(await ask("gone-900-0.test")), [0]);
  await ask("gone-900-0.test");
  t.equal(upstream.count("gone-900-0.test"), 2, "MINIMUM 0 is not kept");
  await client.ask(question("gone-900-9.test"));
  t.match(await ask("gone-900-9.test", { type: "AAAA" }), { rcode: "NXDOMAIN" });
  t.equal(upstream.count("gone-900-9.test"), 1, "NXDOMAIN is of the name");
  await ask("nodata-900-9.test");
  await ask("nodata-900-9.test", { type: "AAAA" });
  t.equal(upstream.count("nodata-900-9.test"), 2, "NODATA is of the type");
});

t.test(
  "ask 14: SERVFAIL does not shadow what is known, and is not asked for again at once",
  async (t) => {
    const { ask, upstream } = await startScene(t, zoo);
    t.same(records(await ask("ttl-60.test")), ["ttl-60.test A 192.0.2.1"]);
    upstream.says(saying({ rcode: 2 }));
    t.match(await ask("ttl-60.test", { type: "AAAA" }), { rcode: "SERVFAIL" });
    t.match(await ask("new.test"), { rcode: "SERVFAIL" });
    const packets = upstream.got.length;
    for (let i = 0; i < 10; i++) t.match(await ask("new.test"), { rcode: "SERVFAIL" });
    t.equal(upstream.got.length, packets, "remembered for a second (RFC 9520)");
    t.same(records(await ask("ttl-60.test")), ["ttl-60.test A 192.0.2.1"]);
    upstream.says(zoo);
    const until = Date.now() + 5_500;
    while ((await ask("new.test")).rcode !== "NOERROR" && Date.now() < until) await sleep(50);
    t.match(await ask("new.test"), { rcode: "NOERROR" }, "and forgotten in at most 5 s");
  },
);
