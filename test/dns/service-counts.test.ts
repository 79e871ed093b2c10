// Replies for services: only what the catalog has gets a label, and no more labels than allowed.
import t from "tap";
import { countService, SERVICE_CELLS } from "../../src/dns/cells.ts";
import { createServiceCounts } from "../../src/dns/service-counts.ts";
import { createLog, node, register, service } from "../cluster/state-fixtures.ts";

const { state, run } = createLog();
for (const name of ["Web", "api", "db"]) run(register(node("edge-1"), service(name)));
const catalog = state.reader;
const reading = (name: string) => ({ topics: ["nodes", `service:${name}`], catalog });
/** A reply with this RCODE and so many answers. */
const reply = (rcode: number, answers: number) =>
  Uint8Array.of(0, 0, 0x84, rcode, 0, 1, 0, answers, 0, 0, 0, 0);

t.test("labels are services of the catalog, as many as are allowed", async (t) => {
  const counts = createServiceCounts(2);
  counts.count(reading("web"), reply(0, 1));
  counts.count(reading("WEB"), reply(3, 0));
  counts.count(reading("api"), reply(0, 0));
  counts.count(reading("db"), reply(0, 1));
  for (let i = 0; i < 1000; i++) counts.count(reading(`made-up-${i}`), reply(3, 0));
  counts.count({ topics: ["nodes"], catalog }, reply(0, 1));
  const worker = new Float64Array(SERVICE_CELLS);
  countService(worker, counts.numberOf(reading("web")), 0);
  countService(worker, counts.numberOf(reading("api")), 2);
  t.same(counts.read([worker]), [
    { service: "web", rcode: "NOERROR", count: 2 },
    { service: "web", rcode: "NXDOMAIN", count: 1 },
    { service: "api", rcode: "NODATA", count: 1 },
    { service: "api", rcode: "other", count: 1 },
    { service: "other", rcode: "NOERROR", count: 1 },
  ]);
});

t.test("0: nothing is counted", async (t) => {
  const counts = createServiceCounts(0);
  t.equal(counts.numberOf(reading("web")), 0);
  counts.count(reading("web"), reply(0, 1));
  t.same(counts.read([]), []);
});
