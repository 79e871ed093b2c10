/** The script that lets fish complete our command lines. */
import type { Place } from "./places.ts";

/** For `source`; completes waypost and consul. */
export function fishScript(places: readonly Place[]): string {
  const known = places.filter(({ path }) => path !== "").map(({ path }) => quoted(path));
  const groups = places.flatMap(({ path, subcommands }) =>
    subcommands.length > 0 ? [quoted(path)] : [],
  );
  return `# Completion of waypost and consul for fish: waypost completion fish | source
function __waypost_place
    set -l words (commandline -opc)
    set -l place ""
    for word in $words[2..-1]
        set -l next (string trim -- "$place $word")
        contains -- $next ${known.join(" \\\n            ")}
        or begin
            # No subcommand has this name, so nothing is known about what follows.
            contains -- "$place" ${groups.join(" ")}
            and set place unknown
            break
        end
        set place $next
    end
    echo $place
end
function __waypost_at
    set -l at (__waypost_place)
    test "$at" = "$argv[1]"
end
complete -c waypost -f
${places.map(placeLines).join("")}complete -c consul -w waypost
`;
}

function placeLines({ path, subcommands, flags, takesPaths }: Place): string {
  const start = `complete -c waypost -n ${quoted(`__waypost_at "${path}"`)}`;
  const lines = [
    ...subcommands.map(({ name, doc }) => `-f -a ${name} -d ${quoted(doc)}`),
    ...flags.map(({ name, doc, takes }) => {
      const value = takes === "nothing" ? "" : takes === "path" ? " -r -F" : " -x";
      return `-o ${name} -d ${quoted(doc)}${value}`;
    }),
    ...(takesPaths ? ["-F"] : []),
  ];
  return lines.map((line) => `${start} ${line}\n`).join("");
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
