/** Lists of numbers that grow. */

/** Numbers of 32 bits by index, 0 where none was set; grows as it is set. */
export function createNumbers(): { get(at: number): number; set(at: number, value: number): void } {
  let numbers = new Uint32Array(16);
  return {
    get: (at) => numbers[at] ?? 0,
    set(at, value) {
      if (at >= numbers.length) {
        const more = new Uint32Array(Math.max(2 * numbers.length, at + 1));
        more.set(numbers);
        numbers = more;
      }
      numbers[at] = value;
    },
  };
}
