/** Filters as options say them. */
import { readFilter } from "../../../src/config/forwarder/filter.ts";
import { options, usedKeys, type Config } from "../../../src/config/options.ts";

/** Defaults but for `over`. */
export function loadFilter(over: Partial<Config>): ReturnType<typeof readFilter> {
  const defaults = Object.fromEntries(usedKeys.map((key) => [key, options[key].default]));
  // Every key is there, with the value of its own row.
  return readFilter({ ...(defaults as Config), ...over });
}
