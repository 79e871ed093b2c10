/** `acl policy`. */
import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, quoted, understood } from "../answer.ts";
import { noArguments, readText } from "../arguments.ts";
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
import { namedId } from "./ids.ts";
import { metaFlag, readToken } from "./one-token.ts";
import { policyShape, showPolicies, showPolicy, type Policy } from "./show-policy.ts";

const idFlag = flag.text("Id of the policy, or the beginning of it.", { placeholder: "id" });
const rulesDoc = "Its rules: the text itself, @PATH for a file, - for standard input.";
const datacentersFlag = flag.texts("Datacenter that it is good in; may be repeated.", {
  placeholder: "name",
});
const neither = "Must specify either the -id or -name parameters";

const create = httpCommand({
  doc: "Makes a policy.",
  usage: "-name=NAME [options]",
  flags: {
    name: flag.text("Its name; must be given.", { placeholder: "name" }),
    description: flag.text("What it is for."),
    rules: flag.text(rulesDoc, { placeholder: "rules" }),
    "valid-datacenter": datacentersFlag,
    "from-token": flag.text("Take the rules of a token from before Consul 1.4; there are none.", {
      placeholder: "id",
    }),
    "token-secret": flag.boolean("-from-token is a secret, not an accessor id."),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.name === "") throw new UsageFailure("Missing required '-name' flag");
    const format = checkFormat(flags.format);
    if (flags["from-token"] !== "") {
      if (flags.rules !== "")
        throw new CommandFailure("Error loading rules: Cannot specify both -rules and -from-token");
      const token = await readText(
        flags["from-token"],
        world,
        "Error loading rules: Invalid -from-token value: ",
      );
      if (!flags["token-secret"])
        await readToken(http, token.trim(), "Error loading rules: Error reading token");
      throw new CommandFailure("Error loading rules: Token is not a legacy token with rules");
    }
    const body = {
      Name: flags.name,
      Description: flags.description,
      Rules: await readText(flags.rules, world, "Error loading rules: "),
      Datacenters: flags["valid-datacenter"],
    };
    const answer = await attempt(
      "Failed to create new policy",
      http.request("PUT", "/v1/acl/policy", { body }),
    );
    const made = understood(decodeShape(policyShape, answer.json(), loosely));
    await world.out(showPolicy(made, { format, meta: flags.meta }));
    return 0;
  },
});

const read = httpCommand({
  doc: "Shows a policy.",
  usage: "[options]",
  flags: {
    id: idFlag,
    name: flag.text("Name of the policy.", { placeholder: "name" }),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.id === "" && flags.name === "") throw new CommandFailure(neither);
    const format = checkFormat(flags.format);
    const policy = await readPolicy(http, await namedId(http, "policy", flags));
    await world.out(showPolicy(policy, { format, meta: flags.meta }));
    return 0;
  },
});

const update = httpCommand({
  doc: "Changes a policy.",
  usage: "[options]",
  detail: "What is not given stays as it is; with -no-merge it becomes empty.",
  flags: {
    id: idFlag,
    name: flag.optionalText("Its name; the new one if -id is given, too.", {
      placeholder: "name",
    }),
    description: flag.optionalText("What it is for."),
    rules: flag.optionalText(rulesDoc, { placeholder: "rules" }),
    "valid-datacenter": datacentersFlag,
    "no-merge": flag.boolean("Replace all of it but the id."),
    meta: metaFlag,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const { name = "", description, "valid-datacenter": datacenters } = flags;
    if (flags.id === "" && name === "") throw new CommandFailure(neither);
    const format = checkFormat(flags.format);
    const id = await namedId(http, "policy", { id: flags.id, name });
    const rules =
      flags.rules === undefined
        ? undefined
        : await readText(flags.rules, world, "Error loading data source: ");
    const held = flags["no-merge"] ? undefined : await readPolicy(http, id);
    const answer = await attempt(
      `Error updating policy ${quoted(id)}`,
      http.request("PUT", `/v1/acl/policy/${encodeURIComponent(id)}`, {
        body: {
          ID: id,
          Name: flags.name ?? held?.Name ?? "",
          Description: description ?? held?.Description ?? "",
          Rules: rules ?? held?.Rules ?? "",
          Datacenters: datacenters.length > 0 ? datacenters : (held?.Datacenters ?? []),
        },
      }),
    );
    const made = understood(decodeShape(policyShape, answer.json(), loosely));
    await world.out(showPolicy(made, { format, meta: flags.meta }));
    return 0;
  },
});

const remove = httpCommand({
  doc: "Deletes a policy.",
  usage: "[options]",
  flags: { id: idFlag, name: flag.text("Name of the policy.", { placeholder: "name" }) },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.id === "" && flags.name === "") throw new CommandFailure(neither);
    const id = await namedId(http, "policy", flags);
    return removeOne({ http, world }, "policy", id);
  },
});

const list = listCommand("policy", (answer, look) =>
  showPolicies(understood(decodeShape({ list: policyShape }, answer.json(), loosely)) ?? [], look),
);

/** `acl policy`. */
export const policy: CommandGroup = {
  kind: "group",
  doc: "Manages policies.",
  detail: "",
  children: { create, read, update, delete: remove, list },
};

async function readPolicy(http: HttpClient, id: string): Promise<Policy> {
  const answer = await attempt(
    `Error reading policy ${quoted(id)}`,
    http.request("GET", `/v1/acl/policy/${encodeURIComponent(id)}`),
  );
  return understood(decodeShape(policyShape, answer.json(), loosely));
}
