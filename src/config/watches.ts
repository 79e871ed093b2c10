/** `watches`: what this agent follows, as configuration files declare it. */
import { parseWatchDefinition, type WatchDefinition } from "../watch/definition.ts";
import type { Definition } from "./read.ts";

/** Watches of all files; each holds a blocking query at all times. */
const MAX_WATCHES = 1_000;

/** Watches in the order of loading; errors and warnings are whole sentences with file and key. */
export function parseWatches(definitions: readonly Definition[]): {
  watches: WatchDefinition[];
  warnings: string[];
  errors: string[];
} {
  const watches: WatchDefinition[] = [];
  const warnings: string[] = [];
  const errors: string[] = [];
  for (const { value, file, where } of definitions) {
    const parsed = parseWatchDefinition(value);
    if (!parsed.ok) {
      errors.push(`${file}: ${where}: ${parsed.error}`);
      continue;
    }
    watches.push(parsed.value.watch);
    warnings.push(...parsed.value.warnings.map((each) => `${file}: ${where}: ${each}`));
  }
  if (watches.length > MAX_WATCHES)
    errors.push(`watches: ${watches.length} entries, at most ${MAX_WATCHES} are followed`);
  return { watches, warnings, errors };
}
