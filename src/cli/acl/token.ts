/** `acl token`. */
import { decodeShape } from "../../cluster/decode.ts";
import { formatDuration } from "../../duration.ts";
import { checkFormat, formatFlag, loosely, quoted, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand, type CommandGroup } from "../command.ts";
import { flag } from "../flags.ts";
import { listCommand, removeOne } from "./any-kind.ts";
import {
  grantFlags,
  readLinks,
  readNodeIdentities,
  readServiceIdentities,
  roleFlags,
} from "./grants.ts";
import { wholeId } from "./ids.ts";
import { accessorFlags, accessorOf, metaFlag, readExpanded, readToken } from "./one-token.ts";
import { showExpanded } from "./show-expanded.ts";
import { showToken, showTokens, tokenShape } from "./show-token.ts";
import { update } from "./token-update.ts";

const create = httpCommand({
  doc: "Makes a token.",
  usage: "[options]",
  detail: "At least one policy, role or identity says what it may do.",
  flags: {
    ...grantFlags,
    ...roleFlags,
    accessor: flag.text("Its accessor id, a UUID; random if it is not given.", {
      placeholder: "id",
    }),
    secret: flag.text("Its secret, a UUID; random if it is not given.", { placeholder: "id" }),
    description: flag.text("What it is for."),
    local: flag.boolean("Good in this datacenter only."),
    "expires-ttl": flag.duration(0, "It is good for this long."),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const given = [...Object.keys(grantFlags), ...Object.keys(roleFlags)] as (
      keyof typeof grantFlags | keyof typeof roleFlags
    )[];
    if (given.every((name) => flags[name].length === 0))
      throw new CommandFailure(
        "Cannot create a token without specifying -policy-name, -policy-id, -role-name, -role-id, -service-identity, or -node-identity at least once",
      );
    const format = checkFormat(flags.format);
    const body = {
      AccessorID: flags.accessor,
      SecretID: flags.secret,
      Description: flags.description,
      Local: flags.local,
      ...(flags["expires-ttl"] > 0 ? { ExpirationTTL: formatDuration(flags["expires-ttl"]) } : {}),
      ServiceIdentities: readServiceIdentities(flags["service-identity"]),
      NodeIdentities: readNodeIdentities(flags["node-identity"]),
      Policies: await readLinks(http, "policy", {
        ids: flags["policy-id"],
        names: flags["policy-name"],
      }),
      Roles: await readLinks(http, "role", { ids: flags["role-id"], names: flags["role-name"] }),
    };
    const answer = await attempt(
      "Failed to create new token",
      http.request("PUT", "/v1/acl/token", { body }),
    );
    const made = understood(decodeShape(tokenShape, answer.json(), loosely));
    await world.out(showToken(made, { format, meta: flags.meta }));
    return 0;
  },
});

const read = httpCommand({
  doc: "Shows a token.",
  usage: "[options]",
  flags: {
    ...accessorFlags,
    self: flag.boolean("The token that the request itself is made with."),
    expanded: flag.boolean("Show the policies and roles behind it, too."),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const format = checkFormat(flags.format);
    if (flags.self && flags.expanded)
      throw new CommandFailure(
        "Cannot use both -expanded and -self. Instead, use -expanded and -accessor-id=<accessor id>.",
      );
    let id = "self";
    if (!flags.self)
      id = await wholeId(http, "token", accessorOf(flags, "Must specify the -id parameter"));
    const look = { format, meta: flags.meta };
    const what = flags.self ? "Error reading token" : `Error reading token ${quoted(id)}`;
    await world.out(
      flags.expanded
        ? showExpanded(await readExpanded(http, id, what), look)
        : showToken(await readToken(http, id, what), look),
    );
    return 0;
  },
});

const list = listCommand("token", (answer, look) =>
  showTokens(understood(decodeShape({ list: tokenShape }, answer.json(), loosely)) ?? [], look),
);

const clone = httpCommand({
  doc: "Makes a token with the rights of another one.",
  usage: "[options]",
  flags: {
    ...accessorFlags,
    description: flag.text("What the new one is for; that of the other if it is not given."),
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const given = accessorOf(flags, "Cannot update a token without specifying the -id parameter");
    const format = checkFormat(flags.format);
    const id = await wholeId(http, "token", given);
    const answer = await attempt(
      "Error cloning token",
      http.request("PUT", `/v1/acl/token/${id}/clone`, {
        body: { Description: flags.description },
      }),
    );
    const made = understood(decodeShape(tokenShape, answer.json(), loosely));
    await world.out(showToken(made, { format, meta: false }));
    return 0;
  },
});

const remove = httpCommand({
  doc: "Deletes a token.",
  usage: "[options]",
  flags: accessorFlags,
  async run({ flags, args, http, world }) {
    noArguments(args);
    const id = await wholeId(http, "token", accessorOf(flags, "Must specify the -id parameter"));
    return removeOne({ http, world }, "token", id);
  },
});

/** `acl token`. */
export const token: CommandGroup = {
  kind: "group",
  doc: "Manages tokens.",
  detail: "",
  children: { create, read, update, delete: remove, list, clone },
};
