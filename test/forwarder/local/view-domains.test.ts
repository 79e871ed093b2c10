// Chains that lead below our own domain, where a view has a zone of its own.
import t from "tap";
import { createScene, expectAll } from "./scene.ts";

t.test("a CNAME into a zone of the view is followed there, for its clients", async (t) => {
  const records = [
    { name: "one.test", type: "CNAME", data: "db.lab.consul" },
    { name: "two.test", type: "CNAME", data: "db.service.consul" },
  ];
  const scene = await createScene(t, {
    records,
    views: [
      {
        name: "lab",
        clients: ["10.0.0.0/8"],
        zones: [{ names: ["lab.consul"], servers: ["192.0.2.3"] }],
        addresses: [{ names: ["fixed.lab.consul"], addresses: ["10.9.9.9"] }],
      },
    ],
  });
  expectAll(t, scene, [["one.test A", "CNAME db.lab.consul."]]);
  t.equal(scene.ask("one.test A", "10.1.1.1"), "CNAME db.lab.consul., @3");
  t.equal(scene.ask("two.test A", "10.1.1.1"), "CNAME db.service.consul.", "the catalog's to end");
  t.equal(scene.ask("db.lab.consul A", "10.1.1.1"), "@3");
  t.equal(scene.ask("fixed.lab.consul A", "10.1.1.1"), "A 10.9.9.9");
  t.equal(scene.pipeline.stats().answers.addresses, 1);
  t.equal(scene.world.asked.length, 1, "the second time it was known");
});
