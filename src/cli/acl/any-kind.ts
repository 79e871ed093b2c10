/** Commands that are the same for tokens, policies and roles. */
import { checkFormat, formatFlag, quoted } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import type { Answer, HttpClient } from "../client.ts";
import { attempt, httpCommand, type Command } from "../command.ts";
import type { World } from "../world.ts";
import { lists, type Kind } from "./ids.ts";
import { metaFlag } from "./one-token.ts";
import type { Look } from "./show-grants.ts";

/** `list`: all that there are, as `show` prints the answer. */
export function listCommand(kind: Kind, show: (answer: Answer, look: Look) => string): Command {
  return httpCommand({
    doc: `Lists the ${kind === "policy" ? "policies" : `${kind}s`}.`,
    usage: "[options]",
    flags: { meta: metaFlag, format: formatFlag },
    async run({ flags, args, http, world }) {
      noArguments(args);
      const format = checkFormat(flags.format);
      const answer = await attempt(
        `Failed to retrieve the ${kind} list`,
        http.request("GET", lists[kind].path),
      );
      await world.out(show(answer, { format, meta: flags.meta }));
      return 0;
    },
  });
}

/** The end of `delete`, once the whole id is known; gives back the exit code. */
export async function removeOne(
  { http, world }: { http: HttpClient; world: World },
  kind: Kind,
  id: string,
): Promise<number> {
  await attempt(
    `Error deleting ${kind} ${quoted(id)}`,
    http.request("DELETE", `/v1/acl/${kind}/${encodeURIComponent(id)}`),
  );
  await world.out(`${kind[0]!.toUpperCase()}${kind.slice(1)} ${quoted(id)} deleted successfully\n`);
  return 0;
}
