// The tables of the README are those of the program. `npx tap --snapshot test/readme.test.ts` writes them.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { loadPlaces } from "../src/cli/completion/places.ts";
import { nothingToDoList, optionTable, withoutEffectList } from "../src/config/table.ts";
import { dnsmasqTable } from "../src/config/dnsmasq/table.ts";
import { families } from "../src/metrics/families.ts";
import { load } from "./config/world.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

function metricTable(): string {
  const rows = families.map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(", ")} | ${help} |`,
  );
  return ["| metric | type | labels | |", "|---|---|---|---|", ...rows].join("\n");
}

/** Commands that do something; groups are only the way to them. */
async function commandTable(): Promise<string> {
  const places = await loadPlaces();
  const rows = places
    .filter(({ path, subcommands }) => path !== "" && subcommands.length === 0)
    .map(({ path, doc }) => `| \`${path}\` | ${doc.replaceAll("|", "\\|")} |`);
  return ["| command | |", "|---|---|", ...rows].join("\n");
}

const tables: Record<string, () => string | Promise<string>> = {
  commands: commandTable,
  options: optionTable,
  dnsmasq: dnsmasqTable,
  "without effect": withoutEffectList,
  "nothing to do": nothingToDoList,
  metrics: metricTable,
};

for (const [name, table] of Object.entries(tables))
  t.test(name, async (t) => {
    const text = readFileSync("README.md", "utf8");
    const parts = text.split(new RegExp(`(<!-- /?${name} -->)`));
    t.equal(parts.length, 5, `one <!-- ${name} --> and one <!-- /${name} -->`);
    const written = `\n\n${await table()}\n\n`;
    if (process.env["TAP_SNAPSHOT"] === "1") {
      parts[2] = written;
      writeFileSync("README.md", parts.join(""));
    } else t.equal(parts[2], written);
  });

t.test("every file and folder it names exists", async (t) => {
  const text = readFileSync("README.md", "utf8");
  const tree = /```\n(src\/agent\.ts[\s\S]*?)```/.exec(text)?.[1] ?? "";
  const paths = [
    ...[...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path]) => path!),
    ...[...tree.matchAll(/^(\S+)/gm)].map(([, path]) => path!),
  ];
  t.ok(paths.length > 10);
  for (const path of paths) t.ok(existsSync(path), path);
});

t.test("members of entries in the forwarder's lists are named", async (t) => {
  const text = readFileSync("README.md", "utf8");
  for (const list of ["zones", "addresses", "records", "views"]) {
    const file = join(temporaryDirectory(t), "c.json");
    const tree = { data_dir: "/tmp/none", forwarder: { [list]: [{ nonsense: 1 }] } };
    writeFileSync(file, JSON.stringify(tree));
    const result = await load([file]);
    const known = /invalid key nonsense; expected (.*)/.exec(result.ok ? "" : result.error[0]!);
    for (const member of known?.[1]?.split(", ") ?? ["no list of members"])
      t.ok(text.includes(`\`${member}\``) || text.includes(`"${member}": `), `${list}: ${member}`);
  }
});
