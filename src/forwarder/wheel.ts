/**
 * Deadlines of many questions with one timer: a ring of slots, each a doubly linked list threaded
 * through the items. Setting, moving and clearing cost the same whatever the number of items.
 */

/** Width of a slot; an item comes at most this much late. */
export const SLOT_MS = 8;
/** A later deadline than SLOTS x SLOT_MS is put into the farthest slot; its item asks again there. */
const SLOTS = 512;

/** Fields by which the wheel holds an item: -1, null and null at first. Only the wheel writes them. */
export type Timed = { wheelSlot: number; wheelNext: Timed | null; wheelPrevious: Timed | null };

export type Wheel<T extends Timed> = {
  /** Puts the item at `atMs`, or moves it there. Returns when its slot has passed. */
  set(item: T, atMs: number, nowMs: number): number;
  clear(item: T): void;
  /** Takes out every item whose slot has passed and hands it over; `due` may set it again. */
  advance(nowMs: number, due: (item: T) => void): void;
  /** Start of the first slot that holds something; Infinity if all are empty. */
  nextMs(): number;
  readonly size: number;
};

export function createWheel<T extends Timed>(): Wheel<T> {
  const heads = Array.from<Timed | null>({ length: SLOTS }).fill(null);
  /** Last slot that was emptied, counted in slots since time 0. */
  let passed = 0;
  let size = 0;
  /** While slots are emptied in order, `passed` must not jump ahead of them. */
  let advancing = false;

  function unlink(item: Timed): void {
    if (item.wheelPrevious === null) heads[item.wheelSlot] = item.wheelNext;
    else item.wheelPrevious.wheelNext = item.wheelNext;
    if (item.wheelNext !== null) item.wheelNext.wheelPrevious = item.wheelPrevious;
    item.wheelSlot = -1;
    item.wheelNext = null;
    item.wheelPrevious = null;
    size--;
  }

  return {
    set(item, atMs, nowMs) {
      if (item.wheelSlot >= 0) unlink(item);
      if (size === 0 && !advancing) passed = Math.floor(nowMs / SLOT_MS);
      const wanted = Math.ceil(atMs / SLOT_MS);
      const tick = Math.min(Math.max(wanted, passed + 1), passed + SLOTS - 1);
      const slot = tick % SLOTS;
      const head = heads[slot]!;
      item.wheelSlot = slot;
      item.wheelNext = head;
      item.wheelPrevious = null;
      if (head !== null) head.wheelPrevious = item;
      heads[slot] = item;
      size++;
      return tick * SLOT_MS;
    },
    clear(item) {
      if (item.wheelSlot >= 0) unlink(item);
    },
    advance(nowMs, due) {
      const until = Math.floor(nowMs / SLOT_MS);
      // After a sleep of the machine one round finds everything.
      passed = Math.max(passed, until - SLOTS);
      advancing = true;
      while (passed < until && size > 0) {
        const slot = ++passed % SLOTS;
        for (let item = heads[slot]!; item !== null; item = heads[slot]!) {
          unlink(item);
          // The wheel holds nothing but what `set` was given.
          due(item as T);
        }
      }
      advancing = false;
    },
    nextMs() {
      if (size === 0) return Infinity;
      let tick = passed + 1;
      while (heads[tick % SLOTS] === null) tick++;
      return tick * SLOT_MS;
    },
    get size() {
      return size;
    },
  };
}
