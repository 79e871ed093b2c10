import { optionalArgument } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { keyPath, withoutSlash } from "./entries.ts";

/** `kv delete`: removes a key, or all that begin with a prefix. A key that is not there is no error. */
export const remove = httpCommand({
  doc: "Removes keys.",
  usage: "[options] KEY_OR_PREFIX",
  detail: `Removes one key, or with -recurse every key that begins with the text (foo, food, foo/bar):

    waypost kv delete config/port
    waypost kv delete -recurse config/`,
  flags: {
    cas: flag.boolean("Remove only if the key is still as -modify-index says."),
    "modify-index": flag.uint64("With -cas: ModifyIndex of the key."),
    recurse: flag.boolean("Remove all keys that begin with the prefix."),
  },
  async run({ flags, args, http, world }) {
    const key = withoutSlash(optionalArgument(args));
    const { cas, recurse, "modify-index": index } = flags;
    if (key === "" && !recurse) throw new CommandFailure("Error! Missing KEY argument");
    if (cas && index === undefined)
      throw new CommandFailure("Must specify -modify-index with -cas!");
    if (cas && index === 0n)
      throw new CommandFailure(
        "Cannot delete a key that does not exist. Provide a -modify-index greater than 0.",
      );
    if (!cas && index !== undefined)
      throw new CommandFailure("Cannot specify -modify-index without -cas!");
    if (cas && recurse) throw new CommandFailure("Cannot specify both -cas and -recurse!");
    const what = recurse ? `prefix ${key}` : `key ${key}`;
    const failed = cas || recurse ? `Error! Did not delete ${what}` : `Error deleting ${what}`;
    const query = { recurse: recurse ? "" : undefined, cas: cas ? String(index) : undefined };
    const answer = await attempt(failed, http.request("DELETE", keyPath(key), { query }));
    if (cas && answer.text.trim() !== "true") throw new CommandFailure(`${failed}: CAS failed`);
    await world.out(`Success! Deleted ${recurse ? "keys with prefix" : "key"}: ${key}\n`);
    return 0;
  },
});
