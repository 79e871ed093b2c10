/** The other end of bun.ts: what the scripts under Bun have in common. */
import { createInterface } from "node:readline";
import type { Log } from "../../src/ports.ts";

const write = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

export const log: Log = (level, message, fields) => write({ level, message, fields });

/** Loads a file of src/platform, which only Bun can. */
export function platform<T>(file: string): Promise<T> {
  return import(new URL(`../../src/platform/${file}`, import.meta.url).href) as Promise<T>;
}

/** Answers calls from bun.ts by these functions. */
export function serveCalls(commands: Record<string, (...args: never[]) => unknown>): void {
  createInterface({ input: process.stdin }).on("line", (text) => {
    const { call, command, args } = JSON.parse(text) as {
      call: number;
      command: string;
      args: never[];
    };
    Promise.resolve()
      .then(() => commands[command]!(...args))
      .then(
        (value) => write({ answer: call, value }),
        (error: unknown) => write({ answer: call, error: String((error as Error).message) }),
      );
  });
}
