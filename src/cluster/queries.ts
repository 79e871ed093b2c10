/**
 * State machine of prepared queries: stored by id, found by id, by exact name, or as the template
 * with the longest prefix. Consul 1.10 agent/consul/state/prepared_query.go.
 */
import { fail, ok, type Result } from "../base.ts";
import type { Change } from "./change.ts";
import type { QueryFields } from "./command.ts";
import type { QueryRecord, SessionRecord } from "./model.ts";
import { compileTemplate, type Template } from "./query-template.ts";
import { sameQuery } from "./same.ts";
import type { Sessions } from "./sessions.ts";
import { idProblem, isUuid } from "./uuid.ts";

/** Prepared queries and what finds them. */
export type Queries = {
  byId: Map<string, QueryRecord>;
  /** By lower-case name, those that have one; templates too. */
  byName: Map<string, QueryRecord>;
  /** Templates by lower-case name; "" is the one that catches all. */
  templates: Map<string, { query: QueryRecord; template: Template }>;
  /** Session id → ids of the queries bound to it. */
  bySession: Map<string, Set<string>>;
  index: number;
};

/** No queries. */
export function createQueries(): Queries {
  return {
    byId: new Map(),
    byName: new Map(),
    templates: new Map(),
    bySession: new Map(),
    index: 0,
  };
}

/** Creates or replaces; what the text of a query must be is checked before it is proposed. */
export function applyQuerySet(
  queries: Queries,
  sessions: Sessions,
  { query, create }: { query: QueryFields; create: boolean },
  change: Change,
): Result<string, string> {
  const held = queries.byId.get(query.id);
  if (held === undefined && !create)
    return fail(`Cannot modify non-existent prepared query: '${query.id}'`);
  if (held !== undefined && sameQuery(held, query)) return ok(query.id);
  const problem = nameProblem(queries, query, held) ?? sessionProblem(sessions, query);
  if (problem !== undefined) return fail(`raft apply failed: ${problem}`);
  const { index } = change;
  const record = { ...query, createIndex: held?.createIndex ?? index, modifyIndex: index };
  const template = templateOf(record);
  if (template !== undefined && !template.ok)
    return fail(`raft apply failed: failed compiling template: ${template.error}`);
  if (held !== undefined) drop(queries, held);
  store(queries, record, template?.value);
  touch(queries, change);
  return ok(query.id);
}

/** An unknown id is refused with Consul's text. */
export function applyQueryDelete(
  queries: Queries,
  id: string,
  change: Change,
): Result<true, string> {
  const held = queries.byId.get(id);
  if (held === undefined) return fail(`Cannot modify non-existent prepared query: '${id}'`);
  drop(queries, held);
  touch(queries, change);
  return ok(true);
}

/** Queries go with the session that they are bound to. */
export function removeQueriesOf(queries: Queries, session: SessionRecord, change: Change): void {
  for (const id of queries.bySession.get(session.id) ?? []) {
    const held = queries.byId.get(id)!;
    const known = queries.templates.get(held.name.toLowerCase());
    const template = known?.query === held ? known.template : undefined;
    drop(queries, held);
    change.undo?.push(() => store(queries, held, template));
    touch(queries, change);
  }
}

/** Adds a query that a snapshot brings; the error names a template that does not compile. */
export function putQuery(queries: Queries, record: QueryRecord): Result<true, string> {
  const template = templateOf(record);
  if (template !== undefined && !template.ok) return template;
  store(queries, record, template?.value);
  return ok(true);
}

/** CatalogReader.resolveQuery. */
export function resolveQuery(
  queries: Queries,
  idOrName: string,
): Result<QueryRecord | undefined, string> {
  const byId = isUuid(idOrName) ? queries.byId.get(idOrName.toLowerCase()) : undefined;
  if (byId !== undefined)
    return byId.template.type === ""
      ? ok(byId)
      : fail("prepared query templates can only be resolved up by name, not by ID");
  const lower = idOrName.toLowerCase();
  const named = queries.byName.get(lower);
  if (named !== undefined && named.template.type === "") return ok(named);
  for (let length = lower.length; length >= 0; length--) {
    const found = queries.templates.get(lower.slice(0, length));
    if (found !== undefined) return ok(found.template.render(idOrName));
  }
  return ok(undefined);
}

function nameProblem(
  queries: Queries,
  query: QueryFields,
  held: QueryRecord | undefined,
): string | undefined {
  if (query.name === "") {
    const catchAll = query.template.type !== "" ? queries.templates.get("") : undefined;
    if (catchAll === undefined || catchAll.query === held) return undefined;
    return "a query template with an empty name already exists";
  }
  const other = queries.byName.get(query.name.toLowerCase());
  if (other !== undefined && other !== held)
    return `name '${query.name}' aliases an existing query name`;
  if (queries.byId.has(query.name)) return `name '${query.name}' aliases an existing query ID`;
  return undefined;
}

function sessionProblem(sessions: Sessions, query: QueryFields): string | undefined {
  if (query.session === "" || sessions.byId.has(query.session)) return undefined;
  const problem = idProblem(query.session);
  if (problem !== undefined) return `failed session lookup: ${problem}`;
  return `invalid session "${query.session}"`;
}

function templateOf(record: QueryRecord): Result<Template, string> | undefined {
  return record.template.type === "" ? undefined : compileTemplate(record);
}

function store(queries: Queries, record: QueryRecord, template: Template | undefined): void {
  const lower = record.name.toLowerCase();
  queries.byId.set(record.id, record);
  if (record.name !== "") queries.byName.set(lower, record);
  if (template !== undefined) queries.templates.set(lower, { query: record, template });
  if (record.session === "") return;
  const bound = queries.bySession.get(record.session) ?? new Set();
  queries.bySession.set(record.session, bound.add(record.id));
}

function drop(queries: Queries, record: QueryRecord): void {
  const lower = record.name.toLowerCase();
  queries.byId.delete(record.id);
  if (record.name !== "") queries.byName.delete(lower);
  if (record.template.type !== "") queries.templates.delete(lower);
  const bound = queries.bySession.get(record.session);
  bound?.delete(record.id);
  if (bound?.size === 0) queries.bySession.delete(record.session);
}

function touch(queries: Queries, change: Change): void {
  const was = queries.index;
  change.undo?.push(() => {
    queries.index = was;
  });
  queries.index = change.index;
  change.topics.add("queries");
}
