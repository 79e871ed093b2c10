/** `forwarder.addresses`: what whole domains are answered with. */
import { parseAddress } from "../../address.ts";
import type { Rule, RuleAction } from "../../forwarder/rules.ts";
import { readEntries, readTexts, type Problems } from "./members.ts";
import { parseNameMatch } from "./names.ts";

/** One rule for each name of each entry. */
export function readAddresses(raw: unknown, where: string, problems: Problems): Rule[] {
  return readEntries(raw, where, ["names", "addresses"], problems).flatMap((entry) => {
    const names = readTexts(entry, "names", problems) ?? [];
    const given =
      entry.value["addresses"] === undefined ? [] : readTexts(entry, "addresses", problems);
    if (given === undefined) return [];
    const actions = readActions(given, `${entry.where}.addresses`, problems);
    return names.flatMap((text, i): Rule[] => {
      const match = parseNameMatch(text);
      if (match.ok) return actions.map((action) => ({ match: match.value, action }));
      problems.push(`${entry.where}.names[${i}]: ${match.error}`);
      return [];
    });
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
