/**
 * State machine of sessions: created on a node and bound to checks of it, ended by command, by the
 * loss of the node or of a bound check. What a session holds (locks, queries) is let go by those who
 * listen to its end. Consul 1.10 agent/consul/state/session.go.
 */
import { fail, ok, type Result } from "../base.ts";
import { findCheck } from "./catalog-tables.ts";
import type { Catalog } from "./catalog.ts";
import type { Change } from "./change.ts";
import type { SessionFields } from "./command.ts";
import type { SessionRecord } from "./model.ts";

/** Sessions and what finds them. */
export type Sessions = {
  byId: Map<string, SessionRecord>;
  /** Lower-case node name → its sessions. */
  byNode: Map<string, Set<SessionRecord>>;
  index: number;
};

/** Called once for every session that ends, within the command that ended it. */
export type SessionEnded = (session: SessionRecord, change: Change) => void;

/** No sessions. */
export function createSessions(): Sessions {
  return { byId: new Map(), byNode: new Map(), index: 0 };
}

/** Gives the id. Refused without its node, or if one of its checks is missing or critical. */
export function applySessionCreate(
  sessions: Sessions,
  catalog: Catalog,
  fields: SessionFields,
  change: Change,
): Result<string, string> {
  const node = catalog.tables.byName.get(fields.node.toLowerCase());
  if (node === undefined) return fail("apply failed: Missing node registration");
  if (sessions.byId.has(fields.id)) return fail(`apply failed: Session '${fields.id}' exists`);
  for (const checkId of boundChecks(fields)) {
    const check = findCheck(node, checkId);
    if (check === undefined) return fail(`apply failed: Missing check '${checkId}' registration`);
    if (check.status === "critical")
      return fail(`apply failed: Check '${checkId}' is in critical state`);
  }
  const { index } = change;
  putSession(sessions, { ...fields, createIndex: index, modifyIndex: index });
  touch(sessions, fields.id, change);
  return ok(fields.id);
}

/** An unknown session is fine. */
export function applySessionDestroy(
  sessions: Sessions,
  id: string,
  change: Change,
  ended: SessionEnded,
): Result<true, string> {
  const session = sessions.byId.get(id);
  if (session !== undefined) end(sessions, session, change, ended);
  return ok(true);
}

/** Ends the sessions whose node or bound check the command took away or found critical. */
export function endBrokenSessions(sessions: Sessions, change: Change, ended: SessionEnded): void {
  for (const { node, checkId } of change.brokenChecks)
    for (const session of sessions.byNode.get(node) ?? [])
      if (boundChecks(session).includes(checkId)) end(sessions, session, change, ended);
  for (const node of change.removedNodes)
    for (const session of sessions.byNode.get(node) ?? []) end(sessions, session, change, ended);
}

/** Adds a session that a snapshot or a command brings. */
export function putSession(sessions: Sessions, session: SessionRecord): void {
  sessions.byId.set(session.id, session);
  const lower = session.node.toLowerCase();
  const onNode = sessions.byNode.get(lower);
  if (onNode === undefined) sessions.byNode.set(lower, new Set([session]));
  else onNode.add(session);
}

function boundChecks(session: SessionFields): readonly string[] {
  const services = session.serviceChecks?.map((check) => check.id) ?? [];
  return [...(session.checks ?? []), ...session.nodeChecks, ...services];
}

function end(
  sessions: Sessions,
  session: SessionRecord,
  change: Change,
  ended: SessionEnded,
): void {
  sessions.byId.delete(session.id);
  const lower = session.node.toLowerCase();
  const onNode = sessions.byNode.get(lower)!;
  onNode.delete(session);
  if (onNode.size === 0) sessions.byNode.delete(lower);
  change.undo?.push(() => putSession(sessions, session));
  touch(sessions, session.id, change);
  ended(session, change);
}

function touch(sessions: Sessions, id: string, change: Change): void {
  const was = sessions.index;
  change.undo?.push(() => {
    sessions.index = was;
  });
  sessions.index = change.index;
  change.topics.add("sessions");
  change.topics.add(`session:${id}`);
}
