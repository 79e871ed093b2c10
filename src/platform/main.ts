import { main, type RunAgent, type Terminal } from "../main.ts";

const terminal: Terminal = {
  name: process.env["WAYPOST_NAME"] === "consul" ? "consul" : "waypost",
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
  processId: process.pid,
};
delete process.env["WAYPOST_NAME"]; // check scripts and children have no use for it

const runAgent: RunAgent = ({ log }) => {
  log("error", "this program was built without an agent");
  return Promise.resolve(1);
};

process.exitCode = await main(process.argv.slice(2), terminal, runAgent);
