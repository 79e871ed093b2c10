/** The agent on this runtime: everything that only Bun can do, put together. */
import { randomUUID } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import { runAgent } from "../agent.ts";
import type { AgentStart, Platform } from "../agent/start.ts";
import type { Clock, Random } from "../ports.ts";
import { takeInherited } from "./activation.ts";
import { createSharedClock } from "./clock.ts";
import { startDnsFront } from "./front.ts";
import { createPing } from "./ping.ts";
import { createOpenPipe } from "./pipe.ts";
import { createNotify, takeServiceManager } from "./notify.ts";
import { startHttp } from "./serve.ts";
import { steerToUs } from "./steer.ts";
import { openStore } from "./store.ts";
import { startSuccessor } from "./successor.ts";
import { passOn } from "./takeover.ts";
import { timers } from "./timers.ts";
import { openStreamFrom } from "./source-socket.ts";
import { createExchanges } from "./upstream.ts";

/** Words drawn from the system's generator at a time: a call per word would cost more than the word. */
const randomWords = new Uint32Array(1024);
let nextWord = randomWords.length;
const random: Random = {
  uint32() {
    if (nextWord === randomWords.length) {
      crypto.getRandomValues(randomWords);
      nextWord = 0;
    }
    return randomWords[nextWord++]!;
  },
  uuid: randomUUID,
};

/**
 * Runs an agent until it stops; resolves with the exit code, 1 if it cannot start. `programPath` and
 * `args`: how this program was started, and will be once more for a successor.
 */
export async function run(
  start: AgentStart,
  clock: Clock,
  { programPath, args }: { programPath: string; args: readonly string[] },
): Promise<number> {
  const manager = takeServiceManager(process.env);
  const { sockets, problems } = takeInherited(process.env);
  for (const problem of problems) start.log("warn", problem);
  const platform: Platform = {
    clock,
    ttlClock: { ...clock, monotonicMs: createSharedClock(createSharedClock(0)()) },
    timers,
    random,
    processorCount: availableParallelism(),
    hostname: hostname(),
    startDnsFront,
    createExchanges,
    openStreamFrom,
    createPing: () => createPing(random),
    openPipe: createOpenPipe(),
    dockerHost: process.env["DOCKER_HOST"] ?? "",
    environment: () => process.env,
    openStore,
    startHttp,
    inheritedSockets: sockets,
    steerToUs: (ports) => steerToUs(ports, start.log),
    passOn: (ports) => passOn(ports, start.log),
    notify: createNotify(manager.notifySocket),
    watchdogMs: manager.watchdogMs,
    startSuccessor: () => startSuccessor({ programPath, args, sockets, manager, log: start.log }),
    tellToReload(pid) {
      try {
        process.kill(pid, "SIGHUP");
      } catch {
        // It has ended, and so reads its configuration again.
      }
    },
    exit: (code) => process.exit(code),
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    },
  };
  try {
    return await runAgent(start, platform);
  } catch (error) {
    start.log("error", error instanceof Error ? error.message : String(error));
    return 1;
  }
}
