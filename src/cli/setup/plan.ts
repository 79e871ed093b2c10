/** What a setup would do to a host: types only. */
import type { Result } from "../../base.ts";
import type { FileChange, FileState } from "./change.ts";

/** What the host looks like, as far as a setup asks. */
export type Host = {
  /** What stands at a path. */
  read: (path: string) => Result<FileState, string>;
  /** The text of a file, links followed; undefined if there is none that can be read. */
  follow: (path: string) => string | undefined;
  /** First IPv4 address of an interface. */
  interfaceAddress: (name: string) => string | undefined;
};

/** Where the DNS listener is that the host shall ask. */
export type Listener = { address: string; port: number };

/** Everything that is to be done. */
export type Plan = {
  changes: FileChange[];
  /** A program and its arguments, run after the files have changed, and after they were changed back. */
  commands: string[][];
  /** What the operator has to see to; whole sentences. */
  notes: string[];
};

/** The error is one sentence for the operator. */
export type MakePlan = (host: Host, listener: Listener) => Result<Plan, string>;
