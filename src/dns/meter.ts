/** Counts questions with their replies, by listener, family, zone and part of the program. Main thread. */
import type { Client, SocketAddress } from "../ports.ts";
import type { Resolve, ServerNumber, SharedClock } from "./answer.ts";
import {
  BLOCK_CELLS,
  countDurations,
  countQuestion,
  countReply,
  countUnanswered,
  DNSSEC_OK,
  durationBucket,
  FIRST_BLOCK,
  isEmptyTally,
  ORIGINS,
  rcodeOf,
  readTally,
  TALLY_CELLS,
  type TallyFigures,
} from "./cells.ts";
import {
  DROPPED,
  originFromTable,
  originOf,
  zoneAndPlugin,
  type Plugin,
  type Zones,
} from "./origins.ts";
import { createScan, scanQuery } from "./wire.ts";

/** Listeners with a label of their own, since the start; all later ones are "other" together. */
const SERVERS_MAX = 16;
const OTHER_SERVER = SERVERS_MAX - 1;
/** Blocks of a thread: each listener has one for IPv4 and one for IPv6. */
export const BLOCKS = 2 * SERVERS_MAX;
/** Views of clients told apart, "" included; the others are "other". */
const VIEWS_MAX = 16;

/** What has been counted under one set of labels. */
export type Tally = {
  /** As CoreDNS writes it: `dns://127.0.0.1:53`. */
  server: string;
  zone: string;
  view: string;
  proto: "udp" | "tcp";
  family: 1 | 2;
  plugin: Plugin;
  figures: TallyFigures;
};

export type Meter = {
  /** The number of a listener; the same for the same address. */
  serverOf: (scheme: "dns" | "tls" | "https", at: SocketAddress) => ServerNumber;
  /** Where the cells of a thread are in which it counts for itself, BLOCKS blocks. */
  add(cells: Float64Array): void;
  /** The same resolver; what clients ask of it is counted. */
  counting(resolve: Resolve): Resolve;
  /** Labels of the listeners so far. */
  servers(): readonly string[];
  /** Whatever is not zero. */
  tallies(): Tally[];
};

/** Where a block begins among the cells of a thread. */
export function blockAt(server: ServerNumber, family: 1 | 2): number {
  return FIRST_BLOCK + (server * 2 + family - 1) * BLOCK_CELLS;
}

/** `viewOf`: the name of the view that the client sees, "" for none. */
export function createMeter({
  zones,
  clock,
  viewOf,
}: {
  zones: Zones;
  clock: SharedClock;
  viewOf: (client: Client) => string;
}): Meter {
  const servers: string[] = [];
  const views: string[] = [""];
  const threads: Float64Array[] = [];
  /** Those of the main thread, by number of the labels. */
  const own = new Map<number, Float64Array>();
  const scan = createScan();

  function viewNumber(client: Client): number {
    const view = viewOf(client);
    if (view === "") return 0;
    const known = views.indexOf(view);
    if (known >= 0) return known;
    if (views.length < VIEWS_MAX - 1) return views.push(view) - 1;
    return VIEWS_MAX - 1;
  }

  function count(
    { query, client, server }: { query: Uint8Array; client: Client; server: ServerNumber },
    { wire, origin, ms }: { wire: Uint8Array | null; origin: number; ms: number },
  ): void {
    const family = client.address.includes(":") ? 1 : 0;
    const proto = client.transport === "udp" ? 0 : 1;
    const place = ((viewNumber(client) * SERVERS_MAX + server) * 2 + proto) * 2 + family;
    const key = place * 256 + origin;
    let cells = own.get(key);
    if (cells === undefined) {
      cells = new Float64Array(TALLY_CELLS);
      own.set(key, cells);
    }
    scanQuery(query, 0, query.length, scan);
    const row = countQuestion(cells, 0, scan.qtype, query.length);
    if (scan.isDnssecOk) cells[DNSSEC_OK]!++;
    if (wire === null) {
      countUnanswered(cells, row);
      return;
    }
    countReply(cells, 0, rcodeOf(wire, 0), wire.length);
    countDurations(cells, row, durationBucket(ms / 1000), 1, ms / 1000);
  }

  function fromThread(cells: Float64Array): Tally[] {
    const found: Tally[] = [];
    for (const [server, label] of servers.entries())
      for (const family of [1, 2] as const)
        for (let counted = 0; counted < ORIGINS; counted++) {
          const at = blockAt(server, family) + counted * TALLY_CELLS;
          if (isEmptyTally(cells, at)) continue;
          const tally = cells.subarray(at, at + TALLY_CELLS);
          const { zone, plugin } = zoneAndPlugin(originFromTable(counted, zones));
          const labels = { server: label, zone: zones.label(zone), view: "", plugin };
          found.push({ ...labels, proto: "udp", family, figures: readTally(tally) });
        }
    return found;
  }

  return {
    serverOf(scheme, { address, port }) {
      const host = address.includes(":") ? `[${address}]` : address;
      const label = `${scheme}://${host}:${port}`;
      const known = servers.indexOf(label);
      if (known >= 0) return known;
      if (servers.length < OTHER_SERVER) return servers.push(label) - 1;
      if (servers.length === OTHER_SERVER) servers.push("other");
      return OTHER_SERVER;
    },
    add: (cells) => void threads.push(cells),
    counting: (resolve) => (question, reply) => {
      const { query, client, server } = question;
      if (server === undefined) {
        resolve(question, reply);
        return;
      }
      const arrivedMs = question.arrivedMs ?? clock();
      resolve(question, (wire, origin = originOf(DROPPED, "")) => {
        reply(wire, origin);
        count({ query, client, server }, { wire, origin, ms: clock() - arrivedMs });
      });
    },
    servers: () => servers,
    tallies: () => [
      ...threads.flatMap(fromThread),
      ...[...own].map(([key, cells]): Tally => {
        const { zone, plugin } = zoneAndPlugin(key % 256);
        const place = Math.floor(key / 256);
        return {
          server: servers[(place >> 2) % SERVERS_MAX]!,
          zone: zones.label(zone),
          view: views[Math.floor(place / (4 * SERVERS_MAX))] ?? "other",
          proto: (place & 2) === 0 ? "udp" : "tcp",
          family: (place & 1) === 0 ? 1 : 2,
          plugin,
          figures: readTally(cells),
        };
      }),
    ],
  };
}
