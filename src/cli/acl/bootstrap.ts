import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, understood } from "../answer.ts";
import { readText } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { showToken, tokenShape } from "./show-token.ts";

/** `acl bootstrap`: the first token, once. */
export const bootstrap = httpCommand({
  doc: "Makes the first token, which may do everything.",
  usage: "[options] [SECRET]",
  detail:
    "SECRET is a UUID, or @FILE or - for what is in a file or comes on standard input; without it\n" +
    "the servers draw one.\n\n" +
    "Works once. When all tokens are lost, the index that the refusal names is written into the\n" +
    "file acl-bootstrap-reset of the data directory, and it works once more.",
  flags: { format: formatFlag },
  async run({ flags, args, http, world }) {
    if (args.length > 1) throw new CommandFailure("This command takes up to one argument");
    const [given = ""] = args;
    const secret = (await readText(given, world, "Error reading provided token: ")).trim();
    const format = checkFormat(flags.format);
    const answer = await attempt(
      "Failed ACL bootstrapping",
      http.request(
        "PUT",
        "/v1/acl/bootstrap",
        secret === "" ? {} : { body: { BootstrapSecret: secret } },
      ),
    );
    const token = understood(decodeShape(tokenShape, answer.json(), loosely));
    await world.out(showToken(token, { format, meta: false }));
    return 0;
  },
});
