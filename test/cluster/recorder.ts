/** The simplest state machine that shows every mistake of a log: it remembers what it applied. */
import { assert } from "../../src/base.ts";
import type { Entry, Snapshot, StateMachine } from "../../src/cluster/engine.ts";

export type Recorded = { index: number; term: number; text: string };

export type Recorder = StateMachine & {
  /** Commands in the order of application, also those that came with an image. */
  readonly recorded: Recorded[];
  /** Indexes of what was applied, and of the images put in place, in this life. */
  readonly applied: number[];
  readonly installed: number[];
  texts(): string[];
};

/** What a command's result looks like: tells index and text. */
export const resultOf = (index: number, text: string) => `${index}:${text}`;

export function createRecorder(): Recorder {
  const recorded: Recorded[] = [];
  const applied: number[] = [];
  const installed: number[] = [];
  let at = { index: 0, term: 0 };
  return {
    recorded,
    applied,
    installed,
    texts: () => recorded.map(({ text }) => text),
    apply({ index, term, command }: Entry) {
      assert(index === at.index + 1, `entry ${index} after ${at.index}`);
      assert(term >= at.term, `term ${term} after ${at.term}`);
      const text = new TextDecoder().decode(command);
      if (text === "throw") throw new Error("the state machine is broken");
      at = { index, term };
      applied.push(index);
      recorded.push({ index, term, text });
      return resultOf(index, text);
    },
    /** One chunk per command, of the commands that were there at the time of the call. */
    snapshot: () => ({ ...at, chunks: recorded.slice().map((row) => encode(row)) }),
    async prepare({ index, term, chunks }: Snapshot) {
      const image: Recorded[] = [];
      for await (const chunk of chunks)
        image.push(JSON.parse(new TextDecoder().decode(chunk)) as Recorded);
      return () => {
        recorded.splice(0, recorded.length, ...image);
        installed.push(index);
        at = { index, term };
      };
    },
  };
}

export const encode = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

/** Every line of a recorder's life without the entries that open a term. */
export const withoutEpochs = (texts: readonly string[]): string[] =>
  texts.filter((text) => !text.startsWith("epoch "));
