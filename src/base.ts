/** Outcome of checking something from outside: a packet, a request, a file. */
export type Result<T, E> = { ok: true; value: T } | { ok: false; error: E };

/** The good side of a Result. */
export function ok<T>(value: T): { ok: true; value: T } {
  return { ok: true, value };
}

/** The error side of a Result. */
export function fail<E>(error: E): { ok: false; error: E } {
  return { ok: false, error };
}

/** For programmer mistakes only: states that our own logic rules out. Never for input. */
export function assert(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${claim}`);
}

/** Closes a `switch` over a union: reached only when a member was forgotten. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
