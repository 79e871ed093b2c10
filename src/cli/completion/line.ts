/** Completion by the program itself, for shells that were told so by `-autocomplete-install`. */
import { readdirSync } from "node:fs";
import type { World } from "../world.ts";
import { loadPlaces, type Place, type Takes } from "./places.ts";

/** Prints what the last word of a command line may become, a line each. Exit code 0. */
export async function completeLine(line: string, world: World): Promise<number> {
  const candidates = candidatesOf(line, await loadPlaces());
  await world.out(candidates.map((each) => `${each}\n`).join(""));
  return 0;
}

/** A word under the cursor, and what it is a part of. */
export type Cursor = {
  place: Place;
  word: string;
  /** What the flag before the word takes; undefined: the word is no value of a flag. */
  value: Takes | undefined;
};

/** Words that may stand in place of the last one of `line`; its first word is the program. */
function candidatesOf(line: string, places: readonly Place[]): string[] {
  const cursor = readCursor(line.split(/\s+/).slice(1), places);
  const { place, word, value } = cursor;
  if (value === "path") return pathsFrom(word);
  if (value === "value") return [];
  if (word.startsWith("-")) {
    const dashes = word.startsWith("--") ? "--" : "-";
    return place.flags.map(({ name }) => dashes + name).filter((each) => each.startsWith(word));
  }
  const names = place.subcommands.map(({ name }) => name);
  return place.takesPaths ? pathsFrom(word) : names.filter((name) => name.startsWith(word));
}

/** `words`: those after the program's name; the last one is under the cursor, "" behind a blank. */
function readCursor(words: readonly string[], places: readonly Place[]): Cursor {
  const find = (path: string) => places.find((place) => place.path === path);
  let place = find("")!; // loadPlaces begins with it
  const done = words.slice(0, -1);
  for (const word of done) {
    const next = find(place.path === "" ? word : `${place.path} ${word}`);
    if (next === undefined) {
      // No subcommand has this name, so nothing is known about what follows.
      if (place.subcommands.length > 0) place = { ...place, subcommands: [] };
      break;
    }
    place = next;
  }
  const takesOf = (flag: string) =>
    place.flags.find(({ name }) => flag === `-${name}` || flag === `--${name}`)?.takes;
  const word = words.at(-1) ?? "";
  const joined = /^(--?[^=]+)=(.*)$/s.exec(word);
  if (joined !== null) return { place, word: joined[2]!, value: takesOf(joined[1]!) ?? "value" };
  const before = takesOf(done.at(-1) ?? "");
  return { place, word, value: before === "nothing" ? undefined : before };
}

/** Entries of the directory that the word names so far; directories with a slash. */
function pathsFrom(word: string): string[] {
  const slash = word.lastIndexOf("/") + 1;
  const directory = word.slice(0, slash);
  const start = word.slice(slash);
  try {
    return readdirSync(directory === "" ? "." : directory, { withFileTypes: true })
      .filter(({ name }) => name.startsWith(start) && (start !== "" || !name.startsWith(".")))
      .map((entry) => `${directory}${entry.name}${entry.isDirectory() ? "/" : ""}`)
      .toSorted();
  } catch {
    return []; // no such directory: nothing to offer
  }
}
