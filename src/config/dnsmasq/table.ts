/** The README's table of dnsmasq's keywords. */
import { keywords, type Keyword } from "./keywords.ts";

/** What every keyword comes to, in Markdown; keywords of which the same is said stand together. */
export function dnsmasqTable(): string {
  const rows = new Map<string, string[]>();
  for (const [word, keyword] of Object.entries(keywords)) {
    const said = outcome(keyword);
    rows.set(said, [...(rows.get(said) ?? []), `\`${word}\``]);
  }
  const lines = [...rows].map(([said, words]) => `| ${words.join(", ")} | ${said} |`);
  return ["| in dnsmasq.conf | here |", "|---|---|", ...lines].join("\n");
}

function outcome(keyword: Keyword): string {
  if ("becomes" in keyword)
    return keyword.becomes.replaceAll(/[a-z_]+\.[a-z_\d]+|\b(recursors|pid_file)\b/g, "`$&`");
  if ("refused" in keyword) return `refused: ${keyword.refused}`;
  return "same" in keyword ? `nothing to do: ${keyword.same}` : `no effect: ${keyword.ignored}`;
}
