// The rules of the house that a machine can check: who may import whom, what runs where, sizes.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

/** Folder (or file directly in src, without .ts) → folders and files it may import from src. */
const mayImport: Record<string, string[]> = {
  base: [],
  ports: [],
  version: [],
  boolean: [],
  address: [],
  duration: ["base"],
  "go-json": [],
  flags: ["base"],
  listening: [],
  "file-reason": [],
  crc32: [],
  slices: [],
  cluster: [],
  watch: ["cluster"],
  dns: ["cluster"],
  forwarder: ["dns"],
  config: ["cluster", "dns", "forwarder", "watch"],
  metrics: ["dns", "cluster", "forwarder"],
  http: ["cluster", "forwarder", "config", "metrics"],
  cli: ["cluster", "config", "watch"],
  log: [],
  "log-file": [],
  agent: ["cluster", "dns", "forwarder", "config", "metrics", "http", "log", "watch"],
  main: ["agent", "cli", "config", "log", "log-file"],
  platform: ["dns", "cluster", "forwarder", "http", "agent", "cli", "main"],
};
/** Every file may import these. */
const shared = [
  "base",
  "boolean",
  "flags",
  "ports",
  "address",
  "duration",
  "go-json",
  "version",
  "listening",
  "file-reason",
  "crc32",
  "slices",
];

/** What a worker runs per packet: imports nothing but its kind, contracts and base. */
const hot = [
  "wire",
  "table",
  "misses",
  "cells",
  "respond",
  "worker",
  "gate",
  "gate-respond",
  "rate",
  "cookie",
].map((name) => `dns/${name}.ts`);

/** Folders whose files know no clock, no socket and no file, except those called driver.ts. */
const pure = ["cluster", "dns", "forwarder"];

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .toSorted();

type Import = { from: string; specifier: string; typeOnly: boolean };
const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join("src", from), "utf8");
  const pattern =
    /^(?:import|export)(\s+type)?\b[^;]*?from\s+"([^"]+)"|\bimport\(\s*"([^"]+)"\)(\.)?/gm;
  return [...text.matchAll(pattern)].map(([, type, fixed, dynamic, member]) => ({
    from,
    specifier: (fixed ?? dynamic)!,
    typeOnly: type !== undefined || member !== undefined,
  }));
});

/** `dns/name.ts` → `dns`; `config.ts` and `config/read.ts` → `config`. */
function partOf(file: string): string {
  return file.split("/")[0]!.replace(/\.ts$/, "");
}

function targetOf({ from, specifier }: Import): string {
  return join(from, "..", specifier);
}

const internal = imports.filter(({ specifier }) => specifier.startsWith("."));

t.test("arrows point one way", async (t) => {
  t.ok(internal.length > 100, "imports are found at all");
  for (const edge of internal) {
    const from = partOf(edge.from);
    const to = partOf(targetOf(edge));
    const allowed = mayImport[from];
    if (allowed === undefined) t.fail(`src/${edge.from}: no row for "${from}" in the table`);
    else if (to !== from && !shared.includes(to) && !allowed.includes(to))
      t.fail(`src/${edge.from} must not import ${edge.specifier}`);
  }
});

t.test("the table itself has no circle", async (t) => {
  const visit = (part: string, road: readonly string[]): void => {
    if (road.includes(part)) return void t.fail(`${road.join(" → ")} → ${part}`);
    for (const next of mayImport[part] ?? []) visit(next, [...road, part]);
  };
  for (const part of Object.keys(mayImport)) visit(part, []);
});

t.test("platform imports values of hot files, the table, agent and main only", async (t) => {
  // What a resolver throws must not end a front, whoever handed the resolver in.
  const values = [...hot, "dns/table-writer.ts", "dns/faults.ts", "main.ts", "agent.ts"];
  for (const edge of internal) {
    const target = targetOf(edge);
    if (partOf(edge.from) !== "platform" || edge.typeOnly || values.includes(target)) continue;
    if (partOf(target) !== "platform" && !shared.includes(partOf(target)))
      t.fail(`src/${edge.from} imports a value from ${edge.specifier}`);
  }
});

t.test("hot files import hot files, contracts and base only", async (t) => {
  const besides = ["base.ts", "ports.ts"];
  for (const edge of internal.filter(({ from }) => hot.includes(from))) {
    const target = targetOf(edge);
    if (!edge.typeOnly && !hot.includes(target) && !besides.includes(target))
      t.fail(`src/${edge.from} imports ${edge.specifier}`);
  }
});

t.test("only platform knows Bun; pure files know nothing of the world", async (t) => {
  for (const { from, specifier } of imports) {
    if (/^bun(:|$)/.test(specifier) && partOf(from) !== "platform")
      t.fail(`src/${from} imports ${specifier}`);
    const isDriver = /(^|\/)driver\.ts$/.test(from);
    if (
      pure.includes(partOf(from)) &&
      !isDriver &&
      /^(node:|dns-packet|prom-client)/.test(specifier)
    )
      t.fail(`src/${from} imports ${specifier}`);
  }
});

t.test("imports of our own files carry .ts", async (t) => {
  for (const { from, specifier } of internal)
    if (!specifier.endsWith(".ts")) t.fail(`src/${from} imports ${specifier}`);
});

t.test("everything outside platform loads under Node", { timeout: 120_000 }, async (t) => {
  for (const file of files.filter((each) => partOf(each) !== "platform"))
    await t.resolves(import(join(process.cwd(), "src", file)), file);
});

const ours = ["src", "test", "bench", "bin", "types", ".ci"]
  .flatMap((folder) => list(folder))
  .filter((file) => !file.startsWith("test/corpus"));

function list(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

t.test("no file is longer than 450 lines", async (t) => {
  for (const file of ours.filter((each) => each.endsWith(".ts"))) {
    const lines = readFileSync(file, "utf8").split("\n").length - 1;
    if (lines > 450) t.fail(`${file}: ${lines} lines`);
  }
});

t.test("nothing is left for later, nothing speaks of one machine", async (t) => {
  const left = ["TO", "DO"].join("");
  const unwanted: [pattern: RegExp, what: string][] = [
    [new RegExp(`\\b(${left}|FIX${"ME"}|X${"XX"})\\b`), "work left undone"],
    [/\/(home|root|work)\/\w+/, "a path of one machine"],
    [/\bexport default\b/, "a default export"],
    [/^(export )?(const )?enum\b/m, "an enum"],
    [/[:<|&]\s*any\b(?!\w|:|\s*[=(])/, "the type any"],
  ];
  for (const file of ours.filter(
    (each) => /\.(ts|mjs)$/.test(each) && each !== "test/tidy.test.ts",
  )) {
    const text = readFileSync(file, "utf8");
    const code = text.replaceAll(
      /\/\*[\s\S]*?\*\/|\/\/.*$|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/gm,
      "",
    );
    for (const [pattern, what] of unwanted) {
      const found = pattern.exec(/any|export|enum/.test(pattern.source) ? code : text);
      if (found !== null) t.fail(`${file}: ${what}: ${found[0]}`);
    }
  }
});
