// Ask 10: servers of one group of which one denies what another one knows. Real traffic shows it.
import t from "tap";
import { play } from "./scenario.ts";
import { createWorld, answering, saying } from "./world.ts";

const scenarios: [title: string, text: string][] = [
  [
    "asked in parallel",
    `servers 2 parallel
     upstream 1 says NXDOMAIN after 1 ms
     upstream 2 answers 198.51.100.1 after 5 ms
     ask intern.test
     expect NXDOMAIN after 1 ms
     10 ms pass
     told disagree
     upstream 1 has disagreements 1
     upstream 2 has disagreements 0`,
  ],
  [
    "the one that knows is the faster one",
    `servers 2 parallel
     upstream 1 answers 198.51.100.1 after 1 ms
     upstream 2 says NXDOMAIN after 5 ms
     ask intern.test
     expect A 198.51.100.1 after 1 ms
     10 ms pass
     told disagree
     upstream 2 has disagreements 1`,
  ],
  [
    "asked on after a denial",
    `servers 2 next on NXDOMAIN
     upstream 1 says NXDOMAIN after 1 ms
     upstream 2 answers 198.51.100.1 after 1 ms
     ask intern.test
     expect A 198.51.100.1 after 2 ms
     told disagree`,
  ],
  [
    "both answer, or both deny",
    `servers 2 parallel
     upstream 1 answers 198.51.100.1 after 1 ms
     upstream 2 answers 198.51.100.2 after 5 ms
     ask a.test
     expect A 198.51.100.1
     upstream 1 says NXDOMAIN after 1 ms
     upstream 2 says NXDOMAIN after 5 ms
     ask b.test
     expect NXDOMAIN
     told`,
  ],
  [
    "an error is no denial",
    `servers 2 parallel
     upstream 1 says SERVFAIL after 1 ms
     upstream 2 answers 198.51.100.1 after 5 ms
     ask a.test
     expect A 198.51.100.1
     told`,
  ],
];
for (const [title, text] of scenarios)
  t.test(`ask 10: servers that disagree: ${title}`, async (t) => play(t, text));

t.test("ask 10: both servers and the name are told", async (t) => {
  const world = createWorld(2, { strategy: "parallel" });
  world.server(1, saying({ rcode: 3 }));
  world.server(2, answering());
  world.ask("Intern.test");
  world.settle();
  t.match(world.told, [
    {
      type: "disagree",
      group: "",
      denying: { label: "192.0.2.1:53" },
      knowing: { label: "192.0.2.2:53" },
    },
  ]);
});
