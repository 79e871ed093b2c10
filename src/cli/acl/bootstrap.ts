import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { attempt, httpCommand } from "../command.ts";
import { showToken, tokenShape } from "./show-token.ts";

/** `acl bootstrap`: the first token, once. */
export const bootstrap = httpCommand({
  doc: "Makes the first token, which may do everything.",
  usage: "[options]",
  detail:
    "Works once. When all tokens are lost, the index that the refusal names is written into the\n" +
    "file acl-bootstrap-reset of the data directory, and it works once more.",
  flags: { format: formatFlag },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const format = checkFormat(flags.format);
    const answer = await attempt(
      "Failed ACL bootstrapping",
      http.request("PUT", "/v1/acl/bootstrap"),
    );
    const token = understood(decodeShape(tokenShape, answer.json(), loosely));
    await world.out(showToken(token, { format, meta: false }));
    return 0;
  },
});
