/** The script that lets zsh complete our command lines. */
import type { Place } from "./places.ts";

/** For `source`, or as a file `_waypost` in a directory of `fpath`; completes waypost and consul. */
export function zshScript(places: readonly Place[]): string {
  const known = places.filter(({ path }) => path !== "").map(({ path }) => quoted(path));
  return `#compdef waypost consul
# Completion of waypost and consul for zsh: source <(waypost completion zsh)
_waypost() {
  local cur=$words[CURRENT] prev=$words[CURRENT-1] place="" next rest="" i
  local -a subcommands flags paths values files
  for ((i = 2; i < CURRENT; i++)); do
    next="\${place:+$place }$words[i]"
    case $next in
      (${known.join(" | \\\n      ")}) place=$next ;;
      (*) rest=1; break ;;
    esac
  done
  case $place in
${places.map(placeCase).join("")}  esac
  [[ -n $rest ]] && subcommands=()
  if [[ $cur == -*=* ]]; then
    prev=\${cur%%=*}
    compset -P '*='
  fi
  prev=\${prev/#--/-}
  if (( \${paths[(Ie)$prev]} )); then
    _files
  elif (( \${values[(Ie)$prev]} )); then
    return 1
  elif [[ $cur == --* ]]; then
    compadd -- -\${^flags%%:*}
  elif [[ $cur == -* ]]; then
    _describe -o flag flags
  elif (( $#files )); then
    _files
  else
    _describe command subcommands
  fi
}
if [[ $funcstack[1] == _waypost ]]; then
  _waypost "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _waypost waypost consul
fi
`;
}

function placeCase({ path, subcommands, flags, takesPaths }: Place): string {
  const dashed = (list: typeof flags) => list.map(({ name }) => quoted(`-${name}`));
  const parts: [name: string, words: string[]][] = [
    ["subcommands", subcommands.map(({ name, doc }) => described(name, doc))],
    ["flags", flags.map(({ name, doc }) => described(`-${name}`, doc))],
    ["paths", dashed(flags.filter(({ takes }) => takes === "path"))],
    ["values", dashed(flags.filter(({ takes }) => takes === "value"))],
    ["files", takesPaths ? ["1"] : []],
  ];
  const lines = parts
    .filter(([, words]) => words.length > 0)
    .map(([name, words]) => `      ${name}=(${words.join(" ")})\n`);
  return `    (${quoted(path)})\n${lines.join("")}      ;;\n`;
}

/** A word of _describe, where a colon ends the name. */
function described(name: string, doc: string): string {
  return quoted(`${name.replaceAll(":", "\\:")}:${doc}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
