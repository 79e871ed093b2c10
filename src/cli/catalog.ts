import { datacenters } from "./catalog/datacenters.ts";
import { nodes } from "./catalog/nodes.ts";
import { services } from "./catalog/services.ts";
import type { CommandGroup } from "./command.ts";

/** `catalog`: what is registered. */
export const catalog: CommandGroup = {
  kind: "group",
  doc: "Lists datacenters, nodes and services.",
  detail: "",
  children: { datacenters, nodes, services },
};
