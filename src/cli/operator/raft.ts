/** `operator raft`: the servers that keep the log. */
import { decodeShape } from "../../cluster/decode.ts";
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
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    return list(http, world);
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
    return flags["list-peers"] ? list(http, world) : remove(flags, http, world);
  },
});

/** `operator raft`. */
export const raft: CommandGroup = {
  kind: "group",
  doc: "Lists and removes the servers of Raft.",
  detail: "",
  children: { "list-peers": listPeers, "remove-peer": removePeer },
  otherwise: spelledAsFlag,
};

async function list(http: HttpClient, world: World): Promise<number> {
  const answer = await attempt(
    "Error getting peers: Failed to retrieve raft configuration",
    http.request("GET", "/v1/operator/raft/configuration"),
  );
  const { Servers } = understood(decodeShape(configurationShape, answer.json(), loosely));
  const rows = (Servers ?? []).map(({ Node, ID, Address, Leader, Voter, ProtocolVersion }) => [
    Node,
    ID,
    Address,
    Leader ? "leader" : "follower",
    String(Voter),
    ProtocolVersion || "<=1",
  ]);
  await world.out(
    table([["Node", "ID", "Address", "State", "Voter", "RaftProtocol"], ...rows], world),
  );
  return 0;
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
