/** Every place of a command line where a word may be completed, from the table of commands. */
import { agentFlagList } from "../../config/flags.ts";
import type { Command, CommandGroup } from "../command.ts";
import { cliCommands } from "../commands.ts";
import type { Flag } from "../flags.ts";

/** What a flag wants after it. */
export type Takes = "nothing" | "path" | "value";

/** What may follow the words of `path`. */
export type Place = {
  /** Words so far, "" after the program's name, `kv get`. */
  path: string;
  /** One sentence about the command; "" for the program. */
  doc: string;
  subcommands: readonly { name: string; doc: string }[];
  flags: readonly { name: string; doc: string; takes: Takes }[];
  /** The arguments are paths. */
  takesPaths: boolean;
};

/** All places in order of their paths. Loads every command. */
export async function loadPlaces(): Promise<Place[]> {
  const loaded = await Promise.all(
    Object.entries(cliCommands).map(async ([name, row]) => [name, await row.load()] as const),
  );
  const agent: Place = {
    path: "agent",
    doc: "Runs the agent.",
    subcommands: [],
    flags: agentFlagList().map(({ name, kind, doc }) => ({
      name,
      doc,
      takes: kind === "boolean" ? "nothing" : agentPath.test(name) ? "path" : "value",
    })),
    takesPaths: false,
  };
  const help = { path: "help", doc: "Prints this list.", ...nothing };
  const below = [agent, help, ...loaded.flatMap(([name, node]) => placesOf(node, name))];
  const top = below.filter(({ path }) => !path.includes(" "));
  const subcommands = top.map(({ path, doc }) => ({ name: path, doc }));
  const root: Place = { path: "", doc: "", ...nothing, subcommands: byName(subcommands) };
  return [root, ...below.toSorted((a, b) => (a.path < b.path ? -1 : 1))];
}

const nothing = { subcommands: [], flags: [], takesPaths: false };

/** Flags of `agent` that name a file or a directory. */
const agentPath = /(^|-)(file|dir|path)$/;
/** Commands whose usage says that their arguments are paths. */
const pathUsage = /\b(FILE|DIRECTORY|PATH)/;

function placesOf(node: Command | CommandGroup, path: string): Place[] {
  const { doc } = node;
  if (node.kind === "command") {
    const flags = Object.entries(node.flags).map(([name, flag]) => ({
      name,
      doc: flag.doc,
      takes: takes(flag),
    }));
    const takesPaths = pathUsage.test(node.usage);
    return [{ path, doc, subcommands: [], flags: byName(flags), takesPaths }];
  }
  const children = Object.entries(node.children);
  const subcommands = children.map(([name, child]) => ({ name, doc: child.doc }));
  return [
    { path, doc, subcommands: byName(subcommands), flags: [], takesPaths: false },
    ...children.flatMap(([name, child]) => placesOf(child, `${path} ${name}`)),
  ];
}

function takes({ kind, isPath }: Flag): Takes {
  if (kind === "boolean") return "nothing";
  return isPath ? "path" : "value";
}

function byName<T extends { name: string }>(list: T[]): T[] {
  return list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
