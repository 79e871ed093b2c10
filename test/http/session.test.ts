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

t.test("an unknown session is named as it was asked for", async (t) => {
  const id = "AAAAAAAA-0000-4000-8000-000000000001";
  const answer = await createServer().ask("PUT", `/v1/session/renew/${id}`);
  t.equal(answer.status, 404);
  t.equal(answer.text, `Session id '${id}' not found`);
});
