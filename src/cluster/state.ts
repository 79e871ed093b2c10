/**
 * The state machine behind the log: nodes, services, checks, sessions, prepared queries and ACLs as
 * one. The same log gives the same state on every node, to the octet of its snapshot.
 */
import { fail, ok, unreachable, type Result } from "../base.ts";
import { applyPolicyDelete, applyPolicySet } from "./acl-policies.ts";
import { applyRoleDelete, applyRoleSet } from "./acl-roles.ts";
import { createAclReader, type AclReader } from "./acl-state.ts";
import { applyBootstrap, applyTokenDelete, applyTokenSet, applyTokensReap } from "./acl-tokens.ts";
import { applyAutopilot, defaultAutopilot, type AutopilotRecord } from "./autopilot.ts";
import { catalogIndexOf, createNodeReads } from "./catalog-read.ts";
import { applyDeregister, applyRegister } from "./catalog.ts";
import { createChange, type Change } from "./change.ts";
import type { Command } from "./command.ts";
import { applyCoordinates, createCoordinateReader, removeCoordinatesOf } from "./coordinates.ts";
import { crc32 } from "../crc32.ts";
import { createKvReader, kvIndexOf, reap } from "./kv.ts";
import { applyKv, endLocks } from "./kv-apply.ts";
import type { CatalogReader, Topic } from "./model.ts";
import { applyQueryDelete, applyQuerySet, removeQueriesOf, resolveQuery } from "./queries.ts";
import {
  applySessionCreate,
  applySessionDestroy,
  endBrokenSessions,
  type SessionEnded,
} from "./sessions.ts";
import { buildContents, emptyContents, rowsOf } from "./snapshot.ts";
import { writeFrames } from "./snapshot-frames.ts";
import type { Rest } from "./time-slices.ts";
import { applyTxn } from "./txn.ts";

/** What one command did. */
export type Applied = {
  /** For the proposer: see command.ts. */
  result: Result<unknown, string>;
  /** What the command touched, each topic once; empty if it changed nothing. */
  topics: readonly Topic[];
};

/** The replicated state machine. */
export type State = {
  readonly reader: CatalogReader;
  readonly acl: AclReader;
  /** null before the first entry of a leader. */
  readonly autopilot: AutopilotRecord | null;
  /** Highest epoch whose first entry was applied; 0 before any. */
  readonly epoch: number;
  /** Log time of the newest command: milliseconds since 1970; 0 before any. */
  readonly timeMs: number;
  /** Rows per table, for metrics. */
  counts(): { nodes: number; services: number; checks: number; queries: number; sessions: number };
  /**
   * Applies the committed command of this index; indexes must rise. `timeMs` is the entry's log time;
   * one that is behind counts as standing still. Never throws.
   */
  apply(index: number, command: Command, timeMs: number): Applied;
  /**
   * Image as of this call; each chunk takes less than a few ms to draw, later writes do not matter.
   * `portable`: for another cluster, without the epoch, which belongs to this log.
   */
  snapshot(form?: "own" | "portable"): { index: number; chunks: Iterable<Uint8Array> };
  /**
   * Builds the contents of an image aside; `put` makes them the state. All topics may have changed
   * then: the caller wakes everybody. `index` is that of the log entry which restores; default the
   * image's. `rest` is asked between slices of the work. The error says what is damaged.
   */
  prepare(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: { index?: number; rest?: Rest },
  ): Promise<Result<{ index: number; put(): void }, string>>;
  /** `prepare` and `put` in one: replaces everything, or nothing if the image is damaged. */
  install(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    index?: number,
  ): Promise<Result<{ index: number }, string>>;
  /** Equal for equal states: length and CRC-32 of the snapshot. Takes as long as one. */
  digest(): string;
};

/** The state before the first command. */
export function createState(): State {
  let contents = emptyContents();
  // Readers and writers go through the getters, so that an installed image reaches them.
  const catalog = {
    get tables() {
      return contents.tables;
    },
  };
  const sessionEnded: SessionEnded = (session, change) => {
    endLocks(contents.kv, session, change);
    removeQueriesOf(contents.queries, session, change);
  };
  const reader = createReader(() => contents, catalog);

  /** What hangs on nodes and checks that went. */
  function followUp(change: Change): void {
    if (change.removedNodes.length > 0) removeCoordinatesOf(contents.coordinates, change);
    if (change.brokenChecks.length > 0 || change.removedNodes.length > 0)
      endBrokenSessions(contents.sessions, change, sessionEnded);
  }

  function run(command: Command, change: Change): Result<unknown, string> {
    const { queries, sessions, acl } = contents;
    switch (command.type) {
      case "register":
        return applyRegister(catalog, command, change);
      case "deregister":
        return applyDeregister(catalog, command, change);
      case "session-create":
        return applySessionCreate(sessions, catalog, command.session, change);
      case "session-destroy":
        return applySessionDestroy(sessions, command.id, change, sessionEnded);
      case "query-set":
        return applyQuerySet(queries, sessions, command, change);
      case "query-delete":
        return applyQueryDelete(queries, command.id, change);
      case "coordinates":
        return applyCoordinates(contents.coordinates, contents.tables, command.updates, change);
      case "kv":
        return applyKv(contents.kv, sessions, command.operation, change);
      case "kv-reap":
        reap(contents.kv, change);
        return ok(true);
      case "txn":
        return ok(
          applyTxn(
            { catalog, kv: contents.kv, sessions, reader, followUp },
            command.operations,
            change,
          ),
        );
      case "autopilot-set": {
        const { record, result } = applyAutopilot(contents.autopilot, command, change);
        contents.autopilot = record;
        return result;
      }
      case "acl-policy-set":
        return applyPolicySet(acl, command.policy, change);
      case "acl-policy-delete":
        return applyPolicyDelete(acl, command.id, change);
      case "acl-token-set":
        return applyTokenSet(acl, command, change);
      case "acl-token-delete":
        return applyTokenDelete(acl, command.accessorId, change);
      case "acl-bootstrap":
        return applyBootstrap(acl, command, change);
      case "acl-role-set":
        return applyRoleSet(acl, command.role, change);
      case "acl-role-delete":
        return applyRoleDelete(acl, command.id, change);
      case "acl-tokens-reap":
        return applyTokensReap(acl, command, change);
      case "epoch":
        if (command.epoch <= contents.epoch)
          return fail(`epoch ${command.epoch} is not above ${contents.epoch}`);
        contents.epoch = command.epoch;
        contents.autopilot ??= defaultAutopilot(change.index);
        return ok(true);
      default:
        return unreachable(command);
    }
  }

  function snapshot(form: "own" | "portable" = "own") {
    const { index, epoch } = contents;
    return { index, chunks: writeFrames(rowsOf(contents, form === "own" ? epoch : 0)) };
  }

  const prepare: State["prepare"] = async (chunks, { index, rest } = {}) => {
    const built = await buildContents(chunks, rest);
    if (!built.ok) return built;
    const next = index === undefined ? built.value : { ...built.value, index };
    return ok({ index: next.index, put: () => void (contents = next) });
  };

  return {
    reader,
    acl: createAclReader(() => contents.acl),
    get epoch() {
      return contents.epoch;
    },
    get autopilot() {
      return contents.autopilot;
    },
    get timeMs() {
      return contents.timeMs;
    },
    counts: () => ({
      nodes: contents.tables.nodes.size,
      ...contents.tables.counts,
      queries: contents.queries.byId.size,
      sessions: contents.sessions.byId.size,
    }),
    apply(index, command, timeMs) {
      contents.index = index;
      contents.timeMs = Math.max(contents.timeMs, timeMs);
      const change = createChange(index, contents.timeMs);
      const result = run(command, change);
      followUp(change);
      return { result, topics: [...change.topics] };
    },
    snapshot,
    prepare,
    async install(chunks, index) {
      const prepared = await prepare(chunks, index === undefined ? {} : { index });
      if (!prepared.ok) return prepared;
      prepared.value.put();
      return ok({ index: prepared.value.index });
    },
    digest() {
      let [crc, octets] = [0, 0];
      for (const chunk of snapshot().chunks) {
        crc = crc32(chunk, crc);
        octets += chunk.length;
      }
      return `${octets}-${crc.toString(16).padStart(8, "0")}`;
    },
  };
}

function createReader(
  current: () => ReturnType<typeof emptyContents>,
  catalog: Parameters<typeof createNodeReads>[0],
): CatalogReader {
  return {
    get index() {
      return current().index;
    },
    ...createNodeReads(catalog),
    query: (id) => current().queries.byId.get(id),
    queries: () => current().queries.byId.values(),
    resolveQuery: (idOrName) => resolveQuery(current().queries, idOrName),
    coordinates: createCoordinateReader(() => current().coordinates),
    kv: createKvReader(() => current().kv),
    session: (id) => current().sessions.byId.get(id),
    sessions: () => current().sessions.byId.values(),
    indexOf(topic) {
      const { tables, queries, sessions, acl } = current();
      if (topic === "queries") return queries.index;
      if (topic === "sessions") return sessions.index;
      if (topic.startsWith("session:"))
        return sessions.byId.get(topic.slice(8))?.modifyIndex ?? sessions.index;
      if (topic === "acl") return acl.index;
      if (topic === "coordinates") return current().coordinates.index;
      return kvIndexOf(current().kv, topic) ?? catalogIndexOf(tables, topic);
    },
  };
}
