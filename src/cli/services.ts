import type { CommandGroup } from "./command.ts";
import { deregister } from "./services/deregister.ts";
import { register } from "./services/register.ts";

/** `services`: those of the agent. */
export const services: CommandGroup = {
  kind: "group",
  doc: "Registers and deregisters services of the agent.",
  detail: "",
  children: { deregister, register },
};
