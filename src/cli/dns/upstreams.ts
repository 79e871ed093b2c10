import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, jsonText, loosely, timeText, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { attempt, httpCommand } from "../command.ts";
import { paint, table } from "../table.ts";

/** `dns upstreams`: what the agent knows of each server that it forwards to. */
export const upstreams = httpCommand({
  doc: "Shows the upstream servers and how they do.",
  usage: "[options]",
  flagsAnywhere: true,
  detail: `good: its last reply was usable; failing: its last reply was an error; dead: it does not answer.`,
  flags: { format: formatFlag },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const format = checkFormat(flags.format);
    const answer = await attempt(
      "Error listing upstream servers",
      http.request("GET", "/v1/waypost/dns/upstreams"),
    );
    const value = answer.json();
    const servers = understood(decodeShape({ list: shape }, value, loosely)) ?? [];
    if (format === "json") await world.out(jsonText(value));
    else if (servers.length === 0) await world.err("No upstream servers are configured.\n");
    else
      await world.out(
        table(
          [
            [
              "Address",
              "State",
              "RTT",
              "Queries",
              "Failures",
              "Last Change",
              "Last Error",
              "Last Error Time",
              "Zones",
            ],
            ...servers.map((server) => [
              server.Address,
              paint(world, colours[server.State] ?? "dim", server.State),
              server.RttMs === null ? "-" : `${server.RttMs.toFixed(1)}ms`,
              String(server.Queries),
              String(server.Failures),
              server.LastChangeTime === "" ? "-" : timeText(server.LastChangeTime),
              server.LastError || "-",
              server.LastErrorTime === "" ? "-" : timeText(server.LastErrorTime),
              zonesText(server),
            ]),
          ],
          world,
        ),
      );
    return 0;
  },
});

const colours: Readonly<Record<string, "green" | "yellow" | "red">> = {
  good: "green",
  failing: "yellow",
  dead: "red",
};

/** Names that the table has room for; `-format=json` lists more. */
const MAX_SHOWN = 3;

/** "-" from an agent that does not say. */
function zonesText({
  Zones: names,
  ZoneCount: count,
}: {
  Zones: string[] | null;
  ZoneCount: number;
}): string {
  const shown = (names ?? [])
    .slice(0, MAX_SHOWN)
    .map((name) => name.replace(/^$|(?<=: )$/, "(one label)"));
  const more = count - shown.length;
  return (shown.join(", ") || "-") + (more > 0 ? ` and ${more} more` : "");
}

const shape = {
  struct: {
    Address: "string",
    Zones: { list: "string" },
    ZoneCount: "int",
    State: "string",
    RttMs: { pointer: "float" },
    Queries: "int",
    Failures: "int",
    LastChangeTime: "string",
    LastError: "string",
    LastErrorTime: "string",
  },
} as const;
