/**
 * `-autocomplete-install` and `-autocomplete-uninstall`, as Consul has them: the start files of the
 * user's shells get a line that lets the shell ask the program. Doing it twice is doing it once.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { World } from "../world.ts";

/** Start files of bash; the first that exists is used. */
const BASH_FILES = [".bashrc", ".bash_profile", ".bash_login", ".profile"];
const ZSH_INIT = "autoload -U +X bashcompinit && bashcompinit";

/** Exit code 0, or 1 if no shell has a start file here or one cannot be written. */
export async function installCompletion(
  action: "install" | "uninstall",
  world: World,
): Promise<number> {
  const home = world.env["HOME"] ?? "";
  const shells = home === "" ? [] : shellsAt(home, world);
  if (shells.length === 0) {
    await world.err(`Did not find any shells to ${action}: no start file of bash, zsh or fish\n`);
    return 1;
  }
  try {
    for (const shell of shells) {
      if (action === "install") shell.install();
      else shell.uninstall();
      const what = action === "install" ? "is installed in" : "is gone from";
      // oxlint-disable-next-line no-await-in-loop -- a line after each file that was changed
      await world.out(`Completion for ${shell.name} ${what} ${shell.file}\n`);
    }
    return 0;
  } catch (error) {
    await world.err(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

type Shell = { name: string; file: string; install(): void; uninstall(): void };

function shellsAt(home: string, { name, programPath, env }: World): Shell[] {
  const shells: Shell[] = [];
  const bash = BASH_FILES.map((file) => join(home, file)).find((file) => existsSync(file));
  const path = quoted(programPath);
  if (bash !== undefined) shells.push(startFile("bash", bash, [`complete -C ${path} ${name}`]));
  const zsh = join(home, ".zshrc");
  if (existsSync(zsh))
    shells.push(startFile("zsh", zsh, [ZSH_INIT, `complete -o nospace -C ${path} ${name}`]));
  const fish = join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "fish");
  if (existsSync(fish)) shells.push(fishFile(join(fish, "completions"), name, path));
  return shells;
}

/** Lines at the end of a file that exists. The first of several may be needed by others: it stays. */
function startFile(name: string, file: string, lines: readonly string[]): Shell {
  const own = lines.at(-1)!;
  const present = () => readFileSync(file, "utf8").split("\n");
  return {
    name,
    file,
    install() {
      const text = readFileSync(file, "utf8");
      const missing = lines.filter((line) => !present().includes(line));
      if (missing.length === 0) return;
      const start = text === "" || text.endsWith("\n") ? "" : "\n";
      appendFileSync(file, `${start}${missing.join("\n")}\n`);
    },
    uninstall() {
      const kept = present().filter((line) => line !== own);
      if (kept.length < present().length) writeFileSync(file, kept.join("\n"));
    },
  };
}

function fishFile(directory: string, name: string, path: string): Shell {
  const file = join(directory, `${name}.fish`);
  return {
    name: "fish",
    file,
    install() {
      mkdirSync(directory, { recursive: true });
      writeFileSync(
        file,
        `complete -c ${name} -f -a '(env COMP_LINE=(commandline -cp | string collect) ${path})'\n`,
      );
    },
    uninstall: () => rmSync(file, { force: true }),
  };
}

/** As one word of every shell. */
function quoted(path: string): string {
  return /^[\w/.+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
