/** The whole state as rows, consistent as of the call, and back. */
import { fail, ok, type Result } from "../base.ts";
import { createAclState, putPolicy, putRole, putToken, type AclState } from "./acl-state.ts";
import type { AutopilotRecord } from "./autopilot.ts";
import { createTables, freezeNodes, type NodeEntry, type Tables } from "./catalog-tables.ts";
import { restoreNode } from "./catalog.ts";
import {
  coordinateRecords,
  createCoordinates,
  putCoordinate,
  type Coordinates,
} from "./coordinates.ts";
import { createKv, restoreRecord, restoreTombstone, type Kv } from "./kv.ts";
import { createQueries, putQuery, type Queries } from "./queries.ts";
import { createSessions, putSession, type Sessions } from "./sessions.ts";
import { FrameReader, type Row } from "./snapshot-frames.ts";
import {
  checkRow,
  coordinateRow,
  endRow,
  headRow,
  kvDelayRow,
  kvRow,
  kvTombstoneRow,
  nodeRow,
  readRow,
  recordRow,
  serviceIndexRow,
  serviceRow,
  type Head,
  type Reading,
} from "./snapshot-rows.ts";
import { viewServiceIndexes } from "./service-indexes.ts";
import type { Rest } from "./time-slices.ts";

/** Everything that a log makes. */
export type Contents = {
  index: number;
  epoch: number;
  /** Log time of the newest command. */
  timeMs: number;
  tables: Tables;
  sessions: Sessions;
  queries: Queries;
  acl: AclState;
  coordinates: Coordinates;
  kv: Kv;
  /** null before the first entry. */
  autopilot: AutopilotRecord | null;
};

/** What a new cluster holds. */
export function emptyContents(): Contents {
  return {
    index: 0,
    epoch: 0,
    timeMs: 0,
    tables: createTables(),
    sessions: createSessions(),
    queries: createQueries(),
    acl: createAclState(),
    coordinates: createCoordinates(),
    kv: createKv(),
    autopilot: null,
  };
}

/** Rows of the contents as they are now; later changes do not reach them. Drawn lazily. */
export function rowsOf(contents: Contents, epoch = contents.epoch): Iterable<Row> {
  // Only lists are copied here: records never change, and node entries not from now on.
  const nodes = freezeNodes(contents.tables);
  const indexOfService = viewServiceIndexes(contents.tables);
  const { sessions, queries, acl, kv } = contents;
  const head: Head = {
    index: contents.index,
    epoch,
    timeMs: contents.timeMs,
    indexes: {
      ...contents.tables.indexes,
      queries: queries.index,
      sessions: sessions.index,
      acl: acl.index,
      aclBootstrap: acl.bootstrapIndex,
      coordinates: contents.coordinates.index,
      kv: kv.index,
      kvDropped: kv.droppedIndex,
    },
  };
  const policies = [...acl.policies.values()].map(({ record }) => record);
  const records = [
    byId("session", [...sessions.byId.values()], (session) => session.id),
    byId("query", [...queries.byId.values()], (query) => query.id),
    byId("policy", policies, (policy) => policy.id),
    byId("role", [...acl.roles.values()], (role) => role.id),
    byId("token", [...acl.tokens.values()], (token) => token.accessorId),
    coordinateRecords(contents.coordinates).map(coordinateRow),
    contents.autopilot === null ? [] : [recordRow("autopilot", contents.autopilot)],
    kvRows(kv),
  ];
  return rows(head, nodes, indexOfService, records);
}

/** Characters of an id that sort roughly, so that no single sort is of many. */
const ROUGH_CHARACTERS = 3;

/** By id; the order is made piece by piece while the rows are drawn. */
function* byId<R extends Parameters<typeof recordRow>[1]>(
  kind: Parameters<typeof recordRow>[0],
  records: readonly R[],
  idOf: (record: R) => string,
): Generator<Row> {
  const pieces = new Map<string, R[]>();
  for (const record of records) {
    const start = idOf(record).slice(0, ROUGH_CHARACTERS);
    const piece = pieces.get(start);
    if (piece === undefined) pieces.set(start, [record]);
    else piece.push(record);
  }
  for (const start of [...pieces.keys()].sort())
    for (const record of pieces.get(start)!.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)))
      yield recordRow(kind, record);
}

function* rows(
  head: Head,
  nodes: readonly NodeEntry[],
  indexOfService: (lower: string) => number | undefined,
  records: readonly Iterable<Row>[],
): Generator<Row> {
  let count = 1;
  const named = new Set<string>();
  yield headRow(head);
  for (const { record, index, services, nodeChecks, serviceChecks } of nodes) {
    count += 1 + services.length + nodeChecks.length + serviceChecks.length;
    yield nodeRow(record, index);
    for (const service of services) {
      const lower = service.service.toLowerCase();
      if (!named.has(lower)) {
        named.add(lower);
        count++;
        yield serviceIndexRow(lower, indexOfService(lower) ?? 0);
      }
      yield serviceRow(service);
    }
    for (const check of nodeChecks) yield checkRow(check);
    for (const check of serviceChecks) yield checkRow(check);
  }
  for (const rowsOfKind of records)
    for (const row of rowsOfKind) {
      count++;
      yield row;
    }
  yield endRow(count);
}

/** The views are taken now, the rows made when they are drawn. */
function kvRows(kv: Kv): Iterable<Row> {
  const records = kv.records.view();
  const tombstones = kv.tombstones.view();
  const delays = [...kv.delays].sort(([a], [b]) => (a < b ? -1 : 1));
  return (function* () {
    for (const record of records) yield kvRow(record);
    for (const tombstone of tombstones) yield kvTombstoneRow(tombstone);
    for (const [key, untilMs] of delays) yield kvDelayRow(key, untilMs);
  })();
}

/**
 * Contents of an image, built aside. Chunks may be cut anywhere; `rest` is asked after each of them
 * whether others should have their turn. The error says what is damaged.
 */
export async function buildContents(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  rest: Rest = () => undefined,
): Promise<Result<Contents, string>> {
  const frames = new FrameReader();
  const builder = new ContentsBuilder();
  for await (const chunk of chunks) {
    const rows = frames.read(chunk);
    if (!rows.ok) return rows;
    for (const row of rows.value) {
      const problem = builder.add(row);
      if (problem !== undefined) return fail(problem);
    }
    const pause = rest();
    if (pause !== undefined) await pause;
  }
  if (!frames.atBoundary) return fail("damaged snapshot: it ends too early");
  return builder.finish();
}

type NodeReading = Extract<Reading, { kind: "n" }>;
type ServiceReading = Extract<Reading, { kind: "s" }>;
type CheckReading = Extract<Reading, { kind: "c" }>;

/** Takes rows and builds contents aside; nothing is in use before `finish` says that all is there. */
class ContentsBuilder {
  readonly #contents = emptyContents();
  /** Of the names whose first instance is still to come. */
  readonly #serviceIndexes = new Map<string, number>();
  #node: NodeReading | null = null;
  #services: ServiceReading[] = [];
  #checks: CheckReading[] = [];
  #head: Head | null = null;
  #rows = 0;
  #ended = false;

  /** The problem, if the row cannot be one of a snapshot. */
  add(row: Row): string | undefined {
    const reading = readRow(row);
    if (reading === undefined) return "damaged snapshot: unknown row";
    if (this.#ended) return "damaged snapshot: rows after the end";
    if ((this.#head === null) !== (reading.kind === "head")) return "damaged snapshot: head";
    if (reading.kind !== "s" && reading.kind !== "c" && reading.kind !== "service") {
      const problem = this.#closeNode();
      if (problem !== undefined) return problem;
    }
    const problem = this.#take(reading);
    this.#rows++;
    return problem;
  }

  finish(): Result<Contents, string> {
    if (!this.#ended || this.#head === null) return fail("damaged snapshot: it ends too early");
    const { indexes, index, epoch, timeMs } = this.#head;
    const { tables, sessions, queries, acl } = this.#contents;
    const { queries: q, sessions: s, acl: a, aclBootstrap, coordinates, ...others } = indexes;
    const { kv: kvIndex, kvDropped, ...catalog } = others;
    [this.#contents.kv.index, this.#contents.kv.droppedIndex] = [kvIndex, kvDropped];
    this.#contents.coordinates.index = coordinates;
    tables.indexes = catalog;
    [queries.index, sessions.index, acl.index, acl.bootstrapIndex] = [q, s, a, aclBootstrap];
    return ok({ ...this.#contents, index, epoch, timeMs });
  }

  #take(reading: Reading): string | undefined {
    const { sessions, queries, acl, kv } = this.#contents;
    switch (reading.kind) {
      case "head":
        this.#head = reading.head;
        return undefined;
      case "service":
        this.#serviceIndexes.set(reading.lower, reading.index);
        return undefined;
      case "n":
        this.#node = reading;
        return undefined;
      case "s":
        this.#services.push(reading);
        return this.#node === null ? "damaged snapshot: service without a node" : undefined;
      case "c":
        this.#checks.push(reading);
        return this.#node === null ? "damaged snapshot: check without a node" : undefined;
      case "session":
        if (sessions.byId.has(reading.record.id)) return "damaged snapshot: session twice";
        putSession(sessions, reading.record);
        return undefined;
      case "query": {
        const put = putQuery(queries, reading.record);
        return put.ok ? undefined : `damaged snapshot: query: ${put.error}`;
      }
      case "autopilot":
        this.#contents.autopilot = reading.record;
        return undefined;
      case "policy": {
        const put = putPolicy(acl, reading.record);
        return put.ok ? undefined : `damaged snapshot: policy: ${put.error}`;
      }
      case "role":
        putRole(acl, reading.record);
        return undefined;
      case "token":
        putToken(acl, reading.record);
        return undefined;
      case "coordinate":
        return putCoordinate(this.#contents.coordinates, reading.record)
          ? undefined
          : "damaged snapshot: coordinates of too many segments";
      case "kv":
        return restoreRecord(kv, reading.record) ? undefined : "damaged snapshot: key twice";
      case "kv-tombstone":
        return restoreTombstone(kv, reading.tombstone)
          ? undefined
          : "damaged snapshot: tombstone twice";
      case "kv-delay":
        kv.delays.set(reading.key, reading.untilMs);
        return undefined;
      case "end":
        this.#ended = true;
        return reading.rows === this.#rows ? undefined : "damaged snapshot: number of rows";
    }
  }

  #closeNode(): string | undefined {
    const node = this.#node;
    if (node === null) return undefined;
    const { tables } = this.#contents;
    const entry = restoreNode(tables, node, this.#services, this.#checks);
    if (entry === undefined) return "damaged snapshot: node twice, or with parts that contradict";
    for (const { fields } of this.#services) {
      const lower = fields.service.toLowerCase();
      const service = tables.services.get(lower)!;
      // The first instance brings the index of its name, the others find it there.
      const index = this.#serviceIndexes.get(lower) ?? service.index;
      if (index === 0) return "damaged snapshot: service without an index";
      service.index = index;
      this.#serviceIndexes.delete(lower);
    }
    this.#node = null;
    this.#services = [];
    this.#checks = [];
    return undefined;
  }
}
