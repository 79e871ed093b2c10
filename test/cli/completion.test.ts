/** The scripts in the shells they are for: what is offered for a line, and what `-autocomplete-install` leaves. */
import t, { type Test } from "tap";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

const hasShell = (shell: string) => spawnSync(shell, ["-c", "true"]).status === 0;
const skip = (shell: string) => (hasShell(shell) ? false : `${shell} is not installed`);

/** A line with the cursor at its end, and the words that may stand in place of the last one. */
const lines: [line: string, offered: string[]][] = [
  ["waypost kv e", ["export"]],
  ["waypost kv ", ["delete", "export", "get", "import", "put"]],
  ["consul kv g", ["get"]],
  ["waypost compl", ["completion"]],
  ["waypost dns cache ", ["dump", "flush"]],
  ["waypost kv get -base", ["-base64"]],
  ["waypost kv get --base", ["--base64"]],
  ["waypost kv get -keys -sep", ["-separator"]],
  ["waypost kv get -ca-file some", ["some.json", "some.pem"]],
  ["waypost agent -dev -config-file some", ["some.json", "some.pem"]],
  ["waypost validate some.j", ["some.json"]],
  ["waypost kv get -token some", []],
  ["waypost kv get some", []],
  ["waypost nonsense ", []],
  ["waypost agent -config-f", ["-config-file", "-config-format"]],
];

/** A script and a folder with some files. */
async function scene(t: Test, shell: string) {
  const folder = temporaryDirectory(t);
  for (const name of ["some.json", "some.pem", "other"]) writeFileSync(join(folder, name), "");
  const { code, out, err } = await runCli(undefined, ["completion", shell]);
  t.same([code, err], [0, ""]);
  const script = join(folder, `script.${shell}`);
  writeFileSync(script, out);
  return { folder, script };
}

t.test("bash", { skip: skip("bash") }, async (t) => {
  const { folder, script } = await scene(t, "bash");
  const program = `source ${script}
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ $line == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  _waypost
  echo "\${COMPREPLY[*]}"
done
complete -p waypost consul`;
  const input = lines.map(([line]) => `${line}\n`).join("");
  const out = execFileSync("bash", ["--norc", "-c", program], {
    cwd: folder,
    input,
    encoding: "utf8",
  });
  const got = out.split("\n");
  for (const [i, [line, offered]] of lines.entries())
    t.same(
      got[i]!.split(" ")
        .filter((word) => word !== "")
        .toSorted(),
      offered,
      line,
    );
  t.match(got.slice(lines.length).join("\n"), /-F _waypost waypost\n.*-F _waypost consul/);
  const joined = `source ${script}; COMP_WORDS=(waypost kv get -ca-file = some.p); COMP_CWORD=5; _waypost; echo "$COMPREPLY"`;
  t.equal(
    execFileSync("bash", ["-c", joined], { cwd: folder, encoding: "utf8" }),
    "some.pem\n",
    "-flag=path",
  );
});

t.test("zsh", { skip: skip("zsh") }, async (t) => {
  const { folder, script } = await scene(t, "zsh");
  // A terminal of its own, in which everything that is offered is printed between < and >. Only after
  // the prompt (@@) keys go to the line editor; before it, ^U would take back what was not read yet.
  const start = `PS1=@@; autoload -Uz compinit; compinit -u -D; source ${script}; \
compadd () { if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return $?; fi; \
local -a hits; builtin compadd -O hits "$@"; print -r -- "<$hits>"; }; \
bindkey '^I' complete-word; print REA''DY`;
  const program = `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "$START"
zpty -r -m z answer '*READY*@@'
while IFS= read -r line; do
  zpty -w -n z "$line"$'\\t'
  zpty -w z $'\\x15'"print DO''NE"
  zpty -r -m z answer '*DONE*@@'
  print -r -- "$answer#END#"
done
zpty -d z`;
  const input = lines.map(([line]) => `${line}\n`).join("");
  const env = { ...process.env, START: start, TERM: "dumb" };
  const options = { cwd: folder, env, input, encoding: "utf8", timeout: 30_000 } as const;
  const got = execFileSync("zsh", ["-f", "-c", program], options).split("#END#");
  for (const [i, [line, offered]] of lines.entries()) {
    const words = [...got[i]!.matchAll(/<([^<>]*)>/g)].flatMap(([, each]) => each!.split(" "));
    t.same([...new Set(words)].filter((word) => word !== "").toSorted(), offered, line);
  }
});

t.test("fish", { skip: skip("fish") }, async (t) => {
  const { folder, script } = await scene(t, "fish");
  const program = `source ${script}; while read -l line; complete -C "$line"; echo "#END#"; end`;
  const input = lines.map(([line]) => `${line}\n`).join("");
  const env = { ...process.env, HOME: folder };
  const out = execFileSync("fish", ["--no-config", "-c", program], {
    cwd: folder,
    env,
    input,
    encoding: "utf8",
  });
  const got = out.split("#END#\n");
  for (const [i, [line, offered]] of lines.entries()) {
    if (line.includes(" --")) continue; // fish knows old-style flags with one dash
    const words = got[i]!.split("\n").map((each) => each.split("\t")[0]!);
    t.same(words.filter((word) => word !== "").toSorted(), offered, line);
  }
});

t.test("the program itself, asked as `complete -C` asks", async (t) => {
  const folder = temporaryDirectory(t);
  for (const name of ["some.json", "some.pem", "other"]) writeFileSync(join(folder, name), "");
  const ask = async (line: string, env: Record<string, string> = {}) => {
    const { code, out, err } = await runCli(undefined, ["waypost", "", ""], {
      env: { COMP_LINE: line, ...env },
      cwd: folder,
    });
    t.same([code, err], [0, ""], line);
    return out.split("\n").filter((each) => each !== "");
  };
  for (const [line, offered] of lines) t.same(await ask(line), offered, line);
  t.same(await ask("waypost kv get -ca-file=some.p"), ["some.pem"]);
  t.same(await ask("waypost kv get foo", { COMP_POINT: "12" }), ["get"], "up to the cursor");
});

t.test("-autocomplete-install and -autocomplete-uninstall", async (t) => {
  const home = temporaryDirectory(t);
  const env = { HOME: home, XDG_CONFIG_HOME: "" };
  const run = (flag: string) => runCli(undefined, [flag], { env });
  t.match(await run("-autocomplete-install"), {
    code: 1,
    out: "",
    err: /^Did not find any shells/,
  });
  const bashrc = join(home, ".bashrc");
  const zshrc = join(home, ".zshrc");
  const fish = join(home, ".config/fish/completions/waypost.fish");
  writeFileSync(bashrc, "alias ll='ls -l'");
  writeFileSync(zshrc, "setopt autocd\n");
  mkdirSync(join(home, ".config/fish"), { recursive: true });
  const bashLine = `complete -C ${waypostPath} waypost`;
  for (const round of ["once", "twice"]) {
    t.match(await run("-autocomplete-install"), { code: 0, err: "" }, round);
    t.equal(readFileSync(bashrc, "utf8"), `alias ll='ls -l'\n${bashLine}\n`, round);
    t.equal(
      readFileSync(zshrc, "utf8"),
      `setopt autocd\nautoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C ${waypostPath} waypost\n`,
      round,
    );
    t.match(readFileSync(fish, "utf8"), /^complete -c waypost -f -a /, round);
  }
  if (hasShell("bash")) {
    const shown = execFileSync("bash", ["--norc", "-c", `source ${bashrc}; complete -p waypost`], {
      encoding: "utf8",
    });
    t.equal(shown.replaceAll("'", ""), `${bashLine}\n`);
  }
  if (hasShell("fish")) {
    const shown = execFileSync(
      "fish",
      ["--no-config", "-c", `source ${fish}; complete -C "waypost kv ex"`],
      { encoding: "utf8", env: { ...process.env, HOME: home } },
    );
    t.equal(shown, "export\n");
  }
  for (const round of ["once", "twice"]) {
    t.match(await run("--autocomplete-uninstall"), { code: 0, err: "" }, round);
    t.equal(readFileSync(bashrc, "utf8"), "alias ll='ls -l'\n", round);
    t.notOk(existsSync(fish), round);
    t.notMatch(readFileSync(zshrc, "utf8"), /waypost/, round);
  }

  const link = join(home, "consul");
  symlinkSync(waypostPath, link);
  execFileSync(link, ["-autocomplete-install"], {
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  t.match(
    readFileSync(bashrc, "utf8"),
    `\ncomplete -C ${link} consul\n`,
    "by the name and the path it was started with",
  );
});
