import { fail, ok, type Result } from "../base.ts";
import { isObject } from "./kinds.ts";

type Token = { text: string; kind: "word" | "text" | "number" | "mark" | "end"; at: number };

/** Deeper nesting than this is refused. */
const maxDepth = 32;

/**
 * HCL (version 1, as Consul reads it) → the tree that the same configuration has in JSON: a block
 * becomes an object, repeated blocks a list, a labelled block an object under its label. Comments,
 * heredocs and trailing commas are known; expressions are not part of version 1. The error has
 * the line.
 */
export function parseHcl(text: string): Result<Record<string, unknown>, string> {
  const reader = createReader(text);
  try {
    const tree = readBody(reader, "end", 0);
    return ok(tree);
  } catch (error) {
    if (!(error instanceof HclError)) throw error;
    const line = text.slice(0, error.at).split("\n").length;
    return fail(`not valid HCL: ${error.message} at line ${line}`);
  }
}

/** Ends the descent from any depth; never leaves this file. */
class HclError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

type Reader = { peek(): Token; next(): Token };

const skipped = /(?:[\s,]+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const word = /[A-Za-z_][\w.-]*/y;
const number = /-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
const quoted = /"(?:[^"\\\n]|\\.)*"/y;
const heredoc = /<<(-?)([A-Za-z_]\w*)[^\S\n]*\n([\s\S]*?)^[^\S\n]*\2[^\S\n]*$/my;

function createReader(text: string): Reader {
  let at = 0;
  let ahead: Token | undefined;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at += match[0].length;
    return match;
  };
  const scan = (): Token => {
    take(skipped);
    const start = at;
    if (start >= text.length) return { kind: "end", text: "the end of the file", at: start };
    const name = take(word)?.[0];
    if (name !== undefined) return { kind: "word", text: name, at: start };
    const digits = take(number)?.[0];
    if (digits !== undefined) return { kind: "number", text: digits, at: start };
    const string = take(quoted)?.[0];
    if (string !== undefined) return { kind: "text", text: unquote(string, start), at: start };
    const document = take(heredoc);
    if (document !== null) return { kind: "text", text: heredocText(document), at: start };
    const mark = text[at++]!;
    if (!"={}[]:".includes(mark)) throw new HclError(`unexpected ${JSON.stringify(mark)}`, start);
    return { kind: "mark", text: mark, at: start };
  };
  return {
    peek: () => (ahead ??= scan()),
    next() {
      const token = ahead ?? scan();
      ahead = undefined;
      return token;
    },
  };
}

function unquote(string: string, at: number): string {
  try {
    return JSON.parse(string.replaceAll("\t", "\\t")) as string;
  } catch {
    throw new HclError(`a text with an unknown escape: ${string}`, at);
  }
}

/** `<<-` removes the smallest indentation of all lines. */
function heredocText([, dash, , body = ""]: RegExpExecArray): string {
  if (dash !== "-") return body;
  const lines = body.split("\n");
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/));
  const indent = Math.min(...indents, body.length);
  return lines.map((line) => line.slice(indent)).join("\n");
}

function readBody(reader: Reader, end: "end" | "}", depth: number): Record<string, unknown> {
  const tree: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  if (depth > maxDepth) throw new HclError("nested too deeply", reader.peek().at);
  for (;;) {
    const token = reader.next();
    if (token.kind === end || (token.kind === "mark" && token.text === end)) return tree;
    if (token.kind !== "word" && token.kind !== "text")
      throw new HclError(`expected a key, got ${token.text}`, token.at);
    readMember(reader, tree, token.text, depth);
  }
}

function readMember(
  reader: Reader,
  tree: Record<string, unknown>,
  key: string,
  depth: number,
): void {
  const token = reader.peek();
  if (token.kind === "text") {
    reader.next();
    const inner: Record<string, unknown> = {};
    readMember(reader, inner, token.text, depth + 1);
    add(tree, key, inner);
    return;
  }
  if (token.text === "=" || token.text === ":") {
    reader.next();
    tree[key] = readValue(reader, depth);
  } else if (token.kind === "mark" && token.text === "{") {
    reader.next();
    add(tree, key, readBody(reader, "}", depth + 1));
  } else throw new HclError(`expected = or { after ${key}, got ${token.text}`, token.at);
}

/** A second block of the same name makes a list of both. */
function add(tree: Record<string, unknown>, key: string, block: Record<string, unknown>): void {
  const earlier = tree[key];
  if (earlier === undefined) tree[key] = block;
  else if (Array.isArray(earlier)) earlier.push(block);
  else if (isObject(earlier)) tree[key] = [earlier, block];
  else tree[key] = block;
}

function readValue(reader: Reader, depth: number): unknown {
  const token = reader.next();
  if (depth > maxDepth) throw new HclError("nested too deeply", token.at);
  if (token.kind === "text") return token.text;
  if (token.kind === "number") return Number(token.text);
  if (token.text === "{") return readBody(reader, "}", depth + 1);
  if (token.text === "[") return readList(reader, depth + 1);
  if (token.kind === "word" && token.text === "true") return true;
  if (token.kind === "word" && token.text === "false") return false;
  if (token.kind === "word" && token.text === "null") return null;
  throw new HclError(`expected a value, got ${token.text}`, token.at);
}

function readList(reader: Reader, depth: number): unknown[] {
  const list: unknown[] = [];
  while (reader.peek().text !== "]" || reader.peek().kind !== "mark")
    list.push(readValue(reader, depth));
  reader.next();
  return list;
}
