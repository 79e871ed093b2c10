// The tables of the README are those of the program. `npx tap --snapshot test/readme.test.ts` writes them.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { nothingToDoList, optionTable, withoutEffectList } from "../src/config/table.ts";
import { families } from "../src/metrics/families.ts";

function metricTable(): string {
  const rows = families.map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(", ")} | ${help} |`,
  );
  return ["| metric | type | labels | |", "|---|---|---|---|", ...rows].join("\n");
}

const tables: Record<string, () => string> = {
  options: optionTable,
  "without effect": withoutEffectList,
  "nothing to do": nothingToDoList,
  metrics: metricTable,
};

for (const [name, table] of Object.entries(tables))
  t.test(name, async (t) => {
    const text = readFileSync("README.md", "utf8");
    const parts = text.split(new RegExp(`(<!-- /?${name} -->)`));
    t.equal(parts.length, 5, `one <!-- ${name} --> and one <!-- /${name} -->`);
    const written = `\n\n${table()}\n\n`;
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
