/** What a reload changes. */
import { isDeepStrictEqual } from "node:util";
import { options, usedKeys, type Config, type UsedKey } from "./options.ts";

/** Keys that a reload changes: those that take effect at once, and those that need a restart. */
export type Differences = { reloadable: UsedKey[]; needRestart: UsedKey[] };

/** Compares two configurations key by key. */
export function differences(before: Config, after: Config): Differences {
  const changed = changedKeys(before, after, usedKeys);
  return {
    reloadable: changed.filter((key) => options[key].reloadable),
    needRestart: changed.filter((key) => !options[key].reloadable),
  };
}

/** Those of `differences` that need a restart; long lists, which do not, are not compared. */
export function changesForRestart(before: Config, after: Config): UsedKey[] {
  return changedKeys(
    before,
    after,
    usedKeys.filter((key) => !options[key].reloadable),
  );
}

function changedKeys(before: Config, after: Config, keys: readonly UsedKey[]): UsedKey[] {
  return keys.filter((key) => !isDeepStrictEqual(before[key], after[key]));
}
