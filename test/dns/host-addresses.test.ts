// Which names are asked of upstreams at all, and what their answers mean. With failures of real
// upstreams: test/program/dns-external.test.ts.
import t from "tap";
import type { Forward, ForwardAnswer } from "../../src/dns/answer.ts";
import { createHostAddresses } from "../../src/dns/host-addresses.ts";
import { staleTargetDefaults } from "../../src/dns/kept-targets.ts";
import { formatName, parseName } from "../../src/dns/name.ts";
import { TYPE, type Rr } from "../../src/dns/rr.ts";

const wire = (text: string) => {
  const name = parseName(text);
  if (!name.ok) throw new Error(name.error);
  return name.value;
};
const record = (owner: string, type: number, data: Uint8Array): Rr => ({
  owner: wire(owner),
  type,
  class: 1,
  ttl: 5,
  data,
});
const answer = (rcode: number, answers: Rr[]): ForwardAnswer => ({
  ok: true,
  rcode,
  aa: false,
  ad: false,
  ra: true,
  answers,
  authority: [],
  additional: [],
  cacheableSeconds: 5,
  spentMs: 0,
  fromCache: false,
  edns: null,
  tc: false,
});
const chain = [
  record("db.example", TYPE.CNAME, wire("real.example")),
  record("real.example", TYPE.A, Uint8Array.of(192, 0, 2, 1)),
  record("real.example", TYPE.A, Uint8Array.of(192, 0, 2, 2)),
];

t.test("addresses", async (t) => {
  const asked: string[] = [];
  let now: ForwardAnswer = answer(0, chain);
  let isLate = false;
  let isStale = true;
  const forward: Forward = ({ qname }, done) => {
    asked.push(formatName(qname));
    if (isLate) setImmediate(done, now);
    else done(now);
  };
  const find = createHostAddresses({
    forward,
    domains: ["consul", ""],
    clock: () => performance.now(),
    timers: { after: (ms, run) => clearTimeout.bind(null, setTimeout(run, ms)) as () => void },
    stale: () => (isStale ? staleTargetDefaults : null),
  });
  for (const host of [
    "localhost",
    "web.service.consul",
    "WEB.service.Consul.",
    "",
    "a..b",
    "..",
    "x.",
  ])
    t.same(await find(host), [], JSON.stringify(host));
  t.same(asked, [], "left to the system");
  t.same(await find("db.example"), ["192.0.2.1", "192.0.2.2"], "behind a chain");
  isLate = true;
  t.same(await find("db.example."), ["192.0.2.1", "192.0.2.2"], "later");
  now = { ok: false, reason: "failed" };
  t.same(await find("db.example"), ["192.0.2.1", "192.0.2.2"], "the last known ones");
  isStale = false;
  t.same(await find("db.example"), [], "not without stale answers");
  isStale = true;
  t.same(await find("other.example"), [], "never known");
  now = answer(3, []);
  t.same(await find("db.example"), [], "denied");
  now = { ok: false, reason: "failed" };
  t.same(await find("db.example"), [], "and so forgotten");
  t.same(asked.length, 7);
});
