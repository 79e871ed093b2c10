/**
 * Work that comes in bursts from many sources, done one piece in a turn of the event loop, so that a burst
 * delays all else by one piece; sources take turns, so that who has many pieces delays only itself.
 */

/** Holds what was not yet done; who fills it has bounds of its own (places for connections). */
export type Turns = {
  /** `run` is called later; false: there was nothing to do, and the next one has this turn. */
  wait(source: string, run: () => boolean): void;
};

/** `nextTurn` calls back once, after others had their turn. */
export function createTurns(nextTurn: (run: () => void) => void): Turns {
  /** By source, whose turn is next first. */
  const waiting = new Map<string, (() => boolean)[]>();

  function takeTurn(): void {
    for (const [source, runs] of waiting) {
      const run = runs.shift()!;
      waiting.delete(source);
      if (runs.length > 0) waiting.set(source, runs);
      if (run()) break;
    }
    if (waiting.size > 0) nextTurn(takeTurn);
  }

  return {
    wait(source, run) {
      if (waiting.size === 0) nextTurn(takeTurn);
      const runs = waiting.get(source);
      if (runs === undefined) waiting.set(source, [run]);
      else runs.push(run);
    },
  };
}
