import { checkFormat, formatFlag, jsonText } from "../answer.ts";
import { oneArgument } from "../arguments.ts";
import { command, CommandFailure } from "../command.ts";
import { fileReason } from "../../file-reason.ts";
import { flag } from "../flags.ts";
import { FrameReader, type Row } from "../../cluster/snapshot-frames.ts";
import { openSnapshot, type OpenSnapshot } from "./file.ts";
import { prettyText } from "./pretty.ts";

/** What is shown of a group of rows: how many, and their octets. */
export type Stat = { Name: string; Sum: number; Count: number };

/** What is shown of a file. Names of members are those of Consul's JSON. */
export type Inspection = {
  Meta: { ID: string; Size: number; Index: number; Term: number; Version: number };
  Stats: readonly Stat[];
  StatsKV: readonly Stat[] | null;
  TotalSize: number;
  TotalSizeKV: number;
};

/** `snapshot inspect`: needs no agent. */
export const inspect = command({
  doc: "Prints what a snapshot file holds.",
  usage: "[options] FILE",
  detail: `The file is checked whole. No agent is needed:

    waypost snapshot inspect backup.snap
    waypost snapshot inspect -kvdetails -kvdepth=3 -kvfilter=config backup.snap`,
  flags: {
    kvdetails: flag.boolean("Show how much is stored below each prefix of keys."),
    kvdepth: flag.integer(2, "With -kvdetails: parts of a key that make a prefix."),
    kvfilter: flag.text("With -kvdetails: only keys that begin with this."),
    format: formatFlag,
  },
  async run({ flags, args, world }) {
    const path = oneArgument(args, "Missing FILE argument");
    const format = checkFormat(flags.format);
    const opened = await openSnapshot(path).catch((error: unknown) => {
      throw new CommandFailure(`Error opening snapshot file: ${fileReason(error)}`);
    });
    if (!opened.ok) throw new CommandFailure(`Error reading snapshot: ${opened.error}`);
    const prefixOf = (key: string) =>
      flags.kvdetails && key.startsWith(flags.kvfilter)
        ? key.split("/").slice(0, Math.max(0, flags.kvdepth)).join("/")
        : undefined;
    const inspection = await count(opened.value, prefixOf);
    await world.out(format === "json" ? jsonText(inspection, 3) : prettyText(inspection));
    return 0;
  },
});

async function count(
  { head, image }: OpenSnapshot,
  prefixOf: (key: string) => string | undefined,
): Promise<Inspection> {
  const stats = new Map<string, Stat>();
  const statsKv = new Map<string, Stat>();
  const frames = new FrameReader();
  let octets = 0;
  const take = (row: Row) => {
    const size = Buffer.byteLength(JSON.stringify(row));
    add(stats, typeNames[String(row[0])] ?? String(row[0]), size);
    const prefix = row[0] === "kv" ? prefixOf(String(row[1])) : undefined;
    if (prefix !== undefined) add(statsKv, prefix, size);
  };
  try {
    for await (const chunk of image) {
      octets += chunk.length;
      const rows = frames.read(chunk);
      if (!rows.ok) throw new Error(rows.error);
      rows.value.forEach(take);
    }
    if (!frames.atBoundary) throw new Error("damaged snapshot: it ends too early");
  } catch (error) {
    throw new CommandFailure(`Error extracting snapshot data: ${fileReason(error)}`);
  }
  return {
    Meta: {
      ID: `${head.term}-${head.index}-${head.savedMs}`,
      Size: octets,
      Index: head.index,
      Term: head.term,
      Version: 1,
    },
    Stats: sorted(stats),
    StatsKV: statsKv.size === 0 ? null : sorted(statsKv),
    TotalSize: total(stats),
    TotalSizeKV: total(statsKv),
  };
}

/** Kinds of rows (snapshot-rows.ts) in the words of Consul's snapshots. */
const typeNames: Readonly<Record<string, string>> = {
  head: "Index",
  service: "Index",
  end: "Index",
  n: "Register",
  s: "Register",
  c: "Register",
  session: "Session",
  query: "PreparedQuery",
  policy: "ACLPolicy",
  role: "ACLRole",
  token: "ACLToken",
  coordinate: "CoordinateBatchUpdate",
  autopilot: "Autopilot",
  kv: "KVS",
  "kv-tombstone": "Tombstone",
  "kv-delay": "LockDelay",
};

function add(stats: Map<string, Stat>, name: string, size: number): void {
  const stat = stats.get(name) ?? { Name: name, Sum: 0, Count: 0 };
  stats.set(name, { Name: name, Sum: stat.Sum + size, Count: stat.Count + 1 });
}

/** The largest first, equal ones by name. */
function sorted(stats: ReadonlyMap<string, Stat>): Stat[] {
  return [...stats.values()].toSorted((a, b) => b.Sum - a.Sum || (a.Name < b.Name ? -1 : 1));
}

function total(stats: ReadonlyMap<string, Stat>): number {
  return [...stats.values()].reduce((sum, { Sum }) => sum + Sum, 0);
}
