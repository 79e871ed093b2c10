/**
 * Transactions as obviously as they can be said: everything is copied, the operations are done one
 * after the other on the plain models, and the copy comes back if one fails.
 */
import type { Command } from "../../src/cluster/command.ts";
import type { KvOperation } from "../../src/cluster/kv-apply.ts";
import type { TxnOperation } from "../../src/cluster/txn.ts";
import { KvModel } from "./kv-model.ts";
import { deregister, node, register } from "./state-fixtures.ts";
import { Model, type ModelCommand } from "./state-model.ts";

type Line = Record<string, unknown>;
type Step = { lines: Line[] } | { error: string };
/** Commands that the model knows, besides transactions. */
export type PlainCommand = ModelCommand | Extract<Command, { type: "kv" }>;
export type ModelOutcome = { results: Line[] } | { errors: { opIndex: number; what: string }[] };

const quote = (text: string) => JSON.stringify(text);

export class TxnModel {
  catalog = new Model();
  keys = new KvModel();

  apply(index: number, command: PlainCommand, timeMs: number): void {
    switch (command.type) {
      case "register":
      case "deregister":
      case "query-set":
        this.catalog.apply(index, structuredClone(command));
        this.#sync(index, timeMs);
        break;
      case "session-create":
        this.catalog.apply(index, command);
        this.keys.apply(index, command, timeMs);
        break;
      case "session-destroy":
        this.catalog.apply(index, command);
        this.keys.apply(index, command, timeMs);
        break;
      case "kv":
        this.keys.apply(index, command, timeMs);
        break;
    }
  }

  txn(index: number, operations: readonly TxnOperation[], timeMs: number): ModelOutcome {
    const delayed = operations.flatMap((operation, opIndex) =>
      operation.type === "kv" && operation.verb === "lock" && this.#isDelayed(operation.key, timeMs)
        ? [{ opIndex, what: `failed to lock key ${quote(operation.key)} due to lock delay` }]
        : [],
    );
    if (delayed.length > 0) return { errors: delayed };
    const { nodes, sessions, queries } = this.catalog;
    const { records, sessions: holders, nodes: checks, delays, deletions, tableIndex } = this.keys;
    const before = structuredClone([
      { nodes, sessions, queries },
      { records, sessions: holders, nodes: checks, delays, deletions, tableIndex },
    ] as const);
    const results: Line[] = [];
    const errors: { opIndex: number; what: string }[] = [];
    for (const [opIndex, operation] of operations.entries()) {
      const step = this.#step(index, operation, timeMs);
      if ("error" in step) errors.push({ opIndex, what: step.error });
      else results.push(...step.lines);
    }
    if (errors.length === 0) return { results };
    Object.assign(this.catalog, before[0]);
    Object.assign(this.keys, before[1]);
    return { errors };
  }

  #isDelayed(key: string, timeMs: number): boolean {
    return this.keys.delays.some((one) => one.key === key && timeMs < one.untilMs);
  }

  #step(index: number, operation: TxnOperation, timeMs: number): Step {
    switch (operation.type) {
      case "kv":
        return this.#key(index, operation, timeMs);
      case "node": {
        const { node: fields } = operation;
        const own = (name: string) => this.catalog.nodes.get(name)?.record;
        const found = () =>
          fields.id === ""
            ? own(fields.node)
            : [...this.catalog.nodes.values()].find(({ record }) => record.id === fields.id)
                ?.record;
        return this.#verb(operation, `node ${quote(fields.node)}`, "Node", {
          held: own(fields.node),
          found,
          set: () => this.#change(index, register(fields), timeMs),
          remove: () => this.#change(index, deregister(fields.node), timeMs),
        });
      }
      case "service": {
        const { node: name, service } = operation;
        const found = () => {
          const held = this.catalog.nodes.get(name)?.services.get(service.id);
          return held && { ...held, node: this.catalog.nodes.get(name)!.record.node };
        };
        return this.#verb(
          operation,
          `service ${quote(service.id)} on node ${quote(name)}`,
          "Service",
          {
            held: found(),
            found,
            set: () => {
              if (!this.catalog.nodes.has(name)) return "Missing node registration";
              return this.#change(index, register(node(name), service, [], true), timeMs);
            },
            remove: () => this.#change(index, deregister(name, service.id), timeMs),
          },
        );
      }
      case "check": {
        const { node: name, check } = operation;
        const found = () => {
          const own = this.catalog.nodes.get(name);
          const held = own?.checks.get(check.checkId);
          if (held === undefined) return undefined;
          const service = own!.services.get(held.serviceId);
          const [serviceName, serviceTags] = [service?.service ?? "", service?.tags ?? []];
          return { ...held, node: own!.record.node, serviceName, serviceTags };
        };
        return this.#verb(
          operation,
          `check ${quote(check.checkId)} on node ${quote(name)}`,
          "Check",
          {
            held: found(),
            found,
            set: () => {
              const own = this.catalog.nodes.get(name);
              if (own === undefined) return "Missing node registration";
              if (check.serviceId !== "" && !own.services.has(check.serviceId))
                return "Missing service registration";
              return this.#change(index, register(node(name), null, [check], true), timeMs);
            },
            remove: () => this.#change(index, deregister(name, "", check.checkId), timeMs),
          },
        );
      }
    }
  }

  #verb(
    { type, verb, index }: TxnOperation,
    what: string,
    kind: string,
    how: {
      held: { modifyIndex: number } | undefined;
      found(): object | undefined;
      set(): string | undefined;
      remove(): string | undefined;
    },
  ): Step {
    const line = () => {
      const record = how.found();
      return record === undefined ? [] : [{ type, record: structuredClone(record) }];
    };
    if (verb === "get")
      return how.found() === undefined ? { error: `${what} doesn't exist` } : { lines: line() };
    if (verb === "set" || verb === "cas") {
      if (verb === "cas" && (how.held === undefined ? index !== 0 : index !== how.held.modifyIndex))
        return { error: `failed to set ${what}, index is stale` };
      const error = how.set();
      return error === undefined ? { lines: line() } : { error };
    }
    if (verb === "delete" || verb === "delete-cas") {
      if (verb === "delete-cas" && (how.held === undefined || index !== how.held.modifyIndex))
        return { error: `failed to delete ${what}, index is stale` };
      how.remove();
      return { lines: [] };
    }
    return { error: `unknown ${kind} verb ${quote(verb)}` };
  }

  #change(
    index: number,
    command: Extract<Command, { type: "register" | "deregister" }>,
    timeMs: number,
  ): undefined {
    this.catalog.apply(index, structuredClone(command));
    this.#sync(index, timeMs);
  }

  /** Sessions that lost node or check end in the model of keys as well. */
  #sync(index: number, timeMs: number): void {
    this.keys.nodes = new Map();
    for (const { record, checks } of this.catalog.nodes.values()) {
      const statuses = [...checks].map(([id, { status }]) => [id, status] as const);
      this.keys.nodes.set(record.node, new Map(statuses));
    }
    this.keys.apply(index, { type: "session-destroy", id: "nobody" }, timeMs);
  }

  #key(index: number, operation: Extract<TxnOperation, { type: "kv" }>, timeMs: number): Step {
    const { verb, key, session } = operation;
    const name = quote(key);
    const held = this.keys.get(key);
    const line = (showsValue = false) => ({
      lines: [{ type: "kv", record: { ...this.keys.get(key) }, showsValue }],
    });
    const write = () => {
      const written = operation as unknown as KvOperation; // the verb says which
      return this.keys.apply(index, { type: "kv", operation: written }, timeMs);
    };
    switch (verb) {
      case "get":
        return held === undefined ? { error: `key ${name} doesn't exist` } : line(true);
      case "get-tree":
        return {
          lines: this.keys
            .list(key)
            .map((record) => ({ type: "kv", record: { ...record }, showsValue: true })),
        };
      case "check-index":
        if (held === undefined)
          return { error: `failed to check index, key ${name} doesn't exist` };
        if (held.modifyIndex === operation.index) return line();
        return {
          error: `failed index check for key ${name}, current modify index ${held.modifyIndex} != ${operation.index}`,
        };
      case "check-session":
        if (held === undefined)
          return { error: `failed to check session, key ${name} doesn't exist` };
        if (held.session === session) return line();
        return {
          error: `failed session check for key ${name}, current session "${held.session}" != "${session}"`,
        };
      case "check-not-exists":
        return held === undefined ? { lines: [] } : { error: `key ${name} exists` };
      case "set":
        write();
        return line();
      case "delete":
      case "delete-tree":
        write();
        return { lines: [] };
    }
    const told: Record<string, string> = {
      cas: `failed to set key ${name}, index is stale`,
      "delete-cas": `failed to delete key ${name}, index is stale`,
      lock: this.#isDelayed(key, timeMs)
        ? `failed to lock key ${name} due to lock delay`
        : `failed to lock key ${name}, lock is already held`,
      unlock: `failed to unlock key ${name}, lock isn't held, or is held by another session`,
    };
    if (told[verb] === undefined) return { error: `unknown KV verb ${quote(verb)}` };
    const done = write();
    if (!done.ok) return { error: done.error.replace("raft apply failed: ", "") };
    if (done.value !== true) return { error: told[verb] };
    return verb === "delete-cas" ? { lines: [] } : line();
  }
}
