/** Counts and times HTTP answers by route, method and status; the routes are those of the table, so there are few. */
import type { HttpTimes } from "../metrics/consul.ts";
import type { Sources } from "../metrics/family.ts";
import { addTo, newSummary, type Summary } from "../metrics/summary.ts";

/** Answered requests by route, method and status, and how long they took. */
export type RequestCounts = {
  count: (route: string, method: string, status: number, elapsedMs: number) => void;
  read: Sources["http"];
  /** Times since the last call. */
  takeTimes: HttpTimes;
};

/** Methods counted by name; the others could be made up by a client to fill our memory. */
const METHODS = new Set(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"]);

type Row = { route: string; method: string; statuses: Map<number, number>; times: Summary };

/** Counters that start at zero; routes and methods are few, so they stay small. */
export function createRequestCounts(): RequestCounts {
  const routes = new Map<string, Map<string, Row>>();

  function rowOf(route: string, method: string): Row {
    let methods = routes.get(route);
    if (methods === undefined) routes.set(route, (methods = new Map()));
    let row = methods.get(method);
    if (row === undefined)
      methods.set(method, (row = { route, method, statuses: new Map(), times: newSummary() }));
    return row;
  }

  const rows = (): Row[] => [...routes.values()].flatMap((methods) => [...methods.values()]);
  return {
    count(route, method, status, elapsedMs) {
      const { statuses, times } = rowOf(route, METHODS.has(method) ? method : "other");
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      addTo(times, elapsedMs);
    },
    read: () =>
      rows().flatMap(({ route, method, statuses }) =>
        [...statuses].map(([status, count]) => ({ route, method, status, count })),
      ),
    takeTimes: () =>
      rows()
        .filter(({ times }) => times.count > 0)
        .map((row) => {
          const { route, method, times } = row;
          row.times = newSummary();
          return { route, method, milliseconds: times };
        }),
  };
}
