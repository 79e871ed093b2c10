/** For which names a group of servers is asked, in the words of the configuration. */
import type { LoadedConfig } from "../config.ts";
import { formatNameMatch } from "../config/forwarder/names.ts";
import type { NameMatch, Rule } from "../forwarder/rules.ts";

/** Names of one group that are listed; beyond, they are only counted. */
const MAX_LISTED = 100;

/** `names`: those of a view with its name in front, "lab: corp.example". `count`: all of them. */
export type AskedFor = { names: string[]; count: number };

/** By names of groups: "." is for names without a zone, a group without a zone is called as it is. */
export function namesByGroup({
  zones,
  local,
}: LoadedConfig): (groups: readonly string[]) => AskedFor {
  const known = new Map<string, AskedFor>();
  const note = (rules: readonly Rule[], view: string): void => {
    for (const { match, action } of rules) {
      if (action.kind !== "forward") continue;
      const found = known.get(action.group) ?? { names: [], count: 0 };
      known.set(action.group, found);
      found.count += match.kind === "suffixes" ? match.count : 1;
      for (const name of namesOf(match)) {
        if (found.names.length === MAX_LISTED) break;
        found.names.push(view + name);
      }
    }
  };
  note(zones.rules, "");
  for (const [i, rules] of zones.viewRules.entries()) note(rules, `${local.views[i]!.name}: `);
  return (groups) => {
    const all = groups.map((group): AskedFor => {
      // What `defaults` sends there is among names without a zone.
      if (group === "") return { names: ["."], count: 1 };
      return known.get(group) ?? { names: [group], count: 1 };
    });
    const names = all.flatMap((each) => each.names);
    const distinct = [...new Set(names)];
    const count = all.reduce((sum, each) => sum + each.count, distinct.length - names.length);
    return { names: distinct.slice(0, MAX_LISTED), count };
  };
}

/** As they are written in the configuration. */
function* namesOf(match: NameMatch): Generator<string, void> {
  if (match.kind !== "suffixes") yield formatNameMatch(match);
  else for (const name of match.names) yield formatNameMatch({ kind: "suffix", name });
}
