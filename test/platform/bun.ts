/** Runs a script of this folder under the installed Bun and talks to it in lines of JSON. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bunProgram } from "../bun.ts";

export type Host = {
  /** Sends a command; its answer. Rejects with what the script threw. */
  call<T>(command: string, ...args: unknown[]): Promise<T>;
  /** Lines that the script wrote by itself: log messages. */
  log: { level: string; message: string; fields?: Record<string, unknown> }[];
  /** Ends the script. */
  end(): Promise<void>;
};

type Line =
  | { answer: number; value?: unknown; error?: string }
  | { level: string; message: string; fields?: Record<string, unknown> };

/** `limitDescriptors`: soft limit of open descriptors of the process. */
export function startHost(script: string, limitDescriptors?: number): Host {
  const bun = bunProgram();
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child =
    limitDescriptors === undefined
      ? spawn(bun, [file], { stdio: ["pipe", "pipe", "inherit"] })
      : spawn("/bin/sh", ["-c", `ulimit -n ${limitDescriptors}; exec "$0" "$1"`, bun, file], {
          stdio: ["pipe", "pipe", "inherit"],
        });
  const waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >();
  const log: Host["log"] = [];
  let calls = 0;
  createInterface({ input: child.stdout! }).on("line", (text) => {
    const line = JSON.parse(text) as Line;
    if (!("answer" in line)) {
      log.push(line);
      return;
    }
    const { resolve, reject } = waiting.get(line.answer)!;
    waiting.delete(line.answer);
    if (line.error === undefined) resolve(line.value as never);
    else reject(new Error(line.error));
  });
  const exited = new Promise<void>((resolve) =>
    child.once("exit", () => {
      for (const { reject } of waiting.values()) reject(new Error(`${script} ended`));
      resolve();
    }),
  );
  return {
    log,
    call: (command, ...args) =>
      new Promise((resolve, reject) => {
        waiting.set(++calls, { resolve, reject });
        child.stdin!.write(`${JSON.stringify({ call: calls, command, args })}\n`);
      }),
    async end() {
      child.stdin!.end();
      child.kill("SIGKILL");
      await exited;
    },
  };
}
