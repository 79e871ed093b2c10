import type { CommandGroup } from "./command.ts";
import { importDnsmasqConf } from "./import/dnsmasq.ts";

/** `import`: configuration of other programs. */
export const importConfig: CommandGroup = {
  kind: "group",
  doc: "Turns configuration of other programs into ours.",
  detail: "",
  children: { dnsmasq: importDnsmasqConf },
};
