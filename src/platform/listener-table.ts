/**
 * Which sockets each worker serves, in shared memory: the main thread writes, workers read it again
 * when its version has changed. They are told by an eventfd, since they sleep in system calls.
 */

/** Addresses at a time; a further one is refused. */
export const SLOTS_MAX = 256;

const VERSION = 0;
const HEADER_WORDS = 1;
// Words of an entry: descriptor + 1 (0: free), address family, 1 if the address is unspecified, number.
const ENTRY_WORDS = 4;

/**
 * One socket as a worker needs it; `index` is its place among all sockets of all workers, `server` the
 * number under which its questions are counted.
 */
export type ServedSocket = {
  fd: number;
  family: number;
  isWildcard: boolean;
  index: number;
  server: number;
};

/** The socket of a slot for a worker has this index, which travels in return addresses. */
export function socketIndex(slot: number, worker: number, workerCount: number): number {
  return slot * workerCount + worker;
}

/** Memory for the sockets of so many workers. */
export function createListenerTable(workerCount: number): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER_WORDS + SLOTS_MAX * workerCount * ENTRY_WORDS) * 4);
}

/** The main thread's side. */
export type ListenerTable = {
  /** Takes effect with the next `publish`. */
  put(socket: ServedSocket): void;
  remove(index: number): void;
  /** Makes workers read the table again, once they are woken. */
  publish(): void;
};

/** Opens the memory for writing. */
export function writeListenerTable(memory: SharedArrayBuffer): ListenerTable {
  const words = new Int32Array(memory);
  return {
    put({ fd, family, isWildcard, index, server }) {
      words.set([fd + 1, family, isWildcard ? 1 : 0, server], HEADER_WORDS + index * ENTRY_WORDS);
    },
    remove(index) {
      words[HEADER_WORDS + index * ENTRY_WORDS] = 0;
    },
    publish() {
      Atomics.add(words, VERSION, 1);
    },
  };
}

/** A worker's side. */
export type OwnListeners = {
  /** Changes with every `publish`. */
  version(): number;
  read(): ServedSocket[];
};

/** Opens the memory for the worker of this number. */
export function readListenerTable(
  memory: SharedArrayBuffer,
  worker: number,
  workerCount: number,
): OwnListeners {
  const words = new Int32Array(memory);
  return {
    version: () => Atomics.load(words, VERSION),
    read() {
      const own: ServedSocket[] = [];
      for (let slot = 0; slot < SLOTS_MAX; slot++) {
        const index = socketIndex(slot, worker, workerCount);
        const at = HEADER_WORDS + index * ENTRY_WORDS;
        const fd = words[at]! - 1;
        if (fd < 0) continue;
        own.push({
          fd,
          family: words[at + 1]!,
          isWildcard: words[at + 2] === 1,
          index,
          server: words[at + 3]!,
        });
      }
      return own;
    },
  };
}
