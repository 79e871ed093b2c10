/** Questions for services of the catalog, by service and by how they were answered. Main thread. */
import type { CatalogReader, Topic } from "../cluster/model.ts";
import { countService, rcodeOf, SERVICE_CELLS, SERVICES, serviceReplies } from "./cells.ts";

/** The number under which all services are counted that have none of their own. */
const OTHERS = SERVICES - 1;
const TOPIC = "service:";

/** What was answered for a service, by all threads. */
export type ServiceReplies = { service: string; rcode: string; count: number };

/** What was read for an answer. */
type Read = {
  readonly topics: readonly Topic[];
  readonly catalog: Pick<CatalogReader, "instancesOf">;
};

export type ServiceCounts = {
  /**
   * The number of the service that an answer was read for: 0 for none, and for names that are no service,
   * so that nobody makes labels up.
   */
  numberOf(reading: Read): number;
  /** One reply of the main thread. */
  count(reading: Read, wire: Uint8Array): void;
  read(threads: readonly Float64Array[]): ServiceReplies[];
};

/** `most`: services with a number of their own, since the start, 0 to 254; 0: nothing is counted. */
export function createServiceCounts(most: number): ServiceCounts {
  const numbers = new Map<string, number>();
  const labels: string[] = [];
  const own = new Float64Array(SERVICE_CELLS);
  function numberOf({ topics, catalog }: Read): number {
    if (most === 0) return 0;
    const topic = topics.find((each) => each.startsWith(TOPIC));
    if (topic === undefined) return 0;
    const name = topic.slice(TOPIC.length).toLowerCase();
    const known = numbers.get(name);
    if (known !== undefined) return known;
    // One look-up, for this runs for names that clients make up as well.
    if (catalog.instancesOf(name).length === 0) return 0;
    if (labels.length >= Math.min(most, OTHERS - 1)) return OTHERS;
    numbers.set(name, labels.push(name));
    return labels.length;
  }

  return {
    numberOf,
    count(reading, wire) {
      const service = numberOf(reading);
      if (service !== 0) countService(own, service, rcodeOf(wire, 0));
    },
    read: (threads) =>
      [...labels.map((label, i) => ({ label, number: i + 1 })), { label: "other", number: OTHERS }]
        .flatMap(({ label, number }) =>
          serviceReplies([...threads, own], number).map(({ rcode, count }) => ({
            service: label,
            rcode,
            count,
          })),
        )
        .filter(({ count }) => count > 0),
  };
}
