import t from "tap";
import { startProgram } from "../program.ts";
import { runCli } from "./run.ts";

t.test("reload", async (t) => {
  const program = await startProgram(t);
  program.configure({ service: { name: "web", port: 80 } });
  t.same(await runCli(program.httpPort, ["reload"]), {
    code: 0,
    out: "Configuration reload triggered\n",
    err: "",
  });
  t.match((await program.http("GET", "/v1/agent/services")).text, /"web"/);
  t.same(await runCli(program.httpPort, ["reload", "now"]), {
    code: 1,
    out: "",
    err: "Too many arguments (expected 0, got 1)\n",
  });
  program.configure({ datacentre: "x" });
  t.match(await runCli(program.httpPort, ["reload"]), {
    code: 1,
    err: /^Error reloading: Unexpected response code: 500 \(.*datacentre/,
  });
});
