import type { CommandGroup } from "./command.ts";
import { absent } from "./absent.ts";
import { deregister } from "./services/deregister.ts";
import { register } from "./services/register.ts";

const noPeers = absent(
  "there are no clusters to export to",
  "Services are for the clients of this datacenter.",
);

/** `services`: those of the agent. */
export const services: CommandGroup = {
  kind: "group",
  doc: "Registers and deregisters services of the agent.",
  detail: "",
  children: { deregister, export: noPeers, "exported-services": noPeers, register },
};
