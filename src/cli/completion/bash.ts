/** The script that lets bash complete our command lines. */
import type { Place } from "./places.ts";

/** For `source`; completes waypost and consul. */
export function bashScript(places: readonly Place[]): string {
  const known = places.filter(({ path }) => path !== "").map(({ path }) => `"${path}"`);
  return `# Completion of waypost and consul for bash: source <(waypost completion bash)
_waypost() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev="" place="" next i
  local subcommands="" flags="" paths="" values="" files="" rest=""
  [ "$COMP_CWORD" -gt 0 ] && prev=\${COMP_WORDS[COMP_CWORD-1]}
  # The = between a flag and its value is a word of its own.
  if [ "$cur" = "=" ]; then
    cur=""
  elif [ "$prev" = "=" ]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${place:+$place }\${COMP_WORDS[i]}"
    case $next in
      ${known.join(" | \\\n      ")}) place=$next ;;
      *) rest=1; break ;;
    esac
  done
  case $place in
${places.map(placeCase).join("")}  esac
  [ -n "$rest" ] && subcommands=""
  prev=" \${prev/#--/-} "
  local IFS=$'\\n'
  COMPREPLY=()
  case " $paths " in *"$prev"*)
    type compopt &>/dev/null && compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
    return ;;
  esac
  case " $values " in *"$prev"*) return ;; esac
  case $cur in
    --*) COMPREPLY=($(IFS=' '; flags=" $flags"; compgen -W "\${flags// -/ --}" -- "$cur")) ;;
    -*) COMPREPLY=($(IFS=' '; compgen -W "$flags" -- "$cur")) ;;
    *)
      if [ -n "$files" ]; then
        type compopt &>/dev/null && compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
      else
        COMPREPLY=($(IFS=' '; compgen -W "$subcommands" -- "$cur"))
      fi ;;
  esac
}
complete -F _waypost waypost consul
`;
}

function placeCase({ path, subcommands, flags, takesPaths }: Place): string {
  const named = (list: typeof flags) => list.map(({ name }) => `-${name}`).join(" ");
  const parts = [
    ["subcommands", subcommands.map(({ name }) => name).join(" ")],
    ["flags", named(flags)],
    ["paths", named(flags.filter(({ takes }) => takes === "path"))],
    ["values", named(flags.filter(({ takes }) => takes === "value"))],
    ["files", takesPaths ? "1" : ""],
  ].filter(([, words]) => words !== "");
  const lines = parts.map(([name, words]) => `      ${name}="${words}"\n`).join("");
  return `    "${path}")\n${lines}      ;;\n`;
}
