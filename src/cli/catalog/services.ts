import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { keyValues, noArguments } from "../arguments.ts";
import type { HttpClient, Query } from "../client.ts";
import { attempt, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { nodeMetaQuery } from "./node-meta.ts";

/** `catalog services`: names, a line each, perhaps with their tags. */
export const services = httpCommand({
  doc: "Lists the services.",
  usage: "[options]",
  detail: `    waypost catalog services -tags
    waypost catalog services -node=n1`,
  flags: {
    node: flag.text("Only services on this node (name or id)."),
    "node-meta": flag.texts("Metadata `name=value` that the node must have; may be repeated."),
    tags: flag.boolean("Print the tags beside each service."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const query = { "node-meta": nodeMetaQuery(keyValues("node-meta", flags["node-meta"])) };
    const found = await (flags.node === ""
      ? listServices(http, query)
      : listServicesOn(http, flags.node, query));
    if (found.size === 0) {
      await world.err("No services match the given query - try expanding your search.\n");
      return 0;
    }
    const width = Math.max(...[...found.keys()].map((name) => name.length)) + GAP;
    for (const name of [...found.keys()].toSorted()) {
      const tags = found.get(name)!.toSorted().join(",");
      await world.out(flags.tags ? `${name.padEnd(width)}${tags}`.trimEnd() + "\n" : `${name}\n`);
    }
    return 0;
  },
});

/** Blanks between the columns, as in Consul. */
const GAP = 6;

type Tags = Map<string, readonly string[]>;

async function listServices(http: HttpClient, query: Query): Promise<Tags> {
  const answer = await attempt(
    "Error listing services",
    http.request("GET", "/v1/catalog/services", { query }),
  );
  const found = understood(decodeShape({ map: { list: "string" } }, answer.json(), loosely)) ?? {};
  return new Map(Object.entries(found).map(([name, tags]) => [name, tags ?? []]));
}

const nodeShape = {
  struct: {
    Services: { map: { struct: { Service: "string", Tags: { list: "string" } } } },
  },
} as const;

async function listServicesOn(http: HttpClient, node: string, query: Query): Promise<Tags> {
  const path = `/v1/catalog/node/${encodeURIComponent(node)}`;
  const answer = await attempt(
    "Error listing services for node",
    http.request("GET", path, { query }),
  );
  const tags: Tags = new Map();
  for (const { Service, Tags } of Object.values(
    understood(decodeShape(nodeShape, answer.json(), loosely)).Services ?? {},
  ))
    tags.set(Service, [...(tags.get(Service) ?? []), ...(Tags ?? [])]);
  return tags;
}
