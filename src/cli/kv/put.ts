import { readData } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag, type FlagValues } from "../flags.ts";
import { keyPath, keyProblem, parseBase64 } from "./entries.ts";

const flags = {
  cas: flag.boolean("Write only if the key is still as -modify-index says."),
  flags: flag.uint64("Number that is kept with the key."),
  base64: flag.boolean("The data is base64; what it stands for is written."),
  "modify-index": flag.uint64("With -cas: ModifyIndex of the key, 0 if it must not exist."),
  session: flag.text("With -acquire or -release: id of the session."),
  acquire: flag.boolean("Take the lock on the key, and write."),
  release: flag.boolean("Give the lock on the key back, and write."),
};

/** `kv put`: writes one key, perhaps under conditions. */
export const put = httpCommand({
  doc: "Writes a value.",
  usage: "[options] KEY [DATA]",
  detail: `DATA is the value itself, @FILE for the content of a file, or - for standard input; without it
the value is empty:

    waypost kv put config/port 8080
    waypost kv put config/license @license.txt
    tar c site | waypost kv put site.tar -

Only if nobody changed the key since it had this ModifyIndex:

    waypost kv put -cas -modify-index=844 config/port 8081`,
  flags,
  async run({ flags, args, http, world }) {
    const [key, data] = args;
    if (key === undefined) throw new CommandFailure("Error! Missing KEY argument");
    if (args.length > 2)
      throw new CommandFailure(`Error! Too many arguments (expected 1 or 2, got ${args.length})`);
    const given = await readData(data ?? "", world, "Error! ");
    const value = flags.base64 ? decoded(given) : given;
    const problem = problemOf(flags);
    if (problem !== undefined) throw new CommandFailure(problem);
    if (flags.session !== "" && !flags.acquire && !flags.release)
      await world.err("warning: -session has no effect without -acquire or -release\n");
    const failed = flags.cas ? `Error! Did not write to ${key}` : "Error! Failed writing data";
    const invalid = keyProblem(key);
    if (invalid !== undefined) throw new CommandFailure(`${failed}: ${invalid}`);
    const answer = await attempt(
      failed,
      http.request("PUT", keyPath(key), {
        query: {
          flags: flags.flags?.toString(),
          cas: flags.cas ? flags["modify-index"]?.toString() : undefined,
          acquire: flags.acquire ? flags.session : undefined,
          release: flags.release ? flags.session : undefined,
        },
        body: value,
      }),
    );
    const said = answer.text.trim();
    if (said === "false") throw new CommandFailure(refusalOf(key, flags));
    if (said !== "true") throw new CommandFailure(`${failed}: the answer is not that of an agent`);
    await world.out(`Success! ${doneText(flags)}: ${key}\n`);
    return 0;
  },
});

type Given = FlagValues<typeof flags>;

function decoded(data: Uint8Array): Uint8Array {
  const value = parseBase64(Buffer.from(data).toString("latin1"));
  if (value.ok) return value.value;
  throw new CommandFailure(`Error! Cannot base 64 decode data: ${value.error}`);
}

function problemOf({ cas, acquire, release, session, ...others }: Given): string | undefined {
  if ((acquire || release) && session === "")
    return "Error! Missing -session (required with -acquire and -release)";
  if (cas && others["modify-index"] === undefined) return "Must specify -modify-index with -cas!";
  if (!cas && others["modify-index"] !== undefined)
    return "Cannot specify -modify-index without -cas!";
  const [first, second] = Object.entries({ cas, acquire, release }).flatMap(([name, given]) =>
    given ? [name] : [],
  );
  return second === undefined ? undefined : `Cannot specify both -${first} and -${second}!`;
}

function refusalOf(key: string, { cas, acquire, release, ...others }: Given): string {
  if (acquire) return "Error! Did not acquire lock";
  if (release) return "Error! Did not release lock";
  const why =
    cas && others["modify-index"] === 0n
      ? "CAS performed with index=0 and key already exists."
      : "CAS failed";
  return `Error! Did not write to ${key}: ${why}`;
}

function doneText({ acquire, release }: Given): string {
  if (acquire) return "Lock acquired on";
  return release ? "Lock released on" : "Data written to";
}
