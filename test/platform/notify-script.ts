/** Entry under Bun: what is taken of the environments given, and what a successor takes of what it is passed. */
import { platform } from "./script.ts";

type Manager = { notifySocket: string | undefined; watchdogMs: number };
const { takeServiceManager, passServiceManager } = await platform<{
  takeServiceManager: (environment: NodeJS.ProcessEnv) => Manager;
  passServiceManager: (manager: Manager) => Record<string, string>;
}>("notify.ts");

for (const usec of process.argv.slice(2)) {
  const environment = { WATCHDOG_USEC: usec, WATCHDOG_PID: String(process.pid) };
  const ours = takeServiceManager(environment);
  const passed = passServiceManager(ours);
  const { watchdogMs } = takeServiceManager({ ...passed });
  console.log(`${ours.watchdogMs} ${passed["WATCHDOG_USEC"]} ${watchdogMs}`);
}
