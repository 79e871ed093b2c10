/**
 * KV store, sessions and locks as slowly and as obviously as they can be written down: lists that are
 * searched from end to end, a history of deletions, times compared one by one.
 */
import type { Command } from "../../src/cluster/command.ts";
import type { KvOperation } from "../../src/cluster/kv-apply.ts";

export type ModelRecord = {
  key: string;
  value: string;
  flags: string;
  lockIndex: number;
  session: string;
  createIndex: number;
  modifyIndex: number;
};
/** What the model knows to do. */
export type KvModelCommand = Extract<
  Command,
  {
    type: "register" | "deregister" | "session-create" | "session-destroy" | "kv" | "kv-reap";
  }
>;
type ModelSession = {
  id: string;
  node: string;
  checks: readonly string[];
  behavior: string;
  lockDelayMs: number;
};
type Deletion = { prefix: string; isTree: boolean; index: number; timeMs: number };
type Answer = { ok: true; value: unknown } | { ok: false; error: string };

const octets = (text: string): Buffer => Buffer.from(text, "utf8");

export class KvModel {
  records: ModelRecord[] = [];
  sessions: ModelSession[] = [];
  /** Node → check → status. */
  nodes = new Map<string, Map<string, string>>();
  delays: { key: string; untilMs: number }[] = [];
  deletions: Deletion[] = [];
  tableIndex = 0;
  #index = 0;
  #timeMs = 0;

  apply(index: number, command: KvModelCommand, timeMs: number): Answer {
    this.#index = index;
    this.#timeMs = timeMs;
    switch (command.type) {
      case "register": {
        const checks = this.nodes.get(command.node.node) ?? new Map<string, string>();
        this.nodes.set(command.node.node, checks);
        for (const { checkId, status } of command.checks) checks.set(checkId, status);
        break;
      }
      case "deregister":
        if (command.checkId === "") this.nodes.delete(command.node);
        else this.nodes.get(command.node)?.delete(command.checkId);
        break;
      case "session-create": {
        const { id, node, nodeChecks: checks, behavior, lockDelayMs } = command.session;
        const problem = this.#checksProblem(node, checks);
        if (problem !== undefined) return { ok: false, error: `apply failed: ${problem}` };
        this.sessions.push({ id, node, checks, behavior, lockDelayMs });
        return { ok: true, value: id };
      }
      case "session-destroy":
        this.#end((session) => session.id === command.id);
        break;
      case "kv":
        return this.#write(command.operation);
      case "kv-reap":
        this.deletions = this.deletions.filter((one) => timeMs < one.timeMs + 15 * 60_000);
        this.delays = this.delays.filter((one) => timeMs < one.untilMs);
        break;
    }
    this.#end(({ node, checks }) => this.#checksProblem(node, checks) !== undefined);
    return { ok: true, value: true };
  }

  get(key: string): ModelRecord | undefined {
    return this.records.find((record) => record.key === key);
  }

  list(prefix: string): ModelRecord[] {
    return this.records
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(octets(a.key), octets(b.key)));
  }

  /** HTTP spec 3.6: a key's own, or the table's. */
  keyIndex(key: string): number {
    return this.get(key)?.modifyIndex ?? this.tableIndex;
  }

  /** HTTP spec 3.6: the newest record or deletion below the prefix, or the table's. */
  prefixIndex(prefix: string): number {
    if (prefix === "") return this.tableIndex;
    const seen = this.list(prefix).map((record) => record.modifyIndex);
    for (const one of this.deletions)
      if (one.prefix.startsWith(prefix) || (one.isTree && prefix.startsWith(one.prefix)))
        seen.push(one.index);
    return seen.length === 0 ? this.tableIndex : Math.max(...seen);
  }

  #write(operation: KvOperation): Answer {
    const { key } = operation;
    const held = this.get(key);
    const done = (value: boolean): Answer => ({ ok: true, value });
    switch (operation.verb) {
      case "set":
        return done(this.#set(operation, 0, held?.session ?? ""));
      case "cas":
        if ((held?.modifyIndex ?? 0) !== operation.index) return done(false);
        return done(this.#set(operation, 0, held?.session ?? ""));
      case "lock": {
        const { session } = operation;
        if (this.delays.some((one) => one.key === key && this.#timeMs < one.untilMs))
          return done(false);
        if (session === "") return { ok: false, error: "raft apply failed: missing session" };
        if (!this.sessions.some(({ id }) => id === session))
          return { ok: false, error: `raft apply failed: invalid session "${session}"` };
        if (held !== undefined && held.session !== "" && held.session !== session)
          return done(false);
        const count = held?.lockIndex ?? 0;
        return done(this.#set(operation, held?.session === session ? count : count + 1, session));
      }
      case "unlock":
        if (operation.session === "")
          return { ok: false, error: "raft apply failed: missing session" };
        if (held === undefined || held.session !== operation.session) return done(false);
        return done(this.#set(operation, held.lockIndex, ""));
      case "delete":
        this.#delete(held);
        return done(true);
      case "delete-cas":
        if (held === undefined) return done(true);
        if (held.modifyIndex !== operation.index) return done(false);
        this.#delete(held);
        return done(true);
      case "delete-tree": {
        const below = this.list(key);
        if (below.length === 0) return done(true);
        this.records = this.records.filter((record) => !below.includes(record));
        if (key === "") this.deletions = [];
        else this.#bury(key, true);
        this.tableIndex = this.#index;
        return done(true);
      }
    }
  }

  #set(
    { key, value, flags }: Pick<ModelRecord, "key" | "value" | "flags">,
    lockIndex: number,
    session: string,
  ): boolean {
    const held = this.get(key);
    const same =
      held !== undefined &&
      [held.value, held.flags, held.session].join() === [value, flags, session].join() &&
      held.lockIndex === lockIndex;
    if (same) return true;
    const createIndex = held?.createIndex ?? this.#index;
    this.#put({ key, value, flags, lockIndex, session, createIndex, modifyIndex: this.#index });
    return true;
  }

  #put(record: ModelRecord): void {
    this.records = this.records.filter(({ key }) => key !== record.key);
    this.records.push(record);
    this.tableIndex = this.#index;
  }

  #delete(record: ModelRecord | undefined): void {
    if (record === undefined) return;
    this.records = this.records.filter((other) => other !== record);
    this.#bury(record.key, false);
    this.tableIndex = this.#index;
  }

  #bury(prefix: string, isTree: boolean): void {
    // One tombstone stands for all deletions of the same name: they age together.
    for (const one of this.deletions) if (one.prefix === prefix) one.timeMs = this.#timeMs;
    this.deletions.push({ prefix, isTree, index: this.#index, timeMs: this.#timeMs });
  }

  #checksProblem(node: string, checks: readonly string[]): string | undefined {
    const known = this.nodes.get(node);
    if (known === undefined) return "Missing node registration";
    for (const check of checks) {
      const status = known.get(check);
      if (status === undefined) return `Missing check '${check}' registration`;
      if (status === "critical") return `Check '${check}' is in critical state`;
    }
    return undefined;
  }

  #end(isOver: (session: ModelSession) => boolean): void {
    for (const session of this.sessions.filter(isOver)) {
      this.sessions = this.sessions.filter((other) => other !== session);
      for (const record of this.records.filter((one) => one.session === session.id)) {
        if (session.behavior === "delete") this.#delete(record);
        else this.#put({ ...record, session: "", modifyIndex: this.#index });
        const untilMs = this.#timeMs + Math.min(session.lockDelayMs, 60_000);
        if (session.lockDelayMs > 0) {
          this.delays = this.delays.filter(({ key }) => key !== record.key);
          this.delays.push({ key: record.key, untilMs });
        }
      }
    }
  }
}
