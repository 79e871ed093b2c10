/** Counts HTTP answers by route, method and status; the routes are those of the table, so there are few. */
export type RequestCounts = {
  count: (route: string, method: string, status: number) => void;
  read: () => { route: string; method: string; status: number; count: number }[];
};

export function createRequestCounts(): RequestCounts {
  const routes = new Map<string, Map<string, Map<number, number>>>();
  return {
    count(route, method, status) {
      let methods = routes.get(route);
      if (methods === undefined) routes.set(route, (methods = new Map()));
      let statuses = methods.get(method);
      if (statuses === undefined) methods.set(method, (statuses = new Map()));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    },
    read: () =>
      [...routes].flatMap(([route, methods]) =>
        [...methods].flatMap(([method, statuses]) =>
          [...statuses].map(([status, count]) => ({ route, method, status, count })),
        ),
      ),
  };
}
