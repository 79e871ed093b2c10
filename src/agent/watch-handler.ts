/** Handlers of this agent's watches: a program that reads the value, or a request that carries it. As Consul's. */
import * as http from "node:http";
import * as https from "node:https";
import { createOutputEnd, programOutput } from "../cluster/checks/output.ts";
import { dialError } from "../cluster/checks/dial/driver.ts";
import {
  DRAIN_MS,
  endProgram,
  exitProblem,
  shellArgs,
  startProgram,
  within,
  type ProgramWorld,
} from "../cluster/program/driver.ts";
import type { Log } from "../ports.ts";
import type { WatchData } from "../watch/answer.ts";
import type { HttpHandler, WatchHandler } from "../watch/definition.ts";

/** Output of a handler that is logged; of a longer one the end. Consul's bound. */
const OUTPUT_OCTETS = 4096;
/** A program that is still there so long after SIGTERM is killed. */
const GRACE_MS = 2_000;

/** One run. */
export type HandlerRun = {
  /** Whether it succeeded; what it said is in the log by then. */
  done: Promise<boolean>;
  /** Ends it; resolves when it is gone, with all that it started. */
  stop(): Promise<void>;
};

/** Tells a handler of a new value. A program may take as long as it likes; what a request may is its own setting. */
export function runHandler(
  handler: WatchHandler,
  data: WatchData,
  deps: { programs: ProgramWorld; log: Log },
): HandlerRun {
  switch (handler.kind) {
    case "http":
      return sendRequest(handler, data, deps.log);
    case "program":
      return runProgram(handler.args, handler.args[0]!, data, deps);
    case "shell":
      return runProgram(shellArgs(handler.line), "handler", data, deps);
  }
}

/** `name` stands for it in the log: arguments may hold secrets. */
function runProgram(
  args: readonly string[],
  name: string,
  { json, index }: WatchData,
  { programs, log }: { programs: ProgramWorld; log: Log },
): HandlerRun {
  const output = createOutputEnd(OUTPUT_OCTETS);
  const program = startProgram(
    {
      args,
      env: { CONSUL_INDEX: index },
      input: { text: `${json}\n` },
      output: (octets) => output.add(octets),
    },
    programs,
  );
  const failed = (error: string) =>
    log("error", "Failed to run watch handler", { handler: name, error });
  if ("failed" in program) {
    failed(program.failed);
    return { done: Promise.resolve(false), stop: () => Promise.resolve() };
  }
  async function finish(running: Exclude<typeof program, { failed: string }>): Promise<boolean> {
    const problem = exitProblem(await running.exited);
    await within(DRAIN_MS, running.outputEnded); // what it left in the background may go on
    running.close();
    if (problem !== undefined) failed(problem);
    const text = programOutput(output, OUTPUT_OCTETS);
    if (text !== "") log("debug", "watch handler output", { handler: name, output: text });
    return problem === undefined;
  }
  return { done: finish(program), stop: () => endProgram(program, GRACE_MS) };
}

function sendRequest(handler: HttpHandler, { json, index }: WatchData, log: Log): HandlerRun {
  const { url, method, header, timeoutMs, tlsSkipVerify } = handler;
  const aborting = new AbortController();
  const address = new URL(url);
  const options = {
    method,
    headers: {
      "Content-Type": "application/json",
      "X-Consul-Index": index,
      ...Object.fromEntries(Object.entries(header).map(([name, values]) => [name, [...values]])),
    },
    signal: AbortSignal.any([aborting.signal, AbortSignal.timeout(timeoutMs)]),
    agent: false as const,
  };
  const shown = `${address.origin}${address.pathname}`; // a query may hold a secret
  const done = new Promise<boolean>((resolve) => {
    const failed = (error: Error) => {
      if (!aborting.signal.aborted)
        log("error", "Failed to invoke http watch handler", {
          handler: shown,
          error: options.signal.aborted
            ? "context deadline exceeded"
            : dialError(address.host, error),
        });
      resolve(false);
    };
    const read = async (response: http.IncomingMessage) => {
      const output = createOutputEnd(OUTPUT_OCTETS);
      for await (const chunk of response) output.add(chunk as Uint8Array);
      const text = programOutput(output, OUTPUT_OCTETS);
      const { statusCode: status = 0 } = response;
      const isGood = status >= 200 && status <= 299;
      if (isGood) log("trace", "http watch handler output", { handler: shown, output: text });
      else log("error", "http watch handler failed", { handler: shown, status, output: text });
      resolve(isGood);
    };
    try {
      const onResponse = (response: http.IncomingMessage) => void read(response).catch(failed);
      const request =
        address.protocol === "https:"
          ? https.request(address, { ...options, rejectUnauthorized: !tlsSkipVerify }, onResponse)
          : http.request(address, options, onResponse);
      request.on("error", failed);
      request.end(`${json}\n`);
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error))); // a header that HTTP forbids
    }
  });
  return {
    done,
    async stop() {
      aborting.abort();
      await done;
    },
  };
}
