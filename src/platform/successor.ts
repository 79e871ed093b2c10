/** This program once more, as the successor of this process. */
import { spawn } from "node:child_process";
import type { InheritedSocket, Log } from "../ports.ts";
import { passInherited } from "./activation.ts";
import { passServiceManager, type ServiceManager } from "./notify.ts";

/** What is started, and with what. */
export type SuccessorOptions = {
  /** The launcher: whatever is installed there now. */
  programPath: string;
  /** As this process has them. */
  args: readonly string[];
  sockets: readonly InheritedSocket[];
  /** Not in our environment any more. */
  manager: ServiceManager;
  log: Log;
};

/** Starts it with `-takeover`; it outlives this process. Its end before that is in the log. */
export function startSuccessor(options: SuccessorOptions): void {
  const { programPath, args, sockets, manager, log } = options;
  const { descriptors, environment } = passInherited(sockets);
  const without = args.filter((arg) => !/^--?takeover$/.test(arg));
  const child = spawn(programPath, [...without, "-takeover"], {
    stdio: ["ignore", "inherit", "inherit", ...descriptors],
    detached: true,
    env: {
      ...process.env,
      ...environment,
      ...passServiceManager(manager),
    },
  });
  child.on("error", (error) =>
    log("error", "the successor cannot be started", { error: error.message }),
  );
  child.on("exit", (code, signal) =>
    log("error", "the successor ended; this agent goes on", { code, signal }),
  );
  child.unref();
  log("info", "a successor is started", { program: programPath, pid: child.pid });
}
