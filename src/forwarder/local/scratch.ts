/** Octets that are written again and again, seen up to any of them without garbage. */

/** See createScratch. */
export type Scratch = {
  readonly octets: Uint8Array;
  /** The first so many octets: the same view every time. */
  first(length: number): Uint8Array;
};

/** Room for `length` octets. A million views of it are made once per length: the collector would stop the thread for them. */
export function createScratch(length: number): Scratch {
  const octets = new Uint8Array(length);
  const views: Uint8Array[] = [];
  return { octets, first: (count) => (views[count] ??= octets.subarray(0, count)) };
}
