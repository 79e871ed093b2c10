import t from "tap";
import { ServeMux } from "../../src/http/serve-mux.ts";

/** Go's rule: the exact path; a subtree whose slash is missing; else the longest subtree that holds it. */
function expected(routes: readonly string[], path: string): string | undefined {
  if (routes.includes(path)) return path;
  if (routes.includes(`${path}/`)) return `${path}/`;
  const holding = routes.filter((route) => route.endsWith("/") && path.startsWith(route));
  return holding.sort((a, b) => b.length - a.length)[0];
}

t.test("finds what Go's ServeMux finds", async (t) => {
  const routes = ["/v1/a/", "/v1/a/b/c/", "/v1/a/b", "/v1/q", "/v1/q/", "/v1/x/y/z/", "/v1/x"];
  const segments = ["v1", "a", "b", "c", "q", "x", "y", "z", ""];
  for (const order of [routes, routes.toReversed()]) {
    const mux = new ServeMux<string>();
    for (const route of order) mux.add("ALL", route.endsWith("/") ? `${route}*` : route, route);
    let state = 7;
    const random = (below: number) =>
      ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
    for (let n = 0; n < 20_000; n++) {
      const length = random(6);
      const path = `/v1${Array.from({ length }, () => `/${segments[random(9)]!}`).join("")}`;
      const [[found]] = mux.match("GET", path);
      if (found?.[0] !== expected(routes, path)) t.equal(found?.[0], expected(routes, path), path);
    }
  }
  t.same(new ServeMux<string>().match("GET", "/"), [[]]);
});

t.test("a path of nothing but slashes is no work", async (t) => {
  const mux = new ServeMux<string>();
  mux.add("ALL", "/v1/kv/*", "kv");
  const path = `/v1/kv${"/a".repeat(30_000)}`;
  const started = performance.now();
  for (let n = 0; n < 1000; n++) mux.match("GET", path);
  t.ok(performance.now() - started < 200);
});
