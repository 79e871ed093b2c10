/** What `npm test` and the other scripts leave out by mistake would never fail. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { testFiles } from "./folder.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** Each file has a process of its own, in `npm test` (.taprc) or in a script of package.json. */
const separate = ["platform", "program", "peers", "kill", "fuzz"];

t.test("every test file is run by something", async (t) => {
  for (const file of testFiles(here)) {
    const [folder, ...rest] = file.split("/");
    if (rest.length === 0) continue;
    const hasAll = existsSync(join(here, folder!, "all.ts"));
    t.ok(hasAll !== separate.includes(folder!), file);
    if (!hasAll) t.equal(rest.length, 1, `${file}: the patterns name one level`);
  }
  const runs = readFileSync(join(here, "../.taprc"), "utf8");
  const scripts = readFileSync(join(here, "../package.json"), "utf8");
  t.match(runs, '"test/*.test.ts"');
  t.match(runs, '"test/*/all.ts"');
  for (const folder of separate)
    t.match(`${runs}${scripts}`, `test/${folder}/*.test.ts`, `${folder} is named`);
  // Of the real program a core is part of the everyday run; all of it has a script of its own.
  const core = /"test\/program\/\{(.*)\}\.test\.ts"/.exec(runs)?.[1] ?? "";
  for (const name of core.split(","))
    t.ok(existsSync(join(here, `program/${name}.test.ts`)), `program/${name} exists`);
});

t.test("the run of everything runs every script of tests", async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(here, "../package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const all = readFileSync(join(here, "../.ci/run"), "utf8");
  for (const name of Object.keys(scripts)) {
    if (/^test:|^verify$/.test(name)) t.match(all, `\nstep npm run ${name}\n`, name);
  }
  t.match(all, "\nstep npm test\n");
});
