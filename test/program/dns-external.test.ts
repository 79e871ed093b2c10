/** A managed database behind a host name: failover, and upstreams that are gone, through the real program. */
import t from "tap";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { BUSY_MS } from "../program.ts";
import { a, cname, replyTo, soa, type Got } from "../upstream.ts";
import { records, startScene, ttls, type Scene, type Seen } from "./scene.ts";

const HOST = "orders.abc.eu-west-1.rds.example";
const NAME = "orders-db.service.consul";
const TTL_SECONDS = 5;

const rds =
  (address: string, ttl = TTL_SECONDS) =>
  (got: Got) => [
    replyTo(got, got.name.toLowerCase() === HOST ? { answers: [a(got.name, address, ttl)] } : {}),
  ];

const entry = { name: "orders-db", address: HOST, port: 5432, ttl: "60s" };

/** Answers come once the declared service stands in the catalog. */
async function untilRegistered({ program }: Scene, name = "orders-db"): Promise<void> {
  for (let i = 0; i < 250; i++) {
    const { text } = await program.http("GET", `/v1/catalog/service/${name}`);
    if (text.length > 2) return;
    await sleep(20);
  }
  throw new Error(`${name} is not registered: ${program.output()}`);
}

const both = (address: string): string[] => [`${NAME} CNAME ${HOST}`, `${HOST} A ${address}`];

const figure = async ({ program }: Scene, name: string): Promise<number> => {
  const { text } = await program.http("GET", "/metrics");
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
};

t.test(
  "ask 24: failover: the new address within the TTL and a second, nothing wrong between",
  async (t) => {
    const scene = await startScene(t, rds("192.0.2.10"), { external_services: [entry] });
    const { ask, upstream, program } = scene;
    await untilRegistered(scene);
    t.same(records(await ask(NAME)), both("192.0.2.10"));
    upstream.says(rds("192.0.2.20"));
    const changedMs = performance.now();
    const wrong: string[] = [];
    let newAfterMs = NaN;
    let asked = 0;
    let longestMs = 0;
    while (performance.now() < changedMs + (TTL_SECONDS + 2) * 1000) {
      const sentMs = performance.now();
      const seen: Seen = await ask(NAME);
      longestMs = Math.max(longestMs, performance.now() - sentMs);
      asked++;
      const told = JSON.stringify(records(seen));
      if (told === JSON.stringify(both("192.0.2.20"))) newAfterMs ||= sentMs - changedMs;
      else if (told !== JSON.stringify(both("192.0.2.10")) || !Number.isNaN(newAfterMs))
        wrong.push(`${seen.rcode} ${told}`);
      if (ttls(seen)[1]! > TTL_SECONDS) wrong.push(`TTL ${ttls(seen).join()}`);
      await sleep(50);
    }
    t.same(wrong, [], `${asked} questions, the slowest took ${longestMs.toFixed()} ms`);
    t.ok(
      newAfterMs <= (TTL_SECONDS + 1) * 1000 + BUSY_MS,
      `the new address after ${newAfterMs.toFixed()} ms`,
    );
    t.equal(await figure(scene, "waypost_dns_stale_targets_total"), 0);

    const srv = await ask(NAME, { type: "SRV" });
    t.match(srv.answers, [{ type: "SRV", data: { port: 5432, target: HOST } }]);
    t.match(srv.additionals?.[0], { type: "A", name: HOST, data: "192.0.2.20" });

    // Every upstream gone: the last answer, marked.
    await upstream.hangUp();
    await sleep((TTL_SECONDS + 1) * 1000);
    const sentMs = performance.now();
    const stale = await ask(NAME, { edns: 1232 });
    t.ok(performance.now() - sentMs <= 1800 + BUSY_MS, "in time for clients that wait 2 s or more");
    t.same(records(stale), both("192.0.2.20"), "the last answer");
    const opt = stale.additionals?.find(({ type }) => type === "OPT") as { options?: object[] };
    t.match(opt?.options, [{ code: 15, data: Buffer.from([0, 3]) }], "Stale Answer (RFC 8914)");
    t.ok(ttls(stale)[1]! <= 30, "for no longer than RFC 8767 wants");
    for (let i = 0; i < 20; i++) {
      t.same(records(await ask(NAME)), both("192.0.2.20"));
      await sleep(50);
    }
    const staleSrv = await ask(NAME, { type: "SRV" });
    t.match(staleSrv.additionals?.[0], { type: "A", name: HOST, data: "192.0.2.20" });
    t.ok((await figure(scene, "waypost_dns_stale_targets_total")) >= 22, "and counted");

    // Silence instead of a closed port: the answer comes after 1.8 s at the latest.
    await upstream.listen();
    upstream.says(rds("192.0.2.30", 1));
    const back = performance.now();
    while (
      records(await ask(NAME))[1] !== `${HOST} A 192.0.2.30` &&
      performance.now() < back + 5000
    )
      await sleep(20);
    t.same(records(await ask(NAME)), both("192.0.2.30"), "back when the upstream is back");
    upstream.says(() => []);
    await sleep(2000);
    const silentMs = performance.now();
    t.same(records(await ask(NAME)), both("192.0.2.30"));
    const tookMs = performance.now() - silentMs;
    t.ok(tookMs <= 1800 + BUSY_MS, `after ${tookMs.toFixed()} ms of silence`);

    // An upstream that denies the name is believed, and what was known of it is forgotten.
    const gone = { rcode: 3, authorities: [soa("rds.example", 1, 1)] };
    upstream.says((got) => [replyTo(got, gone)]);
    const deniedMs = performance.now();
    while (records(await ask(NAME)).length > 1 && performance.now() < deniedMs + 6000)
      await sleep(20);
    t.match(await ask(NAME), { rcode: "NOERROR" }, "the service is there");
    t.same(
      records(await ask(NAME)),
      [`${NAME} CNAME ${HOST}`],
      "its host is not: as Consul answers",
    );
    t.notMatch(program.output(), /\[ERROR\]/);
  },
);

t.test("host names that lead into the domain, in circles, and far", async (t) => {
  const link = (name: string, address: string) => ({ name, address });
  const external_services = [
    { name: "web", address: "192.0.2.1", port: 80 },
    link("front", "web.service.consul"),
    link("one", "two.service.consul"),
    link("two", "one.service.consul"),
    ...[1, 2, 3, 4, 5, 6].map((i) => link(`far-${i}`, `far-${i + 1}.service.consul`)),
    link("far-7", "web.service.consul"),
    link("gone", "gone.example"),
    link("chained", "c1.example"),
  ];
  const scene = await startScene(
    t,
    (got) => {
      const hop = /^c(\d+)\.example$/.exec(got.name);
      if (hop === null) return [replyTo(got, { rcode: 3, authorities: [soa("example", 5, 5)] })];
      const hops = Array.from({ length: 30 }, (_, i) =>
        cname(`c${i + 1}.example`, `c${i + 2}.example`, 5),
      );
      return [replyTo(got, { answers: [...hops, a("c31.example", "192.0.2.9", 5)] })];
    },
    { external_services },
  );
  const { ask } = scene;
  await untilRegistered(scene, "chained");
  const told = async (name: string) => {
    const seen = await ask(`${name}.service.consul`, { edns: 4096 });
    t.equal(seen.rcode, "NOERROR", name);
    return records(seen);
  };
  t.same(await told("front"), [
    "front.service.consul CNAME web.service.consul",
    "web.service.consul A 192.0.2.1",
  ]);
  t.same(
    await told("one"),
    ["one CNAME two", "two CNAME one", "one CNAME two", "two CNAME one"].map((pair) =>
      pair.replaceAll(/one|two/g, "$&.service.consul"),
    ),
    "a circle ends after three levels",
  );
  t.equal((await told("far-1")).length, 4, "so does a chain");
  t.same(await told("gone"), ["gone.service.consul CNAME gone.example"], "NXDOMAIN of the target");
  t.ok((await told("chained")).length >= 1, "a chain of thirty links neither hangs nor fails");
  t.equal((await ask("chained.service.consul")).rcode, "NOERROR");
});

t.test("a host is probed where clients are sent, also while no upstream answers", async (t) => {
  const server = createServer((_, response) => response.end("fine"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const stop = () => (server.closeAllConnections(), server.close());
  t.teardown(stop);
  const checks = [
    { tcp: `${HOST}:${port}`, interval: "1s" },
    { http: `http://${HOST}:${port}/health`, interval: "1s" },
  ];
  const scene = await startScene(t, rds("127.0.0.1", 1), {
    external_monitor: { node_probe_interval: "1s", ping_type: "tcp" },
    external_services: [{ ...entry, port, ttl: "0s", checks }],
  });
  const { ask, upstream, program } = scene;
  const statuses = async (): Promise<string[]> => {
    const { text } = await program.http("GET", "/v1/health/service/orders-db");
    const [first] = JSON.parse(text) as { Checks: { Status: string; Output: string }[] }[];
    return (first?.Checks ?? []).map(({ Status, Output }) => `${Status}: ${Output}`);
  };
  const good = [
    "passing: Node alive or reachable",
    `passing: TCP connect ${HOST}:${port}: Success`,
    `passing: HTTP GET http://${HOST}:${port}/health: 200 OK Output: fine`,
  ];
  for (let i = 0; i < 500 && String(await statuses()) !== String(good); i++) await sleep(20);
  t.same(await statuses(), good, "the system's resolver knows no such name");
  t.same(records(await ask(NAME)), both("127.0.0.1"));

  const wrong: string[] = [];
  const watch = async (limitMs: number) => {
    const endMs = performance.now() + limitMs;
    while (performance.now() < endMs) {
      const told = [String(records(await ask(NAME))), String(await statuses())];
      if (told[0] !== String(both("127.0.0.1")) || told[1] !== String(good))
        wrong.push(told.join("; "));
      await sleep(50);
    }
  };
  await upstream.hangUp();
  await watch(2500);
  await upstream.listen();
  upstream.says(() => []);
  await watch(4000);
  t.same(wrong, [], "closed, then silent");

  stop();
  const stoppedMs = performance.now();
  const isOut = async () => (await ask(NAME)).rcode === "NXDOMAIN";
  while (!(await isOut()) && performance.now() < stoppedMs + 10_000) await sleep(50);
  t.ok(await isOut(), "a host that refuses is found out all the same");
});
