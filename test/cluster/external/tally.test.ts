import t from "tap";
import { createTally, weigh } from "../../../src/cluster/external/tally.ts";

// consul-esm's README, "Threshold for Updating Check Status": P a pass, F a failure, * a change.
const rules: [held: string, thresholds: [number, number], results: string, changes: string][] = [
  ["passing", [0, 0], "F", "*"],
  ["passing", [0, 3], "FFFF", "...*"],
  ["passing", [0, 3], "PFFPFFPFF", "........*"],
  ["passing", [0, 3], "FPFPFPFPFPFP", "............"],
  ["critical", [0, 3], "P", "*"],
  ["critical", [2, 0], "PPP", "..*"],
  ["critical", [2, 0], "PFPFPPP", "......*"],
  ["passing", [0, 1], "FFF", ".**"], // asked again while the catalog says the same
];
for (const [held, [passing, critical], results, changes] of rules) {
  const tally = createTally();
  const seen = Array.from(results, (result) =>
    weigh(tally, held, result === "P" ? "passing" : "critical", { passing, critical }) ? "*" : ".",
  );
  t.equal(seen.join(""), changes, `${held}, thresholds ${passing} and ${critical}: ${results}`);
}

t.test("the count begins anew when the catalog says something else", async (t) => {
  const tally = createTally();
  const thresholds = { passing: 1, critical: 1 };
  t.notOk(weigh(tally, "passing", "critical", thresholds));
  t.notOk(weigh(tally, "critical", "passing", thresholds));
  t.notOk(weigh(tally, "passing", "critical", thresholds));
  t.ok(weigh(tally, "passing", "critical", thresholds));
});
