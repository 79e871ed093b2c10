/** What commands may see of the process they run in; production hands in the real one. */
import type { Cancel, Clock, Timers } from "../ports.ts";

/** The streams, the environment and the signals of one run of the program. */
export type World = {
  /** Name the program was started under: waypost or consul. */
  name: string;
  /** Absolute path it was started by, links not followed. */
  programPath: string;
  /** Resolves when the text has been taken; output of any length is safe to end after. */
  out(text: string | Uint8Array): Promise<void>;
  err(text: string): Promise<void>;
  /** Everything on standard input. */
  readInput(): Promise<Uint8Array>;
  env: Readonly<Record<string, string | undefined>>;
  /** Standard output is a terminal: colours. */
  isTerminal: boolean;
  /** Standard error is a terminal: progress of long work. */
  showsProgress: boolean;
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void): Cancel;
  clock: Clock;
  timers: Timers;
};
