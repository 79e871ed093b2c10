import { randomUUID } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import { runAgent, type Platform } from "../agent.ts";
import { main, type Terminal } from "../main.ts";
import type { Clock, Random, Timers } from "../ports.ts";
import { startDnsFront } from "./front.ts";
import { startHttp } from "./serve.ts";
import { openStore } from "./store.ts";
import { createExchanges } from "./upstream.ts";

const clock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

const timers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

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

const platform: Platform = {
  clock,
  timers,
  random,
  processorCount: availableParallelism(),
  hostname: hostname(),
  startDnsFront,
  createExchanges,
  openStore,
  startHttp,
  exit: (code) => process.exit(code),
  onSignal(signal, listener) {
    process.on(signal, listener);
    return () => process.off(signal, listener);
  },
};

const terminal: Terminal = {
  name: process.env["WAYPOST_NAME"] === "consul" ? "consul" : "waypost",
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  clock,
  processId: process.pid,
};
delete process.env["WAYPOST_NAME"]; // check scripts and children have no use for it

process.exitCode = await main(process.argv.slice(2), terminal, (start) =>
  runAgent(start, platform).catch((error: unknown) => {
    start.log("error", error instanceof Error ? error.message : String(error));
    return 1;
  }),
);
