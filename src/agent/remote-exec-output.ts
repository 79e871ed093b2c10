/** Output of a remote job on its way into the KV store: numbered keys, in order, one write at a time. */
import type { Cancel, Timers } from "../ports.ts";

/** Octets of a full piece. Consul's. */
const PIECE_OCTETS = 4096;
/** Less than that is written when nothing came for so long. Consul's. */
const IDLE_MS = 500;

/** Takes the output of one job. */
export type Chunks = {
  /** Resolves when there is room for more: whoever writes faster than the store waits. */
  add(octets: Uint8Array): Promise<void>;
  /** Writes what is left; resolves when all is written. */
  end(): Promise<void>;
  /** Nothing is written any more of itself. */
  stop(): void;
};

/** `write` gets names such as out/0000a; an empty piece, after `heartbeatMs` without a write, is a sign of life. */
export function createChunks(deps: {
  timers: Timers;
  heartbeatMs: number;
  write(name: string, octets: Uint8Array<ArrayBuffer>): Promise<void>;
}): Chunks {
  const { timers, heartbeatMs } = deps;
  const buffer = new Uint8Array(PIECE_OCTETS);
  let filled = 0;
  let count = 0;
  let tail = Promise.resolve();
  let cancelIdle: Cancel = () => {};
  let cancelHeartbeat: Cancel = () => {};
  let isOver = false;

  function write(octets: Uint8Array<ArrayBuffer>): Promise<void> {
    const name = `out/${(count++).toString(16).padStart(5, "0")}`;
    cancelHeartbeat();
    tail = tail.then(() => deps.write(name, octets)).then(beat);
    return tail;
  }

  function beat(): void {
    cancelHeartbeat();
    if (!isOver) cancelHeartbeat = timers.after(heartbeatMs, () => void write(new Uint8Array()));
  }

  function flush(): Promise<void> {
    cancelIdle();
    if (filled === 0) return tail;
    const piece = buffer.slice(0, filled);
    filled = 0;
    return write(piece);
  }

  beat();
  return {
    async add(octets) {
      cancelIdle();
      for (let at = 0; at < octets.length;) {
        const part = octets.subarray(at, at + PIECE_OCTETS - filled);
        buffer.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === PIECE_OCTETS) await flush();
      }
      cancelIdle();
      if (filled > 0 && !isOver) cancelIdle = timers.after(IDLE_MS, () => void flush());
    },
    async end() {
      isOver = true;
      await flush();
      cancelHeartbeat();
    },
    stop() {
      isOver = true;
      cancelIdle();
      cancelHeartbeat();
    },
  };
}
