/** `acl token update`: what is not given of policies, roles and identities is taken away, unless it is merged. */
import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import type { HttpClient } from "../client.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import {
  grantFlags,
  mergeLinks,
  mergeNodeIdentities,
  mergeServiceIdentities,
  readLinks,
  readNodeIdentities,
  readServiceIdentities,
  roleFlags,
  type Link,
} from "./grants.ts";
import { wholeId } from "./ids.ts";
import { accessorFlags, accessorOf, metaFlag, readToken } from "./one-token.ts";
import { showToken, tokenShape } from "./show-token.ts";

const replaced = { ...grantFlags, ...roleFlags };
const appended = {
  "append-policy-id": { ...replaced["policy-id"], doc: "-policy-id, and keep those that it has." },
  "append-policy-name": {
    ...replaced["policy-name"],
    doc: "-policy-name, and keep those that it has.",
  },
  "append-role-id": { ...replaced["role-id"], doc: "-role-id, and keep those that it has." },
  "append-role-name": { ...replaced["role-name"], doc: "-role-name, and keep those that it has." },
  "append-service-identity": {
    ...replaced["service-identity"],
    doc: "-service-identity, and keep those that it has.",
  },
  "append-node-identity": {
    ...replaced["node-identity"],
    doc: "-node-identity, and keep those that it has.",
  },
};

type Given = { readonly [K in keyof typeof replaced | keyof typeof appended]: readonly string[] };

/** `acl token update`. */
export const update = httpCommand({
  doc: "Changes a token.",
  usage: "[options]",
  detail:
    "Policies, roles and identities are replaced by those that are given, also by none; with\n" +
    "-merge-… or -append-… they are added. The description stays if no other is given.",
  flags: {
    ...accessorFlags,
    ...replaced,
    ...appended,
    description: flag.text("What it is for."),
    "merge-policies": flag.boolean("Add the policies to those that it has."),
    "merge-roles": flag.boolean("Add the roles to those that it has."),
    "merge-service-identities": flag.boolean("Add the service identities to those that it has."),
    "merge-node-identities": flag.boolean("Add the node identities to those that it has."),
    "upgrade-legacy": flag.boolean("For tokens from before Consul 1.4, of which there are none."),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const given = accessorOf(flags, "Cannot update a token without specifying the -id parameter");
    const format = checkFormat(flags.format);
    for (const name of ["policy", "role"] as const)
      refuseBoth(
        flags,
        [`${name}-id`, `${name}-name`],
        [`append-${name}-id`, `append-${name}-name`],
      );
    for (const name of ["service-identity", "node-identity"] as const)
      refuseBoth(flags, [name], [`append-${name}`]);
    const id = await wholeId(http, "token", given);
    const held = await readToken(http, id, "Error when retrieving current token");
    if (flags["upgrade-legacy"])
      throw new CommandFailure("Can't use -upgrade-legacy on a non-legacy token");
    const services = readServiceIdentities([
      ...flags["service-identity"],
      ...flags["append-service-identity"],
    ]);
    const nodes = readNodeIdentities([...flags["node-identity"], ...flags["append-node-identity"]]);
    const mergesServices =
      flags["merge-service-identities"] || flags["append-service-identity"].length > 0;
    const mergesNodes = flags["merge-node-identities"] || flags["append-node-identity"].length > 0;
    const body = {
      AccessorID: held.AccessorID,
      Description: flags.description || held.Description,
      Local: held.Local,
      Policies: await links(http, "policy", flags, held.Policies, flags["merge-policies"]),
      Roles: await links(http, "role", flags, held.Roles, flags["merge-roles"]),
      ServiceIdentities: mergesServices
        ? mergeServiceIdentities(held.ServiceIdentities, services)
        : services,
      NodeIdentities: mergesNodes ? mergeNodeIdentities(held.NodeIdentities, nodes) : nodes,
    };
    const answer = await attempt(
      `Failed to update token ${id}`,
      http.request("PUT", `/v1/acl/token/${encodeURIComponent(id)}`, { body }),
    );
    const made = understood(decodeShape(tokenShape, answer.json(), loosely));
    await world.out(showToken(made, { format, meta: flags.meta }));
    return 0;
  },
});

async function links(
  http: HttpClient,
  kind: "policy" | "role",
  flags: Given,
  held: readonly Link[] | null,
  isMerged: boolean,
): Promise<Link[]> {
  const added = {
    ids: flags[`append-${kind}-id`],
    names: flags[`append-${kind}-name`],
  };
  const appends = added.ids.length > 0 || added.names.length > 0;
  const wanted = appends ? added : { ids: flags[`${kind}-id`], names: flags[`${kind}-name`] };
  const read = await readLinks(http, kind, wanted);
  return appends || isMerged ? mergeLinks(held, read) : read;
}

/** What replaces and what adds cannot be given together. */
function refuseBoth(
  flags: Given,
  replacing: readonly (keyof Given)[],
  adding: readonly (keyof Given)[],
): void {
  const isGiven = (name: keyof Given) => flags[name].length > 0;
  if (!replacing.some(isGiven) || !adding.some(isGiven)) return;
  const list = (names: readonly string[]) => names.map((name) => `-${name}`).join(" or ");
  throw new CommandFailure(
    `Cannot combine the use of ${replacing.join("/")} flags with append- variants. ` +
      `To set or overwrite existing ones, use ${list(replacing)}. ` +
      `To append to existing ones, use ${list(adding)}.`,
  );
}
