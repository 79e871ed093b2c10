import { decodeShape, type Decoded } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { keyValues, noArguments, readData } from "../arguments.ts";
import type { HttpClient, Query } from "../client.ts";
import { attempt, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { table } from "../table.ts";
import { nodeMetaQuery } from "./node-meta.ts";

/** `catalog nodes`: a table of nodes, all of them or those that carry a service. */
export const nodes = httpCommand({
  doc: "Lists the nodes.",
  usage: "[options]",
  detail: `Nodes that carry a service, that have metadata, or that an expression selects:

    waypost catalog nodes -service=web
    waypost catalog nodes -node-meta=rack=r1 -detailed
    waypost catalog nodes -filter='Meta.rack == "r1"'`,
  flags: {
    detailed: flag.boolean("Whole ids, tagged addresses and metadata."),
    filter: flag.text("Expression that selects; @FILE and - (standard input) are understood."),
    near: flag.text("Node from which the nearest come first; _agent is that of the agent."),
    "node-meta": flag.texts("Metadata `name=value` that the node must have; may be repeated."),
    service: flag.text("Only nodes that carry this service."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const filter = await readData(flags.filter, world, "Could not process filter argument: ");
    const query = {
      near: flags.near === "" ? undefined : flags.near,
      filter: filter.length === 0 ? undefined : Buffer.from(filter).toString("utf8"),
      "node-meta": nodeMetaQuery(keyValues("node-meta", flags["node-meta"])),
    };
    const found = await (flags.service === ""
      ? listNodes(http, query)
      : listNodesOf(http, flags.service, query));
    if (found.length === 0) {
      await world.err("No nodes match the given query - try expanding your search.\n");
      return 0;
    }
    await world.out(table(flags.detailed ? detailed(found) : short(found), world));
    return 0;
  },
});

const members = {
  ID: "string",
  Node: "string",
  Address: "string",
  Datacenter: "string",
  TaggedAddresses: { map: "string" },
} as const;

const nodeShape = { struct: { ...members, Meta: { map: "string" } } } as const;
const serviceNodeShape = { struct: { ...members, NodeMeta: { map: "string" } } } as const;

type Node = Decoded<typeof nodeShape>;

async function listNodes(http: HttpClient, query: Query): Promise<Node[]> {
  const answer = await attempt(
    "Error listing nodes",
    http.request("GET", "/v1/catalog/nodes", { query }),
  );
  return understood(decodeShape({ list: nodeShape }, answer.json(), loosely)) ?? [];
}

async function listNodesOf(http: HttpClient, service: string, query: Query): Promise<Node[]> {
  const path = `/v1/catalog/service/${encodeURIComponent(service)}`;
  const answer = await attempt(
    "Error listing nodes for service",
    http.request("GET", path, { query }),
  );
  const instances =
    understood(decodeShape({ list: serviceNodeShape }, answer.json(), loosely)) ?? [];
  return instances.map(({ NodeMeta, ...node }) => ({ ...node, Meta: NodeMeta }));
}

function short(found: readonly Node[]): string[][] {
  return [
    ["Node", "ID", "Address", "DC"],
    ...found.map((node) => [node.Node, /^[^-]*/.exec(node.ID)![0], node.Address, node.Datacenter]),
  ];
}

function detailed(found: readonly Node[]): string[][] {
  return [
    ["Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"],
    ...found.map((node) => [
      node.Node,
      node.ID,
      node.Address,
      node.Datacenter,
      pairs(node.TaggedAddresses),
      pairs(node.Meta),
    ]),
  ];
}

/** `name=value`, sorted, with commas between. */
function pairs(map: Readonly<Record<string, string>> | null): string {
  return Object.entries(map ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .toSorted()
    .join(", ");
}
