/** Lists of objects in the configuration, member by member. */
import { NameList } from "../../forwarder/local/name-list.ts";
import { describe, isObject } from "../kinds.ts";
import { nearest } from "../nearest.ts";

/** Errors are whole sentences that start with the key path. */
export type Problems = string[];

/** An object of the configuration; `where` is its key path. */
export type Entry = { readonly where: string; readonly value: Readonly<Record<string, unknown>> };

/** The objects of a list; HCL writes a list of one block as the block. */
export function readEntries(
  raw: unknown,
  where: string,
  known: readonly string[],
  problems: Problems,
): Entry[] {
  const list = Array.isArray(raw) ? raw : [raw];
  return list.flatMap((each: unknown, i): Entry[] => {
    const place = Array.isArray(raw) ? `${where}[${i}]` : where;
    if (!isObject(each)) {
      problems.push(`${place}: expected an object, got ${describe(each)}`);
      return [];
    }
    const value: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(each)) {
      const key = name.toLowerCase();
      if (known.includes(key)) value[key] = member;
      else {
        const near = nearest(key, known);
        const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
        problems.push(`${place}: invalid key ${name}${hint}; expected ${known.join(", ")}`);
      }
    }
    return [{ where: place, value }];
  });
}

/** A list of texts, or one text; `undefined` with a problem noted for anything else. */
export function readTexts(
  { where, value }: Entry,
  key: string,
  problems: Problems,
): readonly string[] | undefined {
  const raw = value[key];
  const list: unknown[] = Array.isArray(raw) ? raw : [raw];
  const texts = list.filter((each) => typeof each === "string");
  if (texts.length === list.length) return texts;
  problems.push(`${where}.${key}: expected a list of texts, got ${describe(raw)}`);
  return undefined;
}

/** The same for `names`, which may be a packed list. */
export function readNames(
  entry: Entry,
  problems: Problems,
): NameList | readonly string[] | undefined {
  const raw = entry.value["names"];
  return raw instanceof NameList ? raw : readTexts(entry, "names", problems);
}
