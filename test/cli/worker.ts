/**
 * Command lines one after the other in one process of the real runtime: a line of JSON on standard
 * input asks for one, a line on standard output brings what it printed. See run.ts.
 */
import { createInterface } from "node:readline";
import type { World } from "../../src/cli/world.ts";
import { main } from "../../src/main.ts";
import { timers } from "../../src/platform/timers.ts";

/** One command line. `input` is base64. */
export type Asked = {
  id: number;
  args: string[];
  env: Record<string, string | undefined>;
  input: string;
};

/** What came of it; `out` and `err` are base64. */
export type Told = { id: number; code: number; out: string; err: string };

const clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

for await (const line of createInterface({ input: process.stdin }))
  void answer(JSON.parse(line) as Asked); // run.ts writes it

async function answer({ id, args, env, input }: Asked): Promise<void> {
  const printed: Record<"out" | "err", Uint8Array[]> = { out: [], err: [] };
  const print = (to: "out" | "err") => async (text: string | Uint8Array) =>
    void printed[to].push(Buffer.from(text));
  const [out, err] = [print("out"), print("err")];
  const world: World = {
    name: "waypost",
    programPath: process.argv[2] ?? "",
    out,
    err,
    readInput: () => Promise.resolve(Buffer.from(input, "base64")),
    env,
    isTerminal: false,
    showsProgress: false,
    onSignal: () => () => {},
    clock,
    timers,
  };
  const terminal = {
    name: "waypost",
    out: (text: string) => void out(text),
    err: (text: string) => void err(text),
    clock,
    processId: process.pid,
    world: () => world,
  };
  const code = await main(args, terminal, () =>
    Promise.reject(new Error("an agent needs its own process")),
  );
  const text = (to: "out" | "err") => Buffer.concat(printed[to]).toString("base64");
  process.stdout.write(
    `${JSON.stringify({ id, code, out: text("out"), err: text("err") } satisfies Told)}\n`,
  );
}
