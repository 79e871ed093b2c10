/** `keyring`: keys of gossip, listed and rotated. */
import { decodeShape } from "../cluster/decode.ts";
import { loosely, understood } from "./answer.ts";
import { noArguments } from "./arguments.ts";
import type { HttpClient } from "./client.ts";
import { attempt, CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";
import type { World } from "./world.ts";

const keyringsShape = {
  list: {
    struct: {
      WAN: "bool",
      Datacenter: "string",
      Segment: "string",
      Messages: { map: "string" },
      Keys: { map: "int" },
      PrimaryKeys: { map: "int" },
      NumNodes: "int",
    },
  },
} as const;

const path = "/v1/operator/keyring";
const MAX_RELAY_FACTOR = 5;

/** What is said while each change is made, and its method. */
const changes = [
  ["install", "POST", "Installing new gossip encryption key..."],
  ["use", "PUT", "Changing primary gossip encryption key..."],
  ["remove", "DELETE", "Removing gossip encryption key..."],
] as const;

/** `keyring`. */
export const keyring = httpCommand({
  doc: "Lists and changes the keys that gossip is encrypted with.",
  usage: "[options]",
  detail:
    "Exactly one of -list, -list-primary, -install, -use and -remove says what to do.\n" +
    "A rotation is: -install the new key, -use it, -remove the old one.",
  flags: {
    install: flag.text("Add this key to all members.", { placeholder: "key" }),
    use: flag.text("Encrypt with this key from now on; it must be installed.", {
      placeholder: "key",
    }),
    remove: flag.text("Remove this key; it must not be the primary one.", { placeholder: "key" }),
    list: flag.boolean("List all keys and how many members have each."),
    "list-primary": flag.boolean("List the primary keys and how many members use each."),
    "relay-factor": flag.integer(0, "Members that each answer is relayed through, up to 5."),
    "local-only": flag.boolean("List the local datacenter only."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const change = changes.filter(([name]) => flags[name] !== "");
    const actionCount = change.length + Number(flags.list) + Number(flags["list-primary"]);
    if (actionCount === 0) throw new UsageFailure("One action must be specified");
    if (actionCount > 1) throw new CommandFailure("Only a single action is allowed");
    const relayFactor = flags["relay-factor"];
    if (relayFactor < 0 || relayFactor > MAX_RELAY_FACTOR)
      throw new CommandFailure(
        `Error parsing relay factor: Relay factor must be in range: [0, ${MAX_RELAY_FACTOR}]`,
      );
    if (flags["local-only"] && change.length > 0)
      throw new CommandFailure(
        "Error validating local-only: local-only can only be set for list requests",
      );
    const query = {
      "relay-factor": relayFactor === 0 ? undefined : relayFactor,
      "local-only": flags["local-only"] ? "true" : undefined,
    };
    for (const [name, method, said] of change) {
      await world.out(`==> ${said}\n`);
      await attempt("error", http.request(method, path, { query, body: { Key: flags[name] } }));
      return 0;
    }
    const kind = flags.list ? "encryption" : "primary encryption";
    await world.out(`==> Gathering installed ${kind} keys...\n`);
    return list({ http, world }, query, flags.list ? "Keys" : "PrimaryKeys");
  },
});

/** A block for each pool. */
async function list(
  { http, world }: { http: HttpClient; world: World },
  query: Readonly<Record<string, string | number | undefined>>,
  member: "Keys" | "PrimaryKeys",
): Promise<number> {
  const answer = await attempt("error", http.request("GET", path, { query }));
  for (const pool of understood(decodeShape(keyringsShape, answer.json(), loosely)) ?? []) {
    const name = pool.WAN ? "WAN" : `${pool.Datacenter} (LAN)`;
    const lines = [
      "",
      `${name}${pool.Segment === "" ? "" : ` [${pool.Segment}]`}:`,
      ...Object.entries(pool.Messages ?? {}).map(([from, text]) => `  ===> ${from}: ${text}`),
      ...Object.entries(pool[member] ?? {}).map(
        ([key, count]) => `  ${key} [${count}/${pool.NumNodes}]`,
      ),
    ];
    await world.out(`${lines.join("\n")}\n`);
  }
  return 0;
}
