/**
 * Templates of prepared queries (Template.Type name_prefix_match): every string in Service may hold
 * `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(N)}` and `${agent.segment}`; `$${`
 * stands for `${`. Consul 1.10 agent/consul/prepared_query/template.go, HIL for the notation.
 */
import { fail, ok, type Result } from "../base.ts";
import type { QueryRecord } from "./model.ts";
import { compileRegexp, type Regexp } from "./regexp.ts";

/** A compiled template: gives the query for one name, spelled as it was asked. */
export type Template = { render(name: string): QueryRecord };

/** What a part of a text is when the name is known; a string stands for itself. */
type Part = string | ((asked: Asked) => string);
type Asked = { full: string; prefix: string; suffix: string; groups: readonly string[] };
type Render = (asked: Asked) => string;

/** The error is Consul's: kind, regular expression, or a text that is no interpolation. */
export function compileTemplate(query: QueryRecord): Result<Template, string> {
  const { type, regexp: source } = query.template;
  if (type !== "name_prefix_match") return fail(`Bad Template.Type '${type}'`);
  let regexp: Regexp | null = null;
  if (source !== "") {
    const compiled = compileRegexp(source);
    if (!compiled.ok) return fail(`Bad Regexp: ${compiled.error}`);
    regexp = compiled.value;
  }
  const texts = new Map<string, Render>();
  for (const text of textsOf(query.service)) {
    const parts = parseText(text);
    if (!parts.ok) return fail(`Bad format '${text}' in Service: ${parts.error}`);
    texts.set(text, (asked) =>
      parts.value.map((p) => (typeof p === "string" ? p : p(asked))).join(""),
    );
  }
  return ok({
    render(full) {
      // Case matters here: a prefix stored in capitals is not cut from a name asked in small letters.
      const suffix = full.startsWith(query.name) ? full.slice(query.name.length) : full;
      const asked = { full, prefix: query.name, suffix, groups: regexp?.match(full) ?? [] };
      return rendered(query, (text) => texts.get(text)!(asked));
    },
  });
}

function rendered(query: QueryRecord, render: (text: string) => string): QueryRecord {
  const { service } = query;
  const list = (texts: readonly string[] | null) => texts && texts.map(render);
  const map = (texts: Readonly<Record<string, string>> | null) =>
    texts && Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, render(text)]));
  const tags = list(service.tags);
  return {
    ...query,
    service: {
      ...service,
      service: render(service.service),
      failover: { ...service.failover, datacenters: list(service.failover.datacenters) },
      ignoreCheckIds: list(service.ignoreCheckIds),
      near: render(service.near),
      tags: query.template.removeEmptyTags ? (tags ?? []).filter((tag) => tag !== "") : tags,
      nodeMeta: map(service.nodeMeta),
      serviceMeta: map(service.serviceMeta),
    },
  };
}

function textsOf(service: QueryRecord["service"]): string[] {
  return [
    service.service,
    service.near,
    ...(service.failover.datacenters ?? []),
    ...(service.ignoreCheckIds ?? []),
    ...(service.tags ?? []),
    ...Object.values(service.nodeMeta ?? {}),
    ...Object.values(service.serviceMeta ?? {}),
  ];
}

const VARIABLES: ReadonlyMap<string, Part> = new Map<string, Part>([
  ["name.full", (asked) => asked.full],
  ["name.prefix", (asked) => asked.prefix],
  ["name.suffix", (asked) => asked.suffix],
  // Network segments are an Enterprise feature: the segment is always the default one.
  ["agent.segment", () => ""],
]);

function parseText(text: string): Result<Part[], string> {
  const parts: Part[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf("${", at);
    if (open === -1) break;
    if (open > at && text[open - 1] === "$") {
      parts.push(text.slice(at, open - 1), "${");
      at = open + 2;
      continue;
    }
    const close = text.indexOf("}", open);
    if (close === -1) return fail("expected closing brace");
    const part = parseExpression(text.slice(open + 2, close).trim());
    if (!part.ok) return part;
    parts.push(text.slice(at, open), part.value);
    at = close + 1;
  }
  parts.push(text.slice(at));
  return ok(parts);
}

function parseExpression(expression: string): Result<Part, string> {
  const variable = VARIABLES.get(expression);
  if (variable !== undefined) return ok(variable);
  const call = /^match\s*\(\s*(-?\d+)\s*\)$/.exec(expression);
  if (call !== null) {
    const group = Number(call[1]);
    return ok((asked) => asked.groups[group] ?? "");
  }
  if (/^[a-z][\w.]*$/i.test(expression)) return fail(`unknown variable accessed: ${expression}`);
  return fail(`cannot evaluate '${expression}'`);
}
