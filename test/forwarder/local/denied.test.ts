// Names that have data here are not denied by servers that do not know them (dnsmasq: NXDOMAIN becomes NODATA).
import t from "tap";
import { createScene, expectAll, inWords, requestOf } from "./scene.ts";

t.test("a server's NXDOMAIN for what exists here is NODATA", async (t) => {
  const scene = await createScene(
    t,
    {
      records: [
        { name: "host.own.test", type: "TXT", data: "x" },
        { name: "a.b.deep.test", type: "A", data: "192.0.2.50" },
      ],
      addresses: [{ names: ["four.test"], addresses: ["192.0.2.51"] }],
    },
    { recursors: ["192.0.2.9"] },
  );
  expectAll(t, scene, [
    ["host.own.test A", "NODATA"],
    ["host.own.test A", "NODATA"],
    ["own.test A", "NODATA"],
    ["b.deep.test TXT", "NODATA"],
    ["x.a.b.deep.test A", "NXDOMAIN"],
    ["other.own.test A", "NXDOMAIN"],
    ["four.test AAAA", "NODATA"],
    ["below.four.test TXT", "NODATA"],
    ["fourx.test A", "NXDOMAIN"],
  ]);
  const denial = scene.answer("host.own.test MX");
  t.ok(denial.ok && denial.authority.length === 1, "the server's SOA stays");
});

t.test("domain_needed holds for ANY as for addresses", async (t) => {
  const scene = await createScene(t, { domain_needed: true });
  expectAll(t, scene, [
    ["plain ANY", "NXDOMAIN"],
    ["plain MX", "NODATA"],
  ]);
  t.equal(scene.pipeline.stats().answers["domain needed"], 1);
});

t.test(
  "questions of other classes are asked where those of class IN are, or nowhere",
  async (t) => {
    const scene = await createScene(t, {
      zones: [
        { names: ["corp.test"], servers: ["192.0.2.2"] },
        { names: ["secret.test"], local: true },
      ],
      records: [{ name: "h.secret.test", type: "A", data: "192.0.2.50" }],
    });
    const rows = [
      ["www.secret.test A", "NXDOMAIN"],
      ["h.secret.test A", "NODATA"],
      ["www.corp.test TXT", "@2"],
      ["www.other.test TXT", "@1"],
      ["x.onion A", "NXDOMAIN"],
    ] as const;
    for (const qclass of [3, 4, 255])
      for (const [question, expected] of rows) {
        let words = "";
        const request = { ...requestOf(question, "127.0.0.1"), qclass };
        scene.pipeline.forward(request, (answer) => {
          words = inWords(answer);
          t.not(answer.ok && answer.constant, true, "not for workers");
        });
        scene.world.settle();
        t.equal(words, expected, `${question} of class ${qclass}`);
      }
  },
);
