import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fail, ok, type Result } from "../base.ts";
import { parseHclTree } from "./hcl.ts";
import { placeOfJsonError } from "./json-place.ts";
import { attempt, readRegular } from "./regular-file.ts";

/** How a file is written; Consul takes both, told apart by the end of the name. */
export type Format = "json" | "hcl";

/** The tree of one configuration file. An empty file is an empty object. */
export type ConfigFile = { file: string; tree: unknown };

/**
 * Reads a file, or the files of a directory whose names end in .json or .hcl, in lexical order and
 * not below it, as Consul does. Errors name the file.
 */
export function readConfigPath(
  path: string,
  format: Format | undefined,
): Result<ConfigFile[], string[]> {
  const files: ConfigFile[] = [];
  const errors: string[] = [];
  for (const file of filesOf(path, errors)) {
    const read = readConfigFile(file, format);
    if (read.ok) files.push(read.value);
    else errors.push(read.error);
  }
  return errors.length === 0 ? ok(files) : fail(errors);
}

function filesOf(path: string, errors: string[]): string[] {
  const files = attempt(() => {
    if (!statSync(path).isDirectory()) return ok([path]);
    const names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && formatOf(entry.name) !== undefined)
      .map((entry) => entry.name);
    return ok(names.toSorted().map((name) => join(path, name)));
  });
  if (files.ok) return files.value;
  errors.push(`${path}: ${files.error}`);
  return [];
}

function readConfigFile(file: string, forced: Format | undefined): Result<ConfigFile, string> {
  const format = forced ?? formatOf(file);
  if (format === undefined)
    return fail(`${file}: the name must end in .json or .hcl, or give -config-format`);
  const text = readText(file);
  return text.ok ? parseConfigText(text.value, format, file) : text;
}

function formatOf(name: string): Format | undefined {
  if (name.endsWith(".json")) return "json";
  return name.endsWith(".hcl") ? "hcl" : undefined;
}

/** The text of one file → its tree; JSON is taken for HCL too, as by Consul. The error names the file and, if known, line and column. */
export function parseConfigText(
  text: string,
  format: Format,
  file: string,
): Result<ConfigFile, string> {
  const content = text.replace(/^\uFEFF/, "");
  if (content.trim() === "") return ok({ file, tree: {} });
  if (format === "hcl" && !content.trimStart().startsWith("{")) {
    const tree = parseHclTree(content);
    return tree.ok ? ok({ file, tree: tree.value }) : fail(`${file}: not valid HCL: ${tree.error}`);
  }
  try {
    return ok({ file, tree: JSON.parse(content) as unknown });
  } catch {
    const { line, column, found } = placeOfJsonError(content);
    return fail(`${file}: not valid JSON at line ${line}, column ${column}: unexpected ${found}`);
  }
}

/** The text of a file, or why it cannot be read, with its name. */
export function readText(path: string): Result<string, string> {
  const read = readRegular(path);
  return read.ok ? read : fail(`${path}: ${read.error}`);
}
