import t from "tap";
import { createServer } from "./harness.ts";

// spec/http.md 9.1: a text is a duration; a number below 1000 is seconds, else nanoseconds.
const delays: [unknown, number][] = [
  [undefined, 15_000_000_000],
  ["1.5ms", 1_500_000],
  ["17m12.345678901s", 1_032_345_678_901],
  [20, 20_000_000_000],
  [999, 999_000_000_000],
  [1000, 1000],
  [8_192_000_003, 8_192_000_003],
  [8_192_000_007, 8_192_000_007],
  [1.9, 1_000_000_000],
  [-5, -5_000_000_000],
  ["20ns", 20_000_000_000],
  ["0s", 0],
  [1e30, 9e18],
  ["-2540400h", -9e18],
];

t.test("a lock delay is shown to the nanosecond", async (t) => {
  const server = createServer();
  await server.ask("PUT", "/v1/catalog/register", { body: { Node: "n1", Address: "10.0.0.1" } });
  for (const [LockDelay, shown] of delays) {
    const body = { Node: "n1", LockDelay, NodeChecks: [] };
    const { ID } = (await server.ask("PUT", "/v1/session/create", { body })).json as { ID: string };
    const { text } = await server.ask("GET", `/v1/session/info/${ID}`);
    t.match(text, `"LockDelay":${shown},`, String(LockDelay));
  }
});

// spec/http.md 9.2; encoding/json sets a list that is null to nil, whatever it was before.
const checks: [body: object, NodeChecks: string[] | undefined, Checks?: string[]][] = [
  [{}, ["serfHealth"]],
  [{ Checks: [] }, []],
  [{ checks: null }, []],
  [{ NodeChecks: null }, []],
  [{ NodeChecks: null, Checks: ["ttl"] }, []],
  [{ Checks: ["ttl"] }, ["serfHealth"], ["ttl"]],
  [{ NodeChecks: ["ttl"], Checks: ["serfHealth"] }, ["ttl"]],
];
t.test("which checks a session is bound to", async (t) => {
  const server = createServer();
  const Checks = ["serfHealth", "ttl"].map((Name) => ({ Name, Status: "passing" }));
  const node = { Node: "n1", Address: "10.0.0.1", Checks };
  await server.ask("PUT", "/v1/catalog/register", { body: node });
  for (const [given, NodeChecks, Checks] of checks) {
    const body = { Node: "n1", ...given };
    const { ID } = (await server.ask("PUT", "/v1/session/create", { body })).json as { ID: string };
    const [session] = (await server.ask("GET", `/v1/session/info/${ID}`)).json as object[];
    t.match(session, { NodeChecks, Checks }, JSON.stringify(given));
  }
});

t.test("an unknown session is named as it was asked for", async (t) => {
  const id = "AAAAAAAA-0000-4000-8000-000000000001";
  const answer = await createServer().ask("PUT", `/v1/session/renew/${id}`);
  t.equal(answer.status, 404);
  t.equal(answer.text, `Session id '${id}' not found`);
});
