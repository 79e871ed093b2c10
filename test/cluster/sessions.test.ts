import { readFileSync } from "node:fs";
import t from "tap";
import { createSessionExpiry, sessionTtlMs } from "../../src/cluster/session-expiry.ts";
import {
  check,
  createLog,
  deregister,
  node,
  register,
  service,
  session,
} from "./state-fixtures.ts";

const S1 = "22222222-0000-0000-0000-000000000001";
const S2 = "22222222-0000-0000-0000-000000000002";

t.test("the texts of the recorded refusals (session-crud-a, session-checks-a)", async (t) => {
  const recorded = new Set<string>();
  for (const file of ["session-crud-a", "session-checks-a"])
    for (const step of JSON.parse(readFileSync(`test/corpus/http/${file}.json`, "utf8")).steps)
      recorded.add(step.expect?.text);
  const cases: [string, ReturnType<typeof session>][] = [
    ["apply failed: Missing node registration", session(S1, "ghost")],
    ["apply failed: Missing check 'nope' registration", session(S1, "n", { checks: ["nope"] })],
    [
      "apply failed: Missing check 'missing' registration",
      session(S1, "n", { nodeChecks: ["missing"] }),
    ],
    [
      "apply failed: Missing check 'svc:none' registration",
      session(S1, "n", { serviceChecks: [{ id: "svc:none", namespace: "" }] }),
    ],
    [
      "apply failed: Check 'node-ttl' is in critical state",
      session(S1, "n", { checks: ["serfHealth", "node-ttl"] }),
    ],
  ];
  for (const [text, command] of cases) {
    t.ok(recorded.has(text), `recorded: ${text}`);
    const { state, run } = createLog();
    const checks = [check("serfHealth"), check("node-ttl", { status: "critical" })];
    run(register(node("n"), null, checks));
    t.same(run(command), { result: { ok: false, error: text }, topics: [] });
    t.equal(state.reader.indexOf("sessions"), 0);
  }
});

t.test("invalidation (HTTP spec 9.9)", async (t) => {
  const bound = {
    nodeChecks: ["serfHealth"],
    serviceChecks: [{ id: "service:db", namespace: "" }],
  };
  const build = () => {
    const log = createLog();
    const checks = [check("serfHealth"), check("service:db", { serviceId: "db" }), check("free")];
    log.run(register(node("n"), service("db"), checks));
    log.run(session(S1, "N", bound));
    log.run(session(S2, "n"));
    return log;
  };
  const critical = (id: string, serviceId = "") =>
    register(node("n"), null, [check(id, { serviceId, status: "critical" })]);
  const cases = [
    {
      when: "destroyed",
      command: { type: "session-destroy", id: S1 } as const,
      left: [S2],
    },
    { when: "a bound node check turns critical", command: critical("serfHealth"), left: [S2] },
    {
      when: "a bound service check turns critical",
      command: critical("service:db", "db"),
      left: [S2],
    },
    { when: "a free check turns critical", command: critical("free"), left: [S1, S2] },
    {
      when: "a bound check turns warning",
      command: register(node("n"), null, [check("serfHealth", { status: "warning" })]),
      left: [S1, S2],
    },
    { when: "a bound check is removed", command: deregister("n", "", "serfHealth"), left: [S2] },
    { when: "the service of a bound check is removed", command: deregister("n", "db"), left: [S2] },
    { when: "the node is removed", command: deregister("n"), left: [] },
  ];
  for (const { when, command, left } of cases) {
    const { state, run } = build();
    const { topics } = run(command);
    t.same(
      [...state.reader.sessions()].map(({ id }) => id),
      left,
      when,
    );
    t.equal(topics.includes("sessions"), left.length < 2, when);
    t.equal(state.reader.indexOf("sessions"), left.length < 2 ? 4 : 3, when);
  }
  const { run } = build();
  t.same(run({ type: "session-destroy", id: "x" }), {
    result: { ok: true, value: true },
    topics: [],
  });
});

t.test("deadlines are twice the TTL after creation or renewal (HTTP spec 9.9)", async (t) => {
  const { state, run } = createLog();
  run(register(node("n")));
  run(session(S1, "n", { ttl: "10s" }));
  run(session(S2, "n", { ttl: "0s" }));
  const expiry = createSessionExpiry();
  expiry.follow(state.reader, 1000);
  t.equal(expiry.nextMs(), 21_000);
  t.same(expiry.due(20_999, 9), []);
  expiry.follow(state.reader, 15_000);
  t.equal(expiry.nextMs(), 21_000, "following again does not renew");
  t.equal(expiry.renew(S1, 20_000), true);
  t.equal(expiry.renew(S2, 20_000), false, "without TTL");
  t.same(expiry.due(39_999, 9), []);
  t.same(expiry.due(40_000, 9), [S1]);
  t.same(expiry.due(50_000, 9), [S1], "due until it is gone");
  run({ type: "session-destroy", id: S1 });
  expiry.follow(state.reader, 50_000);
  t.same(expiry.due(99_999, 9), []);
  t.equal(expiry.nextMs(), undefined);
  t.equal(sessionTtlMs({ ttl: "1m30s" }), 90_000);
});
