/** `members`: the pools that the agent is in. */
import { decodeShape } from "../cluster/decode.ts";
import { compileRegexp } from "../cluster/regexp.ts";
import { loosely, understood } from "./answer.ts";
import { noArguments } from "./arguments.ts";
import { attempt, CommandFailure, httpCommand } from "./command.ts";
import { flag } from "./flags.ts";
import { table } from "./table.ts";

const membersShape = {
  list: {
    struct: {
      Name: "string",
      Addr: "string",
      Port: "int",
      Tags: { map: "string" },
      Status: "int",
    },
  },
} as const;

type Shown = {
  name: string;
  address: string;
  status: string;
  tags: Readonly<Record<string, string>>;
};

/** Serf's words for the numbers of a member's status. */
const statusWords = ["none", "alive", "leaving", "left", "failed"];

/** Exit code when no member is left to show, as Consul's. */
const NOBODY = 2;

/** Segment that stands for all of them. */
const ALL_SEGMENTS = "_all";

/** `members`. */
export const members = httpCommand({
  doc: "Lists the members of the cluster.",
  usage: "[options]",
  detail: "Ends with 2 if there is no member to show.",
  flags: {
    detailed: flag.boolean("Show all tags of each member."),
    wan: flag.boolean("Show the servers of all datacenters, as the WAN pool knows them."),
    status: flag.text("Show only members whose status matches this regular expression.", {
      placeholder: "regex",
    }),
    filter: flag.text("Expression that members must match, as: Tags.role == consul.", {
      placeholder: "expression",
    }),
    segment: flag.text("Show only members in this network segment.", { placeholder: "name" }),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const wanted = compileRegexp(flags.status || ".*");
    if (!wanted.ok) throw new CommandFailure(`Failed to compile status regexp: ${wanted.error}`);
    const segment = flags.segment || ALL_SEGMENTS;
    const answer = await attempt(
      "Error retrieving members",
      http.request("GET", "/v1/agent/members", {
        query: {
          segment,
          wan: flags.wan ? 1 : undefined,
          filter: flags.filter === "" ? undefined : flags.filter,
        },
      }),
    );
    const all = understood(decodeShape(membersShape, answer.json(), loosely)) ?? [];
    const shown = all
      .map(({ Name, Addr, Port, Status, Tags }): Shown => {
        const tags = { ...Tags };
        tags["segment"] ||= "<default>";
        if (segment === ALL_SEGMENTS && tags["role"] === "consul") tags["segment"] = "<all>";
        const address = `${Addr.includes(":") ? `[${Addr}]` : Addr}:${Port}`;
        return { name: Name, address, status: statusWords[Status] ?? "none", tags };
      })
      .filter(({ status }) => wanted.value.test(status))
      .toSorted((a, b) => order(a.tags["segment"], b.tags["segment"]) || order(a.name, b.name));
    if (shown.length === 0) return NOBODY;
    await world.out(table(flags.detailed ? detailedRows(shown) : standardRows(shown), world));
    return 0;
  },
});

function standardRows(shown: readonly Shown[]): string[][] {
  const header = ["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Segment"];
  const rows = shown.map(({ name, address, status, tags }) => {
    const type = { consul: "server", node: "client" }[tags["role"] ?? ""];
    if (type === undefined) return [name, address, status, "unknown", "", "", "", ""];
    const build = (tags["build"] ?? "").replace(/:.*$/, "") || "< 0.3";
    const { vsn = "", dc = "", segment = "" } = tags;
    return [name, address, status, type, build, vsn, dc, segment];
  });
  return [header, ...rows];
}

function detailedRows(shown: readonly Shown[]): string[][] {
  const rows = shown.map(({ name, address, status, tags }) => [
    name,
    address,
    status,
    Object.entries(tags)
      .map((pair) => pair.join("="))
      .toSorted()
      .join(","),
  ]);
  return [["Node", "Address", "Status", "Tags"], ...rows];
}

function order(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
