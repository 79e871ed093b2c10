/** What one zone's servers say holds for that zone alone. */
import t from "tap";
import { createScene, expectAll } from "./local/scene.ts";

const zones = [
  { names: ["corp.example"], servers: ["192.0.2.2"] },
  { names: ["b.internal.denied.example"], servers: ["192.0.2.3"] },
  { names: ["here.internal.denied.example"], local: true },
];

t.test("S7: records of another zone are its servers' word, from the cache as well", async (t) => {
  const scene = await createScene(t, { zones });
  scene.tells(1, "www.evil.example", [
    "www.evil.example CNAME www.corp.example",
    "www.corp.example A 6.6.6.6",
    "mail.corp.example A 6.6.6.6",
  ]);
  for (const round of [1, 2]) {
    expectAll(t, scene, [
      ["www.evil.example A", "CNAME www.corp.example., @2"],
      ["www.corp.example A", "@2"],
      ["mail.corp.example A", "@2"],
    ]);
    t.equal(scene.world.asked.length, 3, `round ${round}`);
  }
  t.same(
    scene.world.asked.map(({ server, question }) => `${server} ${question.name}`),
    ["1 www.evil.example", "2 www.corp.example", "2 mail.corp.example"],
  );
});

t.test("S8: a denial of the parent hides no name of a zone below it", async (t) => {
  const scene = await createScene(t, { zones }, { recursors: ["192.0.2.9"] });
  expectAll(t, scene, [
    ["internal.denied.example A", "NXDOMAIN"],
    ["c.internal.denied.example A", "NXDOMAIN"],
    ["a.b.internal.denied.example A", "@3"],
    ["b.internal.denied.example A", "@3"],
    ["here.internal.denied.example A", "NXDOMAIN"],
    ["internal.denied.example AAAA", "NXDOMAIN"],
    ["x.a.b.internal.denied.example AAAA", "@3"],
  ]);
});

t.test("S8: nor does a stale one", async (t) => {
  const scene = await createScene(t, { zones }, { recursors: ["192.0.2.9"] });
  scene.ask("internal.denied.example A");
  scene.world.pass(100_000);
  scene.world.server(9, () => []);
  t.equal(scene.ask("internal.denied.example A"), "NXDOMAIN", "the last word");
  t.equal(scene.ask("a.b.internal.denied.example A"), "@3");
});

t.test("ask 9: a zone may keep and outlive otherwise than the rest", async (t) => {
  const scene = await createScene(t, {
    zones: [
      { names: ["short.example"], servers: ["192.0.2.2"], max_ttl: "5s", stale: false },
      { names: ["never.example"], servers: ["192.0.2.3"], cache: false },
    ],
  });
  const names = ["a.short.example", "a.never.example", "a.other.example"];
  const packets = (): number[] =>
    names.map((name) => {
      const before = scene.world.asked.length;
      scene.ask(`${name} A`);
      return scene.world.asked.length - before;
    });
  t.same(packets(), [1, 1, 1]);
  t.same(packets(), [0, 1, 0]);
  scene.world.pass(6000);
  t.same(packets(), [1, 1, 0]);
  scene.world.pass(61_000);
  for (const server of [1, 2, 3]) scene.world.server(server, () => []);
  t.equal(scene.ask("a.other.example A"), "@1", "stale");
  t.equal(scene.ask("a.short.example A"), "failed");
  t.equal(scene.ask("a.never.example A"), "failed");
});
