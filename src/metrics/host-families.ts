/** Families of what this agent follows on its host. */
import { gauge, type Family } from "./family.ts";

export const hostFamilies: readonly Family[] = [
  gauge(
    "waypost_resolv_conf_generation",
    "Times that forwarder.resolv_conf said something new, its first reading included.",
    ({ resolvConf }) => resolvConf().generation,
  ),
  gauge(
    "waypost_resolv_conf_own_servers",
    "Servers of forwarder.resolv_conf that are left out as being this agent itself.",
    ({ resolvConf }) => resolvConf().ownServers,
  ),
];
