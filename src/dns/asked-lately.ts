/**
 * Whether a question was asked a moment ago: decides if a short-lived answer is worth preparing for
 * the workers. Names made up once each (random subdomains) so never fill the answer table.
 */

import { foldOctet } from "./name.ts";

/** Questions remembered; a collision forgets the older one, which costs one more miss. */
const SLOTS = 8192;

/** Notes the question and tells if it was noted in the same second or the one before. */
export type AskedLately = (question: Uint8Array, nowMs: number) => boolean;

/** A memory that holds nothing yet; it never grows. */
export function createAskedLately(): AskedLately {
  const hashes = new Int32Array(SLOTS);
  const seconds = new Float64Array(SLOTS).fill(-2);
  return (question, nowMs) => {
    let hash = 0x811c9dc5;
    for (let i = 0; i < question.length; i++)
      hash = Math.imul(hash ^ foldOctet(question[i]!), 0x01000193);
    const slot = (hash ^ (hash >>> 16)) & (SLOTS - 1);
    const second = Math.floor(nowMs / 1000);
    const lately = hashes[slot] === hash && second - seconds[slot]! <= 1;
    hashes[slot] = hash;
    seconds[slot] = second;
    return lately;
  };
}
