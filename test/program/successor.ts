/** A second process of the program that takes over from the first one. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { waypostPath, type Program } from "../program.ts";

/** Until something is said; on a busy machine a start alone takes many seconds. */
const LIMIT_MS = 30_000;

/** The second process; what it has written so far. */
export type Successor = {
  child: ChildProcess;
  output(): string;
  saysSoon(what: RegExp): Promise<void>;
};

/** Waits until it has written that. Rejects with all that it wrote after half a minute. */
export async function says(output: () => string, what: RegExp): Promise<void> {
  for (const limit = Date.now() + LIMIT_MS; !what.test(output()); await sleep(10))
    if (Date.now() > limit) throw new Error(`not said: ${String(what)}\n${output()}`);
}

/** A second process on the configuration of the first; killed when the test ends. */
export function startSuccessor(
  t: Test,
  { configFile }: Pick<Program, "configFile">,
  as: { uid?: number } = {},
): Successor {
  const child = spawn(waypostPath, ["agent", "-config-file", configFile, "-takeover"], {
    stdio: ["ignore", "pipe", "pipe"],
    ...as,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (octets: Buffer) => (output += octets.toString()));
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return {
    child,
    output: () => output,
    saysSoon: (what) =>
      says(() => {
        if (child.exitCode !== null && !what.test(output))
          throw new Error(`ended (${child.exitCode}): ${output}`);
        return output;
      }, what),
  };
}

/** Waits for its end: the exit code, null if a signal ended it. */
export async function endOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}

/** Registers a service of that name at the agent. */
export const register = (program: Program, name: string) =>
  program.http("PUT", "/v1/agent/service/register", { Name: name, Port: 80 });

/** How many instances of that service pass. */
export async function instances(program: Program, name: string): Promise<number> {
  const { text } = await program.http("GET", `/v1/health/service/${name}?passing`);
  return (JSON.parse(text) as unknown[]).length;
}
