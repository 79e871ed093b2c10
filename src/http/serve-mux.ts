/** Routing as Go's http.ServeMux does it: exact paths, and subtrees that end in "/", the longest first. */
import type { Result, Router } from "hono/router";

/** Methods do not matter here: every route answers all of them, if only with 405. */
export class ServeMux<T> implements Router<T> {
  readonly name = "ServeMux";
  readonly #none: Result<T> = [[]];
  readonly #exact = new Map<string, Result<T>>();
  /** By path with its slash. */
  readonly #subtrees = new Map<string, Result<T>>();
  /** Subtrees of two segments under which no other path stands: found without a look at the rest. */
  readonly #whole = new Map<string, Result<T>>();
  /** The first two segments of every path, with the slash after them. */
  readonly #begun = new Set<string>();
  /** Slashes of the deepest subtree: a path is never searched further down. */
  #maxSlashes = 0;

  /** A subtree's path ends in "/*", as hono writes it; its handler also gets the path without the slash. */
  add(_method: string, path: string, handler: T): void {
    const result: Result<T> = [[[handler, {}]]];
    const beginning = path.slice(0, endOfTwo(path));
    if (this.#begun.has(beginning)) this.#whole.delete(beginning);
    else if (path === `${beginning}*`) this.#whole.set(beginning, result);
    if (beginning !== "") this.#begun.add(beginning);
    if (!path.endsWith("/*")) {
      this.#exact.set(path, result);
      return;
    }
    const subtree = path.slice(0, -1);
    this.#subtrees.set(subtree, result);
    const bare = subtree.slice(0, -1);
    if (!this.#exact.has(bare)) this.#exact.set(bare, result);
    this.#maxSlashes = Math.max(this.#maxSlashes, subtree.split("/").length - 1);
  }

  match(_method: string, path: string): Result<T> {
    const whole = this.#whole.get(path.slice(0, endOfTwo(path)));
    if (whole !== undefined) return whole;
    const exact = this.#exact.get(path);
    if (exact !== undefined) return exact;
    let slash = 0;
    for (let count = 1; count < this.#maxSlashes; count++) {
      const next = path.indexOf("/", slash + 1);
      if (next < 0) break;
      slash = next;
    }
    for (; slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
      const found = this.#subtrees.get(path.slice(0, slash + 1));
      if (found !== undefined) return found;
    }
    return this.#none;
  }
}

/** Where the third slash ends, 0 if there is none. */
function endOfTwo(path: string): number {
  return path.indexOf("/", path.indexOf("/", 1) + 1) + 1;
}
