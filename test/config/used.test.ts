// No option is parsed and then forgotten: each is read somewhere outside the option table.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { usedKeys } from "../../src/config/options.ts";

const tables = ["config/options.ts", "config/without-effect.ts", "config/deprecated.ts"];

t.test("every option that works is read by some part", async (t) => {
  const code = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !tables.includes(file))
    .map((file) => readFileSync(join("src", file), "utf8"))
    .join("\n")
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  for (const key of usedKeys) {
    const member = `config\\.${key}\\b|[{,]\\s*${key}\\s*[,}][^;]*: Config\\b`;
    const pattern = new RegExp(
      `"${key.replaceAll(".", "\\.")}"${key.includes(".") ? "" : `|${member}`}`,
    );
    t.ok(pattern.test(code), key); // not match: a failure would print every file
  }
});
