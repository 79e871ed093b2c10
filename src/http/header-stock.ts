/** Headers that many answers share, built once: copying them costs a third of building them from names. */

/** Names and values; a constant, which is known again by its identity. */
export type HeaderSet = Readonly<Record<string, string>>;

/** The set of an answer without headers of its own. */
export const noHeaders: HeaderSet = {};

/**
 * Gives the Headers of an answer of this type ("": no Content-Type) with this set; `always` comes with
 * each. To be copied, never changed. Holds one object per type and set that the code names.
 */
export function createHeaderStock(always: HeaderSet): (type: string, set: HeaderSet) => Headers {
  const bySet = new Map<HeaderSet, Map<string, Headers>>();

  return (type, set) => {
    let byType = bySet.get(set);
    if (byType === undefined) bySet.set(set, (byType = new Map()));
    let headers = byType.get(type);
    if (headers === undefined) {
      headers = new Headers(type === "" ? {} : { "Content-Type": type });
      for (const one of [always, set])
        for (const [name, value] of Object.entries(one)) headers.set(name, value);
      byType.set(type, headers);
    }
    return headers;
  };
}
