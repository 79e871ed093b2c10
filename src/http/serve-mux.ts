/** Routing as Go's http.ServeMux does it: exact paths, and subtrees that end in "/", the longest first. */
import type { Result, Router } from "hono/router";

/** Methods do not matter here: every route answers all of them, if only with 405. */
export class ServeMux<T> implements Router<T> {
  readonly name = "ServeMux";
  readonly #none: Result<T> = [[]];
  readonly #exact = new Map<string, Result<T>>();
  /** By path with its slash. */
  readonly #subtrees = new Map<string, Result<T>>();
  /** Slashes of the deepest subtree: a path is never searched further down. */
  #maxSlashes = 0;

  /** A subtree's path ends in "/*", as hono writes it; its handler also gets the path without the slash. */
  add(_method: string, path: string, handler: T): void {
    const result: Result<T> = [[[handler, {}]]];
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
