/** Answers that outlive their TTL, their servers and the process, through the real program. */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { temporaryDirectory } from "../temporary-directory.ts";
import { BUSY_MS, startProgram, type Program } from "../program.ts";
import { udpClient, decode } from "../dns-client.ts";
import { a, replyTo, soa } from "../upstream.ts";
import { question, records, startScene, ttls, zoo, type Seen } from "./scene.ts";

/** There is one cache for all. */
const inTheCache = 'server="",zones=".",view=""';

/** INFO-CODEs of the extended errors. */
function errorsOf({ additionals }: Seen): number[] {
  return (additionals ?? []).flatMap((record) =>
    record.type !== "OPT"
      ? []
      : record.options
          .map((option) => option as unknown as { code: number; data: Buffer })
          .filter(({ code }) => code === 15)
          .map(({ data }) => data.readUInt16BE(0)),
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + 15_000; Date.now() < endMs; await sleep(20))
    if (await holds()) return;
  throw new Error("it did not come to pass in 15 s");
}

async function metric(program: Program, name: string): Promise<number> {
  const { text } = await program.http("GET", "/metrics");
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1) ?? "NaN");
}

async function isStale(program: Program, name: string): Promise<boolean> {
  const { text } = await program.http("GET", `/v1/waypost/dns/cache?name=${name}`);
  const entries = JSON.parse(text) as { Stale: boolean; TTL: number }[];
  return entries.length === 1 && entries[0]!.Stale;
}

t.test("ask 11: a silent server: the last answer in 400 ms, then at once", async (t) => {
  const { ask, upstream, program } = await startScene(t, zoo);
  await ask("ttl-1.test");
  await ask("gone-1-1.test");
  upstream.says(() => []);
  await until(() => isStale(program, "ttl-1.test"));
  const startedMs = performance.now();
  const first = await ask("ttl-1.test", { edns: 1232 });
  const firstMs = performance.now() - startedMs;
  t.same([records(first), ttls(first), errorsOf(first)], [["ttl-1.test A 192.0.2.1"], [30], [3]]);
  t.ok(firstMs <= 400 + BUSY_MS, `${firstMs.toFixed()} ms`);
  const took: number[] = [];
  for (let i = 0; i < 50; i++) {
    const askedMs = performance.now();
    const next = await ask("ttl-1.test");
    took.push(performance.now() - askedMs);
    if (records(next).length !== 1 || ttls(next)[0] !== 30) t.fail(JSON.stringify(next));
  }
  const median = took.toSorted((x, y) => x - y)[25]!;
  t.ok(median < 200, `then ${median.toFixed(2)} ms: nothing is waited for`);
  const served = await metric(
    program,
    `waypost_cache_served_stale_total{${inTheCache},reason="timeout"}`,
  );
  t.ok(served >= 51, `${served} counted`);
  const denied = await ask("gone-1-1.test", { edns: 1232 });
  t.same([denied.rcode, errorsOf(denied)], ["NXDOMAIN", [19]], "stale NXDOMAIN");
  upstream.says(zoo);
  const backMs = performance.now();
  await until(async () => ttls(await ask("ttl-1.test"))[0] === 1);
  const ms = performance.now() - backMs;
  t.ok(ms <= 1_000 + BUSY_MS, `fresh again after ${ms.toFixed()} ms`);
});

t.test("names in demand never wait, although workers serve them", async (t) => {
  const slow = async (got: Parameters<typeof zoo>[0]) => {
    if (upstream.count(got.name) > 1) await sleep(250);
    return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 4)] })];
  };
  const { ask, upstream, program } = await startScene(t, slow);
  await ask("hot.test");
  let slowestMs = 0;
  for (const endMs = performance.now() + 8_000; performance.now() < endMs; await sleep(20)) {
    const askedMs = performance.now();
    t.same(records(await ask("hot.test")), ["hot.test A 192.0.2.1"]);
    slowestMs = Math.max(slowestMs, performance.now() - askedMs);
  }
  t.ok((await metric(program, `waypost_cache_prefetch_total{${inTheCache}}`)) >= 1);
  t.ok(upstream.count("hot.test") >= 2 && upstream.count("hot.test") <= 6);
  t.comment(`slowest ${slowestMs.toFixed(1)} ms`);
});

t.test("a cache file that cannot be written is told at the start", async (t) => {
  const path = join(temporaryDirectory(t), "absent", "cache");
  const { program, ask } = await startScene(t, zoo, { forwarder: { cache_file: path } });
  await until(async () => program.output().includes("cache will not be kept"));
  t.match(program.output(), `path=${path}`);
  t.same(records(await ask("www.test")), ["www.test A 192.0.2.9"]);
});

t.test("the cache is there after a restart; a damaged file does no harm", async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "cache");
  const config = { forwarder: { cache_file: path } };
  const { program, upstream, ask } = await startScene(t, zoo, config);
  await ask("www.test");
  await ask("gone-300-300.test");
  const { dnsPort, httpPort, configFile } = program;
  const at = { directory: dirname(configFile), dnsPort, httpPort };
  t.equal(await program.end("SIGTERM"), 1);
  upstream.says(() => []);
  const again = { workers: 2, recursors: [upstream.address], ...config };
  const second = await startProgram(t, again, at);
  await until(async () => (await metric(second, "waypost_cache_insertions_total")) === 2);
  t.match(second.output(), /cache restored.*entries=2/);
  const client = await udpClient(dnsPort);
  t.teardown(() => client.close());
  const sent = upstream.got.length;
  const asked = async (name: string): Promise<Seen> =>
    decode((await client.ask(question(name), 5_000))!) as Seen;
  t.same(records(await asked("www.test")), ["www.test A 192.0.2.9"]);
  t.equal((await asked("gone-300-300.test")).rcode, "NXDOMAIN");
  t.equal(upstream.got.length, sent);
  await second.end("SIGTERM");
  const damaged = readFileSync(path);
  damaged[damaged.length >> 1]! ^= 1;
  writeFileSync(path, damaged);
  upstream.says((got) => [replyTo(got, { rcode: 3, authorities: [soa("test", 9, 9)] })]);
  const third = await startProgram(t, again, at);
  await until(() => Promise.resolve(/cache not restored/.test(third.output())));
  t.match(third.output(), /WARN.*cache not restored.*damage at octet/);
  t.equal((await asked("www.test")).rcode, "NXDOMAIN");
});
