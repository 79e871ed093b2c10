import { decodeShape } from "../cluster/decode.ts";
import { loosely, quoted, understood } from "./answer.ts";
import { noArguments } from "./arguments.ts";
import type { HttpClient } from "./client.ts";
import { attempt, CommandFailure, httpCommand } from "./command.ts";
import { flag } from "./flags.ts";
import type { World } from "./world.ts";

/** `maint`: maintenance mode of the node or of one service, on, off, or shown. */
export const maint = httpCommand({
  doc: "Takes the node or a service out of service and back.",
  usage: "[options]",
  detail: `In maintenance mode a critical check hides the node, or the service, from DNS and health queries,
until it is switched off. Without options it is shown what is in maintenance:

    waypost maint -enable -reason="new disk"
    waypost maint -enable -service=web-1
    waypost maint -disable`,
  flags: {
    enable: flag.boolean("Switch maintenance mode on."),
    disable: flag.boolean("Switch maintenance mode off."),
    reason: flag.text("With -enable: why; shown as notes of the check."),
    service: flag.text("Id of a service; without it the node is meant."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const { enable, disable, reason, service } = flags;
    if (enable && disable)
      throw new CommandFailure("Only one of -enable or -disable may be provided");
    if (!enable && reason !== "")
      throw new CommandFailure("Reason may only be provided with -enable");
    if (!enable && !disable && service !== "")
      throw new CommandFailure("Service requires either -enable or -disable");
    if (!enable && !disable) await showMaintenance(http, world);
    else await setMaintenance({ enable, reason, service }, http, world);
    return 0;
  },
});

async function setMaintenance(
  { enable, reason, service }: { enable: boolean; reason: string; service: string },
  http: HttpClient,
  world: World,
): Promise<void> {
  const what = service === "" ? "node" : "service";
  const path =
    service === ""
      ? "/v1/agent/maintenance"
      : `/v1/agent/service/maintenance/${encodeURIComponent(service)}`;
  const query = { enable: String(enable), reason: reason === "" ? undefined : reason };
  await attempt(
    `Error ${enable ? "enabling" : "disabling"} ${what} maintenance`,
    http.request("PUT", path, { query }),
  );
  const whose = service === "" ? "" : ` for ${quoted(service)}`;
  const title = service === "" ? "Node" : "Service";
  await world.out(`${title} maintenance is now ${enable ? "enabled" : "disabled"}${whose}\n`);
}

const checksShape = {
  map: { struct: { CheckID: "string", Node: "string", Notes: "string", ServiceID: "string" } },
} as const;

async function showMaintenance(http: HttpClient, world: World): Promise<void> {
  const answer = await attempt("Error getting checks", http.request("GET", "/v1/agent/checks"));
  const checks = Object.values(understood(decodeShape(checksShape, answer.json(), loosely)) ?? {});
  for (const check of checks.toSorted((a, b) => (a.CheckID < b.CheckID ? -1 : 1))) {
    if (check.CheckID === "_node_maintenance")
      await world.out(`Node:\n  Name:   ${check.Node}\n  Reason: ${check.Notes}\n\n`);
    else if (check.CheckID.startsWith("_service_maintenance:"))
      await world.out(`Service:\n  ID:     ${check.ServiceID}\n  Reason: ${check.Notes}\n\n`);
  }
}
