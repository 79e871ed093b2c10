import t from "tap";
import { createGuarded } from "./guarded.ts";
import { createServer, settle } from "./harness.ts";

type Listed = { ID: string; Name: string; LTime: number };

/** spec/http.md section 13, on decimal digits: both halves as unsigned numbers. */
function indexFrom(id: string): string {
  const [a, b, c, d, e] = id.split("-");
  const half = (text: string) => BigInt.asUintN(64, BigInt(`0x${text}`));
  return String(half(`${a}${b}${c}`) ^ half(`${d}${e}`));
}

t.test("fire and list", async (t) => {
  const server = createServer({ localServices: [{ service: "web", tags: ["blue"] }] });
  const fired = await server.ask("PUT", "/v1/event/fire/deploy?service=web&tag=bl", {
    body: "\u00e9!",
  });
  const { ID } = fired.json as Listed;
  const event = {
    ID,
    Name: "deploy",
    Payload: "w6kh",
    NodeFilter: "",
    ServiceFilter: "web",
    TagFilter: "bl",
    Version: 1,
    LTime: 0,
  };
  t.same(fired.json, event);
  t.equal(fired.headers.get("X-Consul-Index"), null);
  const list = await server.ask("GET", "/v1/event/list");
  t.same(list.json, [{ ...event, LTime: 1 }]);
  t.equal(list.headers.get("X-Consul-Index"), indexFrom(ID));
  t.equal(list.headers.get("X-Consul-KnownLeader"), null);
  await server.ask("PUT", "/v1/event/fire/a/b");
  t.match((await server.ask("GET", "/v1/event/list?name=a/b")).json, [
    { Name: "a/b", Payload: null, LTime: 2 },
  ]);
  const refused: [string, number, RegExp][] = [
    ["/v1/event/fire/", 400, /^Missing name$/],
    ["/v1/event/fire/x?node=[&dc=mars", 500, /^Invalid node filter: /],
    ["/v1/event/fire/x?dc=mars", 500, /^No path to datacenter$/],
  ];
  for (const [path, status, text] of refused) {
    const answer = await server.ask("PUT", path);
    t.equal(answer.status, status, path);
    t.match(answer.text, text, path);
  }
  const huge = await server.ask("PUT", "/v1/event/fire/huge", { body: "x".repeat(600) });
  t.equal(huge.status, 500);
  t.match(huge.text, /user event exceeds configured limit of 512 bytes/);
});

t.test("blocking holds only while the index is equal", async (t) => {
  const server = createServer();
  const none = await server.ask("GET", "/v1/event/list");
  t.equal(none.headers.get("X-Consul-Index"), "1");
  const other = server.start("GET", "/v1/event/list?index=77");
  const named = server.start("GET", "/v1/event/list?name=b&index=1&wait=20s");
  const waiting = server.start("GET", "/v1/event/list?index=1&wait=10s");
  await settle();
  t.ok(other.isDone);
  t.notOk(waiting.isDone);
  await server.ask("PUT", "/v1/event/fire/a");
  const first = await waiting.answer;
  t.match(first.json, [{ Name: "a" }]);
  const index = first.headers.get("X-Consul-Index")!;
  t.equal(index, indexFrom((first.json as Listed[])[0]!.ID));
  t.ok(BigInt(index) > 2n ** 53n, "more than a double holds");
  await settle();
  t.notOk(named.isDone, "another event is no answer");

  const again = server.start("GET", `/v1/event/list?index=${index}&wait=10s`);
  server.world.advance(9000);
  await settle();
  t.notOk(again.isDone);
  server.world.advance(1100);
  t.equal((await again.answer).headers.get("X-Consul-Index"), index);
  await server.ask("PUT", "/v1/event/fire/b");
  t.match((await named.answer).json, [{ Name: "b" }]);
});

t.test("rights", async (t) => {
  const { server, as, admin, tokenWith } = createGuarded();
  const rules = 'event "a" { policy = "write" } event "b" { policy = "read" }';
  const ask = as(await tokenWith(rules));
  for (const name of ["a", "b", "c"]) {
    const answer = await ask("PUT", `/v1/event/fire/${name}`);
    t.equal(answer.status, name === "a" ? 200 : 403, name);
    if (name !== "a") t.equal(answer.text, "Permission denied");
    if (name !== "a") await admin("PUT", `/v1/event/fire/${name}`);
  }
  const list = await ask("GET", "/v1/event/list");
  const events = list.json as Listed[];
  t.same(
    events.map(({ Name }) => Name),
    ["a", "b"],
  );
  t.equal(list.headers.get("X-Consul-Index"), indexFrom(events[1]!.ID), "of those that are shown");
  const anonymous = await server.ask("GET", "/v1/event/list");
  t.same([anonymous.json, anonymous.headers.get("X-Consul-Index")], [[], "1"]);
});
