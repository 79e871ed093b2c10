import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { attempt, httpCommand } from "../command.ts";

/** `catalog datacenters`: names, a line each, the nearest first. */
export const datacenters = httpCommand({
  doc: "Lists the datacenters.",
  usage: "[options]",
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    const answer = await attempt(
      "Error listing datacenters",
      http.request("GET", "/v1/catalog/datacenters"),
    );
    const names = understood(decodeShape({ list: "string" }, answer.json(), loosely)) ?? [];
    await world.out(names.map((name) => `${name}\n`).join(""));
    return 0;
  },
});
