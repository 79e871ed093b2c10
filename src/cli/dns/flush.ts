import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { optionalArgument } from "../arguments.ts";
import { attempt, httpCommand } from "../command.ts";
import { selected, selectionFlags } from "./selection.ts";

/** `dns cache flush`: the next question for what went is asked of an upstream server again. */
export const flush = httpCommand({
  doc: "Empties the forwarder's cache, or removes a name from it.",
  usage: "[options] [NAME]",
  flagsAnywhere: true,
  detail: `Without NAME everything goes, or all of one type:

    waypost dns cache flush
    waypost dns cache flush -subtree example.com
    waypost dns cache flush -type=MX example.com`,
  flags: selectionFlags,
  async run({ flags, args, http, world }) {
    const query = selected(optionalArgument(args), flags);
    const answer = await attempt(
      "Error flushing the cache",
      http.request("DELETE", "/v1/waypost/dns/cache", { query }),
    );
    const shape = { struct: { Removed: "int" } } as const;
    const { Removed } = understood(decodeShape(shape, answer.json(), loosely));
    await world.out(`Removed ${Removed} ${Removed === 1 ? "entry" : "entries"}\n`);
    return 0;
  },
});
