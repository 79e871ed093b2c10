/** Headers that many answers share, built once: copying them costs a third of building them from names. */

/** Names and values; a constant, which is known again by its identity. */
export type HeaderSet = Readonly<Record<string, string>>;

/** The set of an answer without headers of its own. */
export const noHeaders: HeaderSet = {};

/**
 * The Headers of an answer of this type ("": no Content-Type) with this set, and with X-Consul-Index
 * unless `index` is 0. To be copied before the next call, which may give the same object another index.
 */
export type HeaderStock = (type: string, set: HeaderSet, index: number) => Headers;

/** A stock whose answers all have `always`. Holds two objects per type and set that the code names. */
export function createHeaderStock(always: HeaderSet): HeaderStock {
  const plain = createShelf(always);
  const indexed = createShelf(always);

  return (type, set, index) => {
    if (index === 0) return plain(type, set);
    const headers = indexed(type, set);
    // Here and not on the copy: the headers of a Response become an object only when somebody looks.
    headers.set("X-Consul-Index", String(index));
    return headers;
  };
}

function createShelf(always: HeaderSet): (type: string, set: HeaderSet) => Headers {
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
