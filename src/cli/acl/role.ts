/** `acl role`. */
import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, quoted, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import type { HttpClient } from "../client.ts";
import {
  attempt,
  CommandFailure,
  httpCommand,
  UsageFailure,
  type CommandGroup,
} from "../command.ts";
import { flag } from "../flags.ts";
import { listCommand, removeOne } from "./any-kind.ts";
import {
  grantFlags,
  mergeLinks,
  mergeNodeIdentities,
  mergeServiceIdentities,
  readLinks,
  readNodeIdentities,
  readServiceIdentities,
} from "./grants.ts";
import { findOne, namedId, wholeId } from "./ids.ts";
import { metaFlag } from "./one-token.ts";
import { roleShape, showRole, showRoles, type Role } from "./show-role.ts";

const idFlag = flag.text("Id of the role, or the beginning of it.", { placeholder: "id" });
const nameFlag = flag.text("Name of the role.", { placeholder: "name" });
const shown = { meta: metaFlag, format: formatFlag };

const create = httpCommand({
  doc: "Makes a role.",
  usage: "-name=NAME [options]",
  detail: "At least one policy or identity says what it may do.",
  flags: {
    name: flag.text("Its name; must be given.", { placeholder: "name" }),
    description: flag.text("What it is for."),
    ...grantFlags,
    ...shown,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.name === "") throw new UsageFailure("Missing required '-name' flag");
    const names = Object.keys(grantFlags) as (keyof typeof grantFlags)[];
    if (names.every((name) => flags[name].length === 0))
      throw new CommandFailure(
        "Cannot create a role without specifying -policy-name, -policy-id, -service-identity, or -node-identity at least once",
      );
    const format = checkFormat(flags.format);
    const body = {
      Name: flags.name,
      Description: flags.description,
      Policies: await readLinks(http, "policy", {
        ids: flags["policy-id"],
        names: flags["policy-name"],
      }),
      ServiceIdentities: readServiceIdentities(flags["service-identity"]),
      NodeIdentities: readNodeIdentities(flags["node-identity"]),
    };
    const answer = await attempt(
      "Failed to create new role",
      http.request("PUT", "/v1/acl/role", { body }),
    );
    const made = understood(decodeShape(roleShape, answer.json(), loosely));
    await world.out(showRole(made, { format, meta: flags.meta }));
    return 0;
  },
});

const read = httpCommand({
  doc: "Shows a role.",
  usage: "[options]",
  flags: { id: idFlag, name: nameFlag, ...shown },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.id === "" && flags.name === "")
      throw new CommandFailure("Must specify either the -id or -name parameters");
    const format = checkFormat(flags.format);
    const isById = flags.id !== "";
    const key = isById ? await wholeId(http, "role", flags.id) : flags.name;
    const path = `/v1/acl/role/${isById ? "" : "name/"}${encodeURIComponent(key)}`;
    const role = await readRole(http, path, `Error reading role ${quoted(key)}`);
    if (role === undefined)
      throw new CommandFailure(`Role not found with ${isById ? "ID" : "name"} ${quoted(key)}`);
    await world.out(showRole(role, { format, meta: flags.meta }));
    return 0;
  },
});

const update = httpCommand({
  doc: "Changes a role.",
  usage: "[options]",
  detail: "What is not given stays as it is, what is given is added; -no-merge replaces all.",
  flags: {
    id: idFlag,
    name: flag.text("Its new name.", { placeholder: "name" }),
    description: flag.text("What it is for."),
    ...grantFlags,
    "no-merge": flag.boolean("Replace all of it but the id."),
    ...shown,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.id === "")
      throw new CommandFailure("Cannot update a role without specifying the -id parameter");
    const format = checkFormat(flags.format);
    const id = await wholeId(http, "role", flags.id);
    const services = readServiceIdentities(flags["service-identity"]);
    const nodes = readNodeIdentities(flags["node-identity"]);
    const path = `/v1/acl/role/${encodeURIComponent(id)}`;
    const current = await readRole(http, path, "Error when retrieving current role");
    if (current === undefined) throw new CommandFailure(`Role not found with ID ${quoted(id)}`);
    const held = flags["no-merge"] ? undefined : current;
    const links = await readLinks(http, "policy", {
      ids: flags["policy-id"],
      names: flags["policy-name"],
    });
    const answer = await attempt(
      `Error updating role ${quoted(id)}`,
      http.request("PUT", path, {
        body: {
          ID: id,
          Name: flags.name || (held?.Name ?? ""),
          Description: flags.description || (held?.Description ?? ""),
          Policies: mergeLinks(held?.Policies ?? null, links),
          ServiceIdentities: mergeServiceIdentities(held?.ServiceIdentities ?? null, services),
          NodeIdentities: mergeNodeIdentities(held?.NodeIdentities ?? null, nodes),
        },
      }),
    );
    const made = understood(decodeShape(roleShape, answer.json(), loosely));
    await world.out(showRole(made, { format, meta: flags.meta }));
    return 0;
  },
});

const remove = httpCommand({
  doc: "Deletes a role.",
  usage: "[options]",
  flags: { id: idFlag, name: nameFlag },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.id === "" && flags.name === "")
      throw new CommandFailure("Must specify the -id or -name parameters");
    const id = await namedId(http, "role", flags);
    return removeOne({ http, world }, "role", id);
  },
});

const list = listCommand("role", (answer, look) =>
  showRoles(understood(decodeShape({ list: roleShape }, answer.json(), loosely)) ?? [], look),
);

/** `acl role`. */
export const role: CommandGroup = {
  kind: "group",
  doc: "Manages roles.",
  detail: "",
  children: { create, read, update, delete: remove, list },
};

async function readRole(http: HttpClient, path: string, what: string): Promise<Role | undefined> {
  const answer = await attempt(what, findOne(http, path));
  if (answer === undefined) return undefined;
  return understood(decodeShape(roleShape, answer.json(), loosely));
}
