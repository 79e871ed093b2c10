import { translateLegacyRules } from "../../cluster/acl-legacy.ts";
import { readText } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";

/** `acl translate-rules`: rules of ACLs before Consul 1.4 in the current form; no agent is asked for that. */
export const translateRules = httpCommand({
  doc: "Brings rules from before Consul 1.4 into the current form.",
  usage: "[options] RULES",
  detail: "RULES: the text itself, @PATH for a file, - for standard input.",
  flags: {
    "token-secret": flag.boolean("RULES is the secret of a token that has them; there are none."),
    "token-accessor": flag.boolean("RULES is the accessor id of such a token."),
  },
  async run({ flags, args, http, world }) {
    const [given, ...more] = args;
    if (given === undefined) throw new CommandFailure("Error! Missing TRANSLATE argument");
    if (more.length > 0)
      throw new CommandFailure(`Error! Too many arguments: expected 1 got ${args.length}`);
    const text = await readText(given, world, "Error! ");
    if (flags["token-secret"] || flags["token-accessor"]) {
      const secret = text.trim();
      await attempt(
        "Error reading token",
        flags["token-secret"]
          ? http.request("GET", "/v1/acl/token/self", { headers: { "X-Consul-Token": secret } })
          : http.request("GET", `/v1/acl/token/${encodeURIComponent(secret)}`),
      );
      throw new CommandFailure("Token is not a legacy token with rules");
    }
    const translated = translateLegacyRules(text);
    if (!translated.ok) throw new CommandFailure(`Error translating rules: ${translated.error}`);
    await world.out(`${translated.value}\n`);
    return 0;
  },
});
