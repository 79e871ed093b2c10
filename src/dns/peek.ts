/** What a worker would answer now, asked on the main thread: the same code over the same table. */
import type { SharedClock } from "./answer.ts";
import { COUNTER_CELLS } from "./cells.ts";
import { createResponder, REPLY_ROOM_OCTETS, respond, type Responder } from "./respond.ts";

/** A longer query is none that the table answers. */
const INPUT_OCTETS = 1024;

/** The reply of the answer table to this message; null: the workers would hand it to the main thread. */
export type Peek = (query: Uint8Array) => Uint8Array | null;

/**
 * Buffers are made with the first look. Nothing is counted, but the answer is taken for asked, so it
 * stays in the table as after any question. `random`: an integer from 0 to 2^32 - 1.
 */
export function createPeek(
  memory: SharedArrayBuffer,
  clock: SharedClock,
  random: () => number,
): Peek {
  let looking: { responder: Responder; input: Uint8Array } | undefined;
  const open = () => {
    const input = new ArrayBuffer(INPUT_OCTETS);
    const responder = createResponder({
      memory,
      input,
      output: new ArrayBuffer((REPLY_ROOM_OCTETS + 3) & ~3),
      counters: new Float64Array(COUNTER_CELLS),
      seed: Int32Array.from({ length: 4 }, random),
    });
    return { responder, input: new Uint8Array(input) };
  };
  return (query) => {
    if (query.length > INPUT_OCTETS) return null;
    const { responder, input } = (looking ??= open());
    input.fill(0);
    input.set(query);
    const octets = respond(responder, 0, query.length, 0, clock());
    return octets > 0 ? responder.output.slice(0, octets) : null;
  };
}
