/** `forwarder.addresses`: what whole domains are answered with. */
import { parseAddress } from "../../address.ts";
import type { Rule, RuleAction } from "../../forwarder/rules.ts";
import { readEntries, readNames, readTexts, type Problems } from "./members.ts";
import { visitMatches } from "./names.ts";

/** Rules for the names of each entry. `domains`: our own. */
export function readAddresses(
  raw: unknown,
  where: string,
  domains: readonly Uint8Array[],
  problems: Problems,
): Rule[] {
  return readEntries(raw, where, ["names", "addresses"], problems).flatMap((entry) => {
    const names = readNames(entry, problems) ?? [];
    const given =
      entry.value["addresses"] === undefined ? [] : readTexts(entry, "addresses", problems);
    if (given === undefined) return [];
    const actions = readActions(given, `${entry.where}.addresses`, problems);
    const rules: Rule[] = [];
    visitMatches(
      names,
      domains,
      (match) => rules.push(...actions.map((action) => ({ match, action }))),
      (i, why) => problems.push(`${entry.where}.names[${i}]: ${why}`),
    );
    return rules;
  });
}

function readActions(texts: readonly string[], where: string, problems: Problems): RuleAction[] {
  if (texts.length === 0) return [{ kind: "deny" }];
  const actions: RuleAction[] = texts.includes("#") ? [{ kind: "unspecified" }] : [];
  const addresses: Uint8Array[] = [];
  for (const [i, text] of texts.entries()) {
    if (text === "#") continue;
    const address = parseAddress(text);
    if (address === undefined)
      problems.push(`${where}[${i}]: expected an IP address or "#", got ${JSON.stringify(text)}`);
    else addresses.push(address);
  }
  return addresses.length > 0 ? [...actions, { kind: "addresses", addresses }] : actions;
}
