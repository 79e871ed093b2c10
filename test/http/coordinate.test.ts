import t from "tap";
import { createGuarded } from "./guarded.ts";
import { createServer, registerService } from "./harness.ts";

const coord = (x: number) => ({
  Vec: [x, 0, 0, 0, 0, 0, 0, 0],
  Error: 1.5,
  Adjustment: 0,
  Height: 1e-5,
});

const refused: { when: string; body: unknown; status: number; text: string | RegExp }[] = [
  {
    when: "no coordinate",
    body: { Node: "n1" },
    status: 400,
    text: "Request decode failed: missing Coord",
  },
  { when: "null", body: "null", status: 400, text: "Request decode failed: missing Coord" },
  { when: "empty", body: "", status: 400, text: "Request decode failed: EOF" },
  {
    when: "seven dimensions",
    body: { Node: "n1", Coord: { Vec: [1, 2, 3, 4, 5, 6, 7] } },
    status: 500,
    text: "incompatible coordinate",
  },
  {
    when: "no vector",
    body: { Node: "n1", Coord: {} },
    status: 500,
    text: "incompatible coordinate",
  },
  {
    when: "a number out of range",
    body: '{"Node":"n1","Coord":{"Vec":[1e999,0,0,0,0,0,0,0]}}',
    status: 400,
    text: "Request decode failed: json: cannot unmarshal number into field Coord.Vec[0]",
  },
  {
    when: "a text as number",
    body: { Node: "n1", Coord: { Height: "1" } },
    status: 400,
    text: /^Request decode failed: json: cannot unmarshal string into field Coord.Height/,
  },
  {
    when: "elsewhere",
    body: { Node: "n1", Datacenter: "mars", Coord: coord(1) },
    status: 500,
    text: "No path to datacenter",
  },
];
for (const { when, body, status, text } of refused)
  t.test(`update: ${when}`, async (t) => {
    const server = createServer();
    await registerService(server, "n1", "web");
    const answer = await server.ask("PUT", "/v1/coordinate/update", { body });
    t.equal(answer.status, status);
    t.match(answer.text, text);
    t.same(server.state.reader.coordinates.all(), []);
  });

t.test("lists: by node, by segment, blocking", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  await registerService(server, "N2", "web");
  const put = (Node: string, x: number, Segment?: string) =>
    server.ask("PUT", "/v1/coordinate/update", { body: { Node, Segment, Coord: coord(x) } });
  t.same((await server.ask("GET", "/v1/coordinate/nodes")).json, []);
  t.same((await put("n2", 2)).text, "");
  const index = (await server.ask("GET", "/v1/coordinate/nodes")).headers.get("X-Consul-Index");
  const waiting = server.start("GET", `/v1/coordinate/nodes?index=${index}`);
  await registerService(server, "n3", "other");
  t.notOk(waiting.isDone);
  await put("n1", 1, "alpha");
  const all = [
    { Node: "n1", Segment: "alpha", Coord: coord(1) },
    { Node: "N2", Segment: "", Coord: coord(2) },
  ];
  t.same((await waiting.answer).json, all);
  const gives: [string, number, unknown][] = [
    ["nodes", 200, all],
    ["nodes?segment=", 200, [all[1]]],
    ["nodes?segment=alpha", 200, [all[0]]],
    ["nodes?segment=beta", 200, []],
    ["node/N1", 200, [all[0]]],
    ["node/n1?segment=", 404, undefined],
    ["node/ghost", 404, undefined],
    ["nodes?dc=mars", 500, undefined],
    [
      "datacenters",
      200,
      [
        {
          Datacenter: "dc1",
          AreaID: "wan",
          Coordinates: [{ Node: "node-a.dc1", Segment: "", Coord: coord(0) }],
        },
      ],
    ],
  ];
  for (const [path, status, json] of gives) {
    const answer = await server.ask("GET", `/v1/coordinate/${path}`);
    t.equal(answer.status, status, path);
    t.same(answer.json, json, path);
  }
  const unknown = await server.ask("GET", "/v1/coordinate/node/ghost");
  t.equal(unknown.text, "");
  t.equal(unknown.headers.get("Content-Type"), null);
  t.match(unknown.headers.get("X-Consul-Index"), /^[1-9]/);
});

t.test("rights", async (t) => {
  const { as, admin, tokenWith } = createGuarded();
  const rules = 'node "n1" { policy = "write" } node "n2" { policy = "read" }';
  const ask = as(await tokenWith(rules));
  for (const Node of ["n1", "n2", "n3"]) {
    await admin("PUT", "/v1/catalog/register", { Node, Address: "10.0.0.1" });
    const body = { Node, Coord: coord(1) };
    const answer = await ask("PUT", "/v1/coordinate/update", body);
    t.equal(answer.status, Node === "n1" ? 200 : 403, `update of ${Node}`);
    await admin("PUT", "/v1/coordinate/update", body);
  }
  const { json } = await ask("GET", "/v1/coordinate/nodes");
  t.same(
    (json as { Node: string }[]).map(({ Node }) => Node),
    ["n1", "n2"],
    "filtered",
  );
  t.equal((await ask("GET", "/v1/coordinate/node/n2")).status, 200);
  const refused = await ask("GET", "/v1/coordinate/node/n3");
  t.same([refused.status, refused.text], [403, "Permission denied"]);
  t.equal((await as("")("GET", "/v1/coordinate/datacenters")).status, 200, "needs none");
});
