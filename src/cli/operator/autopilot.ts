/** `operator autopilot`: its settings, and the state of the servers. */
import { decodeShape, type Decoded } from "../../cluster/decode.ts";
import { formatDuration } from "../../duration.ts";
import { checkFormat, formatFlag, jsonText, loosely, quoted, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import type { HttpClient } from "../client.ts";
import { attempt, CommandFailure, httpCommand, type CommandGroup } from "../command.ts";
import { flag } from "../flags.ts";

const configurationShape = {
  struct: {
    CleanupDeadServers: "bool",
    LastContactThreshold: "duration",
    MaxTrailingLogs: "int",
    MinQuorum: "int",
    ServerStabilizationTime: "duration",
    RedundancyZoneTag: "string",
    DisableUpgradeMigration: "bool",
    UpgradeVersionTag: "string",
    ModifyIndex: "int",
  },
} as const;

const serverShape = {
  struct: {
    ID: "string",
    Name: "string",
    Address: "string",
    NodeStatus: "string",
    Version: "string",
    LastContact: "string",
    LastTerm: "int",
    LastIndex: "int",
    Healthy: "bool",
    ReadReplica: "bool",
    Status: "string",
    Meta: { map: "string" },
    NodeType: "string",
  },
} as const;

const stateShape = {
  struct: {
    Healthy: "bool",
    FailureTolerance: "int",
    OptimisticFailureTolerance: "int",
    Servers: { map: serverShape },
    Leader: "string",
    Voters: { list: "string" },
  },
} as const;

const path = "/v1/operator/autopilot/configuration";

const getConfig = httpCommand({
  doc: "Shows the settings of autopilot.",
  usage: "[options]",
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    const settings = await readSettings(http);
    const lines = [
      `CleanupDeadServers = ${settings.CleanupDeadServers}`,
      `LastContactThreshold = ${formatDuration(settings.LastContactThreshold)}`,
      `MaxTrailingLogs = ${settings.MaxTrailingLogs}`,
      `MinQuorum = ${settings.MinQuorum}`,
      `ServerStabilizationTime = ${formatDuration(settings.ServerStabilizationTime)}`,
      `RedundancyZoneTag = ${quoted(settings.RedundancyZoneTag)}`,
      `DisableUpgradeMigration = ${settings.DisableUpgradeMigration}`,
      `UpgradeVersionTag = ${quoted(settings.UpgradeVersionTag)}`,
    ];
    await world.out(`${lines.join("\n")}\n`);
    return 0;
  },
});

const setConfig = httpCommand({
  doc: "Changes settings of autopilot.",
  usage: "[options]",
  detail: "Only what is given is changed.",
  flags: {
    "cleanup-dead-servers": flag.maybe("Remove servers that failed when new ones come."),
    "max-trailing-logs": flag.optionalInteger(
      "Entries that a healthy server may be behind the leader.",
    ),
    "min-quorum": flag.optionalInteger(
      "Servers that are left at least when dead ones are removed.",
    ),
    "last-contact-threshold": flag.optionalDuration(
      "Time that a healthy server may be without the leader, for example 200ms.",
    ),
    "server-stabilization-time": flag.optionalDuration(
      "Time that a new server must be healthy before it votes, for example 10s.",
    ),
    "redundancy-zone-tag": flag.optionalText("Node meta key that names a server's zone."),
    "disable-upgrade-migration": flag.maybe("Do not wait with new servers for an upgrade."),
    "upgrade-version-tag": flag.optionalText("Node meta key that names a server's version."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    for (const name of ["max-trailing-logs", "min-quorum"] as const)
      if ((flags[name] ?? 0) < 0)
        throw new CommandFailure(
          `invalid value "${flags[name]}" for flag -${name}: it is negative`,
        );
    const held = await readSettings(http);
    const answer = await attempt(
      "Error setting Autopilot configuration",
      http.request("PUT", path, {
        query: { cas: held.ModifyIndex },
        body: {
          CleanupDeadServers: flags["cleanup-dead-servers"] ?? held.CleanupDeadServers,
          LastContactThreshold: formatDuration(
            flags["last-contact-threshold"] ?? held.LastContactThreshold,
          ),
          MaxTrailingLogs: flags["max-trailing-logs"] ?? held.MaxTrailingLogs,
          MinQuorum: flags["min-quorum"] ?? held.MinQuorum,
          ServerStabilizationTime: formatDuration(
            flags["server-stabilization-time"] ?? held.ServerStabilizationTime,
          ),
          RedundancyZoneTag: flags["redundancy-zone-tag"] ?? held.RedundancyZoneTag,
          DisableUpgradeMigration:
            flags["disable-upgrade-migration"] ?? held.DisableUpgradeMigration,
          UpgradeVersionTag: flags["upgrade-version-tag"] ?? held.UpgradeVersionTag,
        },
      }),
    );
    const isDone = answer.json() === true;
    await world.out(
      isDone
        ? "Configuration updated!\n"
        : "Configuration could not be atomically updated, please try again\n",
    );
    return isDone ? 0 : 1;
  },
});

const state = httpCommand({
  doc: "Shows the state of the servers.",
  usage: "[options]",
  flags: { format: formatFlag },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const format = checkFormat(flags.format);
    const answer = await attempt(
      "Error querying Autopilot state",
      http.request("GET", "/v1/operator/autopilot/state"),
    );
    const read = understood(decodeShape(stateShape, answer.json(), loosely));
    // As JSON everything that the agent says, in its order, which is that of Consul's own client.
    const text = format === "json" ? jsonText(answer.json()) : `${stateText(read)}\n`;
    await world.out(text);
    return 0;
  },
});

/** `operator autopilot`. */
export const autopilot: CommandGroup = {
  kind: "group",
  doc: "Shows and changes how servers are looked after.",
  detail: "",
  children: { "get-config": getConfig, "set-config": setConfig, state },
};

async function readSettings(http: HttpClient): Promise<Decoded<typeof configurationShape>> {
  const answer = await attempt("Error querying Autopilot configuration", http.request("GET", path));
  return understood(decodeShape(configurationShape, answer.json(), loosely));
}

function stateText(state: Decoded<typeof stateShape>): string {
  const servers = Object.entries(state.Servers ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, server]) => serverText(server));
  return [
    `Healthy:                      ${state.Healthy}`,
    `Failure Tolerance:            ${state.FailureTolerance}`,
    `Optimistic Failure Tolerance: ${state.OptimisticFailureTolerance}`,
    `Leader:                       ${state.Leader}`,
    "Voters:",
    ...(state.Voters ?? []).map((id) => `   ${id}`),
    "Servers:",
    ...servers,
    "",
  ].join("\n");
}

function serverText(server: Decoded<typeof serverShape>): string {
  const meta = Object.entries(server.Meta ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `         ${quoted(key)}: ${quoted(value)}`);
  return [
    `   ${server.ID}`,
    `      Name:            ${server.Name}`,
    `      Address:         ${server.Address}`,
    `      Version:         ${server.Version}`,
    `      Status:          ${server.Status}`,
    `      Node Type:       ${server.NodeType}`,
    `      Node Status:     ${server.NodeStatus}`,
    `      Healthy:         ${server.Healthy}`,
    `      Last Contact:    ${server.LastContact}`,
    `      Last Term:       ${server.LastTerm}`,
    `      Last Index:      ${server.LastIndex}`,
    ...(server.ReadReplica ? ["      Read Replica:    true"] : []),
    ...(meta.length > 0 ? ["      Meta", ...meta] : []),
  ].join("\n");
}
