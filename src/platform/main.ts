import { main, type Terminal } from "../main.ts";
import type { Clock } from "../ports.ts";

const clock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

const terminal: Terminal = {
  name: process.env["WAYPOST_NAME"] === "consul" ? "consul" : "waypost",
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  clock,
  processId: process.pid,
};
delete process.env["WAYPOST_NAME"]; // check scripts and children have no use for it

/** How long a thread or socket that was not closed may keep the process after its work is done. */
const LINGER_MS = 2000;

// Loading the agent takes a fifth of a second, which `version` and `validate` need not wait for.
process.exitCode = await main(process.argv.slice(2), terminal, async (start) => {
  const { run } = await import("./run.ts");
  return run(start, clock);
});
setTimeout(() => process.exit(), LINGER_MS).unref();
