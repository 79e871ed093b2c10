import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fail, ok, type Result } from "../base.ts";
import { parseHclTree } from "./hcl.ts";
import { placeOfJsonError } from "./json-place.ts";

/** How a file is written; Consul takes both, told apart by the end of the name. */
export type Format = "json" | "hcl";

/** The tree of one configuration file. An empty file is an empty object. */
export type ConfigFile = { file: string; tree: unknown };

/** More octets than this are refused: a configuration of 200,000 services is smaller. */
const maxFileOctets = 256 * 2 ** 20;

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
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && formatOf(entry.name) !== undefined)
      .map((entry) => entry.name);
    return names.toSorted().map((name) => join(path, name));
  } catch (error) {
    errors.push(`${path}: ${reason(error)}`);
    return [];
  }
}

function readConfigFile(file: string, forced: Format | undefined): Result<ConfigFile, string> {
  const format = forced ?? formatOf(file);
  if (format === undefined)
    return fail(`${file}: the name must end in .json or .hcl, or give -config-format`);
  try {
    const octets = statSync(file).size;
    if (octets > maxFileOctets) return fail(`${file}: larger than ${maxFileOctets} octets`);
    return parseConfigText(readFileSync(file, "utf8"), format, file);
  } catch (error) {
    return fail(`${file}: ${reason(error)}`);
  }
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

/** A file in the format of resolv.conf(5), or why it cannot be read. */
export function readText(path: string): Result<string, string> {
  try {
    return ok(readFileSync(path, "utf8"));
  } catch (error) {
    return fail(`${path}: ${reason(error)}`);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
};

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return reasons[code] ?? error.message;
}
