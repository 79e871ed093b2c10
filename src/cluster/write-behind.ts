/** Work on named things, one piece at a time per name; of several waiting pieces only the newest is done. */
export type WriteBehind = {
  /**
   * Resolves when this piece, or a newer one of the same name, is done. Rejects with the error of
   * the piece that was done. Waiting pieces: at most one per name.
   */
  put(name: string, work: () => Promise<void>): Promise<void>;
  /** Resolves when nothing is under way or waiting. Never rejects. */
  settled(): Promise<void>;
};

type Piece = {
  work: () => Promise<void>;
  done: Promise<void>;
  finish: (work: Promise<void>) => void;
};

/** Work of different names runs side by side. */
export function createWriteBehind(): WriteBehind {
  const running = new Map<string, Promise<void>>();
  const waiting = new Map<string, Piece>();

  function start(name: string, work: () => Promise<void>): Promise<void> {
    const done = work();
    const after = () => {
      running.delete(name);
      const next = waiting.get(name);
      waiting.delete(name);
      next?.finish(start(name, next.work));
    };
    running.set(name, done.then(after, after));
    return done;
  }

  return {
    put(name, work) {
      if (!running.has(name)) return start(name, work);
      const piece = waiting.get(name);
      if (piece) {
        piece.work = work;
        return piece.done;
      }
      let finish: Piece["finish"] = () => {};
      const done = new Promise<void>((resolve) => (finish = resolve));
      waiting.set(name, { work, done, finish });
      return done;
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
}
