/** `rtt`: the time between two nodes as their network coordinates give it. */
import { DIMENSIONS, distanceMs } from "../cluster/coordinates.ts";
import { decodeShape, type Decoded } from "../cluster/decode.ts";
import type { CoordinateRecord, CoordinateSet } from "../cluster/model.ts";
import { loosely, quoted, understood } from "./answer.ts";
import type { HttpClient } from "./client.ts";
import { attempt, CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";

const entriesShape = {
  list: {
    struct: {
      Node: "string",
      Segment: "string",
      Coord: {
        struct: { Vec: { list: "float" }, Error: "float", Adjustment: "float", Height: "float" },
      },
    },
  },
} as const;

const datacentersShape = {
  list: { struct: { Datacenter: "string", AreaID: "string", Coordinates: entriesShape } },
} as const;

const selfShape = {
  struct: { Config: { struct: { NodeName: "string", Datacenter: "string" } } },
} as const;

type Entry = NonNullable<Decoded<typeof entriesShape>>[number];

/** `rtt`. */
export const rtt = httpCommand({
  doc: "Estimates the round trip time between two nodes.",
  usage: "[options] NODE1 [NODE2]",
  detail:
    "Names are those that `members` shows. Without a second one it is the agent's own node.\n" +
    "With -wan they are given as NODE.DATACENTER.",
  flags: { wan: flag.boolean("Use the coordinates of the WAN pool.") },
  async run({ flags, args, http, world }) {
    const [first, second] = args;
    if (first === undefined || args.length > 2)
      throw new UsageFailure("One or two node names must be specified");
    const names = { first, second: second ?? (await ownName(http, flags.wan)) };
    const a = await find(http, names.first, flags.wan);
    const b = await find(http, names.second, flags.wan);
    const ms = distanceMs(a, b);
    if (ms === Infinity)
      throw new CommandFailure(
        `Could not find a coordinate for node ${quoted(a.size === 0 ? names.first : names.second)}`,
      );
    const source = flags.wan ? "WAN" : "LAN";
    await world.out(
      `Estimated ${names.first} <-> ${names.second} rtt: ${ms.toFixed(3)} ms (using ${source} coordinates)\n`,
    );
    return 0;
  },
});

async function ownName(http: HttpClient, isWan: boolean): Promise<string> {
  const answer = await attempt(
    "Unable to look up agent info",
    http.request("GET", "/v1/agent/self"),
  );
  const { NodeName, Datacenter } = understood(
    decodeShape(selfShape, answer.json(), loosely),
  ).Config;
  return isWan ? `${NodeName}.${Datacenter}` : NodeName;
}

/** Where a node is, by its segments; in the WAN pool by the areas that its datacenter is in. */
async function find(http: HttpClient, name: string, isWan: boolean): Promise<CoordinateSet> {
  const get = (path: string) => attempt("Error getting coordinates", http.request("GET", path));
  if (!isWan) {
    const answer = await get("/v1/coordinate/nodes");
    const entries = understood(decodeShape(entriesShape, answer.json(), loosely)) ?? [];
    return toSet(entries.filter(({ Node }) => isSame(Node, name)));
  }
  const [node, datacenter, ...more] = name.split(".");
  if (node === undefined || datacenter === undefined || more.length > 0)
    throw new CommandFailure("Node names must be specified as <node name>.<datacenter> with -wan");
  const answer = await get("/v1/coordinate/datacenters");
  const areas = understood(decodeShape(datacentersShape, answer.json(), loosely)) ?? [];
  return toSet(
    areas
      .filter(({ Datacenter }) => Datacenter === datacenter)
      .flatMap(({ AreaID, Coordinates }) =>
        (Coordinates ?? [])
          // Servers are listed by their bare names or with the datacenter.
          .filter(({ Node }) => isSame(Node, node) || isSame(Node, name))
          .map((entry) => ({ ...entry, Segment: AreaID })),
      ),
  );
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function toSet(entries: readonly Entry[]): CoordinateSet {
  const set = new Map<string, CoordinateRecord>();
  for (const { Node: node, Segment: segment, Coord } of entries) {
    const { Vec, Error: error, Adjustment: adjustment, Height: height } = Coord;
    const vec = Vec ?? [];
    if (vec.length !== DIMENSIONS) continue;
    set.set(segment, { node, segment, coordinate: { vec, error, adjustment, height } });
  }
  return set;
}
