import { decodeShape } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, loosely, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { HttpFailure } from "../client.ts";
import { attempt, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { paint } from "../table.ts";
import { selected, selectionFlags } from "./selection.ts";

/** `dns cache dump`: entries as they come, so that a full cache needs no memory here. */
export const dump = httpCommand({
  doc: "Lists what the forwarder keeps.",
  usage: "[options]",
  flagsAnywhere: true,
  detail: `Each line is one answer: seconds left and since it came, octets, how often it was used, the
server that gave it. NODATA and NXDOMAIN are denials. A stale entry has outlived its TTL and goes
when it is looked for.`,
  flags: {
    name: flag.text("Only this name."),
    ...selectionFlags,
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const format = checkFormat(flags.format);
    const ask = { query: selected(flags.name, flags) };
    const request = http.stream("GET", "/v1/waypost/dns/cache", ask);
    const { body } = await attempt("Error listing the cache", request);
    if (format === "json") {
      for await (const octets of body) await world.out(octets);
      return 0;
    }
    let count = 0;
    let text = paint(world, "bold", line(COLUMNS));
    for await (const entry of entriesOf(body)) {
      count++;
      text += line(cellsOf(entry));
      if (text.length < FLUSH_CHARACTERS) continue;
      await world.out(text);
      text = "";
    }
    if (count === 0) await world.err("The cache holds no such entry.\n");
    else await world.out(text);
    return 0;
  },
});

/** Output is collected up to this length. */
const FLUSH_CHARACTERS = 65_536;
const COLUMNS = ["TTL", "Age", "State", "Octets", "Hits", "Type", "Answer", "Server", "Name"];
/** Columns but the last; a longer cell pushes the others aside. */
const WIDTHS = [8, 8, 6, 7, 7, 7, 9, 22];

function line(cells: readonly string[]): string {
  return `${cells.map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0)).join(" ")}\n`;
}

const shape = {
  struct: {
    Name: "string",
    Type: "string",
    Rcode: "string",
    Denial: "bool",
    TTL: "int",
    Age: "int",
    Stale: "bool",
    Octets: "int",
    Hits: "int",
    Server: "string",
  },
} as const;

type Entry = ReturnType<typeof readEntry>;

function readEntry(text: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new HttpFailure(0, "the answer is not JSON");
  }
  return understood(decodeShape(shape, value, loosely));
}

function cellsOf(entry: Entry): string[] {
  const { TTL, Age, Stale, Octets, Hits, Type, Rcode, Denial, Server, Name } = entry;
  const answer = Denial && Rcode === "NOERROR" ? "NODATA" : Rcode;
  const state = Stale ? "stale" : "fresh";
  return [TTL, Age, state, Octets, Hits, Type, answer, Server, Name].map(String);
}

/** The array has one entry on each line. */
async function* entriesOf(body: AsyncIterable<Uint8Array>): AsyncIterable<Entry> {
  const decoder = new TextDecoder();
  let rest = "";
  let last = "";
  for await (const octets of body) {
    const lines = (rest + decoder.decode(octets, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const each of lines) {
      last = each;
      if (each.startsWith("{")) yield readEntry(each.replace(/,$/, ""));
    }
  }
  if (!last.endsWith("]")) throw new HttpFailure(0, "the answer broke off");
}
