/** `operator raft`: the servers that keep the log. */
import { decodeShape } from "../../cluster/decode.ts";
import { absent } from "../absent.ts";
import { loosely, quoted, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import type { HttpClient } from "../client.ts";
import { attempt, CommandFailure, httpCommand, type CommandGroup } from "../command.ts";
import { flag } from "../flags.ts";
import { table } from "../table.ts";
import type { World } from "../world.ts";

const configurationShape = {
  struct: {
    Servers: {
      list: {
        struct: {
          ID: "string",
          Node: "string",
          Address: "string",
          Leader: "bool",
          ProtocolVersion: "string",
          Voter: "bool",
        },
      },
    },
  },
} as const;

const peerFlags = {
  address: flag.text("Address of the server, IP:PORT.", { placeholder: "address" }),
  id: flag.text("Id of the server.", { placeholder: "id" }),
};

const listPeers = httpCommand({
  doc: "Lists the servers of the Raft configuration.",
  usage: "[options]",
  flags: {
    detailed: flag.boolean(
      "Show how far the log of each server is, and how far behind the leader's.",
    ),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    return list(http, world, flags.detailed);
  },
});

const removePeer = httpCommand({
  doc: "Removes a server from the Raft configuration.",
  usage: "[options]",
  detail: "For a server that failed for good; `force-leave` is the better way while it is listed.",
  flags: peerFlags,
  async run({ flags, args, http, world }) {
    noArguments(args);
    return remove(flags, http, world);
  },
});

/** `operator raft -list-peers` and `-remove-peer`, as they were written before Consul 0.8. */
const spelledAsFlag = httpCommand({
  doc: "Lists or removes servers, in the older spelling.",
  usage: "-list-peers | -remove-peer -address=ADDRESS",
  flags: {
    ...peerFlags,
    "list-peers": flag.boolean("List the servers."),
    "remove-peer": flag.boolean("Remove the server of -address or -id."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags["list-peers"] === flags["remove-peer"])
      throw new CommandFailure("Exactly one of -list-peers and -remove-peer must be given");
    return flags["list-peers"] ? list(http, world, false) : remove(flags, http, world);
  },
});

/** `operator raft`. */
export const raft: CommandGroup = {
  kind: "group",
  doc: "Lists and removes the servers of Raft.",
  detail: "",
  children: {
    "list-peers": listPeers,
    "remove-peer": removePeer,
    "transfer-leader": absent(
      "leadership is not handed over on demand",
      "Another server takes over within a second when the leader stops.",
    ),
  },
  otherwise: spelledAsFlag,
};

async function list(http: HttpClient, world: World, isDetailed: boolean): Promise<number> {
  const answer = await attempt(
    "Error getting peers: Failed to retrieve raft configuration",
    http.request("GET", "/v1/operator/raft/configuration"),
  );
  const { Servers } = understood(decodeShape(configurationShape, answer.json(), loosely));
  const more = isDetailed ? await progress(http) : undefined;
  const rows = (Servers ?? []).map(({ Node, ID, Address, Leader, Voter, ProtocolVersion }) => [
    Node,
    ID,
    Address,
    Leader ? "leader" : "follower",
    String(Voter),
    ProtocolVersion || "<=1",
    ...(more?.(ID) ?? []),
  ]);
  const header = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"];
  if (isDetailed) header.push("Commit Index", "Trails Leader By");
  await world.out(table([header, ...rows], world));
  return 0;
}

const stateShape = {
  struct: { Leader: "string", Servers: { map: { struct: { LastIndex: "int" } } } },
} as const;

/** Id of a server → its last index and how far it is behind the leader, as later versions of Consul show it. */
async function progress(http: HttpClient): Promise<(id: string) => [string, string]> {
  const answer = await attempt(
    "Error getting peers: Failed to retrieve the state of the servers",
    http.request("GET", "/v1/operator/autopilot/state"),
  );
  const { Leader, Servers } = understood(decodeShape(stateShape, answer.json(), loosely));
  const indexOf = (id: string) => Servers?.[id]?.LastIndex;
  const first = indexOf(Leader) ?? 0;
  return (id) => {
    const index = indexOf(id);
    if (index === undefined) return ["-", "-"];
    const behind = Math.max(0, first - index);
    const words = `${behind} ${behind === 1 ? "commit" : "commits"}`;
    return [String(index), id === Leader ? "-" : words];
  };
}

async function remove(
  { address, id }: { address: string; id: string },
  http: HttpClient,
  world: World,
): Promise<number> {
  const what = "Error removing peer";
  if (address === "" && id === "")
    throw new CommandFailure(`${what}: an address or id is required for the peer to remove`);
  if (address !== "" && id !== "")
    throw new CommandFailure(`${what}: cannot give both an address and id`);
  const query = address === "" ? { id } : { address };
  await attempt(what, http.request("DELETE", "/v1/operator/raft/peer", { query }));
  const [[by, value]] = Object.entries(query) as [[string, string]];
  await world.out(`Removed peer with ${by} ${quoted(value)}\n`);
  return 0;
}
