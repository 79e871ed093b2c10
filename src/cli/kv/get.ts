import { CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { optionalArgument } from "../arguments.ts";
import { readEntries, readKeys, withoutSlash, type Entry } from "./entries.ts";
import { writeAll } from "./print.ts";

/** `kv get`: a value, or what is below a prefix. A value is printed as it is, then a line's end. */
export const get = httpCommand({
  doc: "Prints values, or lists what is below a prefix.",
  usage: "[options] [KEY_OR_PREFIX]",
  detail: `Prints the value of a key and a line's end; a key that does not exist is an error:

    waypost kv get config/port
    waypost kv get -detailed config/port

Lists keys, with their values or without:

    waypost kv get -recurse config/
    waypost kv get -keys -separator="" config/

Values that are no text are best taken with -base64.`,
  flags: {
    base64: flag.boolean("Print values in base64."),
    detailed: flag.boolean("Print indexes, flags and lock besides the value."),
    keys: flag.boolean(
      "Print the names of keys that begin with the prefix, without values; with -recurse all names.",
    ),
    recurse: flag.boolean("Print all keys that begin with the prefix."),
    separator: flag.textWithDefault("/", "With -keys, names are cut after it and listed once."),
  },
  async run({ flags, args, http, world }) {
    const key = withoutSlash(optionalArgument(args));
    const { base64, detailed, keys, recurse } = flags;
    if (keys && !recurse) {
      const names = await readKeys(http, key, flags.separator);
      await writeAll(world, linesOf(names));
      return 0;
    }
    if (key === "" && !recurse) throw new CommandFailure("Error! Missing KEY argument");
    const entries = await readEntries(http, key, { recurse });
    if (recurse) {
      await writeAll(world, listOf(entries, { base64, detailed, keys }));
      return 0;
    }
    const [entry] = entries;
    if (entry === undefined) throw new CommandFailure(`Error! No key exists at: ${key}`);
    await writeAll(world, [
      ...(detailed ? detailsOf(entry) : []),
      ...(detailed ? ["Value            "] : []),
      valueOf(entry, base64),
      "\n",
    ]);
    return 0;
  },
});

function* linesOf(names: readonly string[]): Generator<string> {
  for (const name of names) yield `${name}\n`;
}

type Form = { base64: boolean; detailed: boolean; keys: boolean };

function* listOf(entries: readonly Entry[], { base64, detailed, keys }: Form) {
  for (const [i, entry] of entries.entries()) {
    if (detailed) {
      if (i > 0) yield "\n";
      yield* detailsOf(entry);
      if (!keys) yield "Value            ";
    } else yield keys ? entry.key : `${entry.key}:`;
    if (!keys) yield valueOf(entry, base64);
    yield "\n";
  }
}

/** All lines but that of the value, in Consul's columns. */
function* detailsOf(entry: Entry): Generator<string> {
  yield `CreateIndex      ${entry.createIndex}\n`;
  yield `Flags            ${entry.flags}\n`;
  yield `Key              ${entry.key}\n`;
  yield `LockIndex        ${entry.lockIndex}\n`;
  yield `ModifyIndex      ${entry.modifyIndex}\n`;
  yield `Session          ${entry.session || "-"}\n`;
}

function valueOf({ value }: Entry, base64: boolean): string | Uint8Array {
  return base64 ? Buffer.from(value).toString("base64") : value;
}
