/**
 * How other threads wake the main thread: they fill shared memory, and ring only if the main thread has
 * declared itself asleep. While it works it looks by itself, so under load nobody rings.
 */

/** Most items a source hands out per turn: timers, HTTP and TCP get their share in between. */
const TURN_ITEMS = 256;

/** Something that other threads fill. */
export type BellSource = {
  /** Works off at most `limit` items; returns their number. */
  drain: (limit: number) => number;
  /** Sends what the turn has collected. */
  flush: () => void;
  hasMore: () => boolean;
  /** The main thread goes to sleep: whoever watches for this source must ring from now on. */
  beforeSleep: () => void;
};

/** Wakes the main thread when workers have something for it. */
export type Doorbell = {
  /** Cell 0: 1 while the main thread is asleep. */
  memory: SharedArrayBuffer;
  /** To be called on a ring. */
  rung: () => void;
  /** Main thread: a source has begun to expect something; takes a turn soon, and sleeps after it. */
  attend: () => void;
  /** Inside a turn, so that `flush` will be called soon. */
  inTurn: () => boolean;
  /** Adds a source; the function returned takes it away. */
  attach: (source: BellSource) => () => void;
};

const ASLEEP = 0;

/** Other threads: must the main thread be rung? Only one of them is told so. */
export function claimRing(cells: Int32Array): boolean {
  return Atomics.load(cells, ASLEEP) === 1 && Atomics.exchange(cells, ASLEEP, 0) === 1;
}

function createDoorbell(): Doorbell {
  const memory = new SharedArrayBuffer(64);
  const cells = new Int32Array(memory);
  let sources: readonly BellSource[] = [];
  let inTurn = false;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    isScheduled = false;
    Atomics.store(cells, ASLEEP, 0);
    inTurn = true;
    let items = 0;
    for (const source of sources) items += source.drain(TURN_ITEMS);
    inTurn = false;
    for (const source of sources) source.flush();
    // One more look before sleeping: the next items are often already on their way.
    if (items > 0) schedule();
    else sleep();
  }

  function sleep(): void {
    Atomics.store(cells, ASLEEP, 1);
    for (const source of sources) {
      if (!source.hasMore()) continue;
      Atomics.store(cells, ASLEEP, 0);
      schedule();
      return;
    }
    for (const source of sources) source.beforeSleep();
  }

  return {
    memory,
    rung() {
      if (!isScheduled) turn();
    },
    attend() {
      if (!inTurn) schedule();
    },
    inTurn: () => inTurn,
    attach(source) {
      sources = [...sources, source];
      schedule();
      return () => {
        sources = sources.filter((other) => other !== source);
      };
    },
  };
}

let doorbell: Doorbell | undefined;

/** The doorbell of the main thread: it has one event loop, so one bell for all who wake it. */
export function mainDoorbell(): Doorbell {
  doorbell ??= createDoorbell();
  return doorbell;
}
