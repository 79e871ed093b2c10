import t from "tap";
import { metadataProblem } from "../../src/cluster/metadata.ts";

const pair = (key: string, value: string) => `Couldn't load metadata pair ('${key}', '${value}'): `;

// Consul 1.10 agent/structs/structs.go; texts recorded in test/corpus/http/agent-service-a.json.
const table: [Record<string, string>, string | undefined][] = [
  [{ k: "v".repeat(512) }, undefined],
  [{ k: "é".repeat(256) }, undefined],
  [
    { k: "é".repeat(257) },
    `${pair("k", "é".repeat(257))}Value is too long (limit: 512 characters)`,
  ],
  [{ ["k".repeat(128)]: "" }, undefined],
  [{ "": "x" }, `${pair("", "x")}Key cannot be blank`],
  [{ é: "x" }, `${pair("é", "x")}Key contains invalid characters`],
  [
    { "consul-x": "y" },
    `${pair("consul-x", "y")}Key prefix 'consul-' is reserved for internal use`,
  ],
];

t.test("limits count octets, as Go does", async (t) => {
  for (const [meta, problem] of table) t.equal(metadataProblem(meta), problem);
  t.equal(metadataProblem({ "consul-x": "y" }, true), undefined, "a query may ask for it");
});
