import { escapeAsGo } from "../../go-json.ts";
import { optionalArgument } from "../arguments.ts";
import { httpCommand } from "../command.ts";
import { readEntries, withoutSlash, type Entry } from "./entries.ts";
import { writeAll } from "./print.ts";

/** `kv export`: everything below a prefix as JSON, which `kv import` takes. The form is Consul's. */
export const exportKeys = httpCommand({
  doc: "Prints keys and values as JSON.",
  usage: "[options] [PREFIX]",
  detail: `The output is what \`kv import\` reads, here or in Consul:

    waypost kv export config/ >config.json
    waypost kv export | waypost kv import -http-addr=other:8500 -`,
  flags: {},
  async run({ args, http, world }) {
    const prefix = withoutSlash(optionalArgument(args));
    const entries = await readEntries(http, prefix, { recurse: true });
    await writeAll(world, jsonOf(entries));
    return 0;
  },
});

/** Indented with tabs, as Consul prints it; flags are numbers of 64 bits. */
function* jsonOf(entries: readonly Entry[]): Generator<string> {
  if (entries.length === 0) return yield "[]\n";
  for (const [i, { key, flags, value }] of entries.entries()) {
    const name = escapeAsGo(JSON.stringify(key));
    const data = Buffer.from(value).toString("base64");
    yield `${i === 0 ? "[" : ","}\n\t{\n\t\t"key": ${name},\n\t\t"flags": ${flags},\n\t\t"value": "${data}"\n\t}`;
  }
  yield "\n]\n";
}
