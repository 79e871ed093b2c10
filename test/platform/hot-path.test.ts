/** What a worker runs per query allocates nothing: no garbage is collected in a million queries. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { bunProgram } from "../bun.ts";
import { answerWith, query } from "../dns/prepared.ts";

const base64 = (octets: Uint8Array) => Buffer.from(octets).toString("base64");
const answer = base64(answerWith("web.service.consul", ["10.0.0.1", "10.0.0.2"]).variants[0]!);
const plain = base64(query("web.service.consul", "A", { edns: 1232 }));
const cookie = base64(
  query("web.service.consul", "A", {
    edns: 1232,
    options: [{ code: 10, data: Buffer.alloc(8, 3) }] as never,
  }),
);

const loads = [
  { name: "hit on loopback", source: "127.0.0.1", wire: plain, answer, all: true },
  { name: "miss on loopback", source: "127.0.0.1", wire: plain },
  { name: "hit beyond", source: "192.0.2.1", wire: plain, answer, all: true },
  { name: "hit beyond, IPv6", source: "2001:db8::1", wire: plain, answer, all: true },
  { name: "hit with a cookie", source: "192.0.2.1", wire: cookie, answer, all: true },
  { name: "refused", source: "192.0.2.1", wire: plain, answer, othersAnswered: false, all: true },
  { name: "within the rate", source: "192.0.2.1", wire: plain, answer, ratePerSecond: 1e6 },
  { name: "beyond the rate", source: "192.0.2.1", wire: plain, answer, ratePerSecond: 10 },
  { name: "no cookie yet", source: "192.0.2.1", wire: cookie, answer, ratePerSecond: 10 },
];

t.test("nothing is allocated per query", { timeout: 120_000 }, async (t) => {
  const script = fileURLToPath(new URL("hot-path-script.ts", import.meta.url));
  const run = spawnSync(bunProgram(), [script, JSON.stringify(loads)], {
    encoding: "utf8",
    env: { ...process.env, BUN_JSC_logGC: "1" },
    maxBuffer: 1 << 26,
  });
  t.equal(run.status, 0, run.stderr.slice(-2000));
  const figures = run.stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { name: string; ns: number; sent: number; asked: number });
  t.match(run.stderr, /GC END/, "collections are logged at all");
  for (const { name, all } of loads) {
    const figure = figures.find((each) => each.name === name)!;
    t.comment(`${name}: ${figure.ns.toFixed(0)} ns, ${figure.sent} replies`);
    if (all) t.equal(figure.sent, figure.asked, `${name}: every query is answered`);
    const [, during = "missing"] = run.stderr.split(`begin ${name}\n`);
    t.notMatch(during.split(`end ${name}\n`)[0], /GC END|missing/, name);
  }
});
