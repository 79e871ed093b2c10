/**
 * The state as simply as it can be said: plain maps, everything looked at anew for every question.
 * It knows no topics and no indexes; the test derives both from what readers could see before and
 * after a command.
 */
import type {
  CheckFields,
  Command,
  DeregisterCommand,
  NodeFields,
  RegisterCommand,
  ServiceFields,
} from "../../src/cluster/command.ts";

type Stamps = { createIndex: number; modifyIndex: number };
type NodeModel = {
  record: NodeFields & Stamps;
  services: Map<string, ServiceFields & Stamps>;
  checks: Map<string, CheckFields & Stamps>;
};

/** The commands that the model knows. */
export type ModelCommand = Extract<
  Command,
  { type: "register" | "deregister" | "session-create" | "session-destroy" | "query-set" }
>;

export class Model {
  nodes = new Map<string, NodeModel>();
  sessions = new Map<string, { node: string; checks: string[] }>();
  /** Query id → session. */
  queries = new Map<string, string>();

  /** false: refused, nothing changed. */
  apply(index: number, command: ModelCommand): boolean {
    switch (command.type) {
      case "register":
        return this.#register(index, command);
      case "deregister":
        this.#deregister(command);
        return true;
      case "session-create":
        return this.#createSession(command.session);
      case "session-destroy":
        this.#endSessions((id) => id === command.id);
        return true;
      case "query-set":
        return this.#setQuery(command.query.id, command.query.session, command.create);
    }
  }

  #register(index: number, command: RegisterCommand): boolean {
    const { node: fields, service, checks } = command;
    const key = fields.node.toLowerCase();
    const before = structuredClone(this.nodes);
    const held = this.nodes.get(key);
    if (held === undefined || !command.skipNodeUpdate) {
      const renamed = [...this.nodes.values()].find(
        ({ record }) => fields.id !== "" && record.id === fields.id,
      );
      const other = renamed !== undefined && renamed !== held ? renamed : undefined;
      if (other !== undefined) this.nodes.delete(other.record.node.toLowerCase());
      const name = held?.record.node ?? fields.node;
      const createIndex = other?.record.createIndex ?? held?.record.createIndex ?? index;
      const record = this.#stamped({ ...fields, node: name }, held?.record, index, createIndex);
      const [services, ownChecks] = [held?.services ?? new Map(), held?.checks ?? new Map()];
      this.nodes.set(key, { record, services, checks: ownChecks });
    }
    const node = this.nodes.get(key)!;
    if (service !== null)
      node.services.set(service.id, this.#stamped(service, node.services.get(service.id), index));
    for (const check of checks) {
      if (check.serviceId !== "" && !node.services.has(check.serviceId)) {
        this.nodes = before;
        return false;
      }
      node.checks.set(check.checkId, this.#stamped(check, node.checks.get(check.checkId), index));
    }
    this.#endBroken();
    return true;
  }

  #stamped<F extends object>(
    fields: F,
    held: (F & Stamps) | undefined,
    index: number,
    createIndex = held?.createIndex ?? index,
  ): F & Stamps {
    if (held !== undefined) {
      const same = { ...fields, createIndex: held.createIndex, modifyIndex: held.modifyIndex };
      if (createIndex === held.createIndex && JSON.stringify(same) === JSON.stringify(held))
        return held;
    }
    return { ...fields, createIndex, modifyIndex: index };
  }

  #deregister({ node: name, serviceId, checkId }: DeregisterCommand): void {
    const node = this.nodes.get(name.toLowerCase());
    if (node === undefined) return;
    if (serviceId !== "") {
      if (!node.services.delete(serviceId)) return;
      for (const [id, check] of node.checks)
        if (check.serviceId === serviceId) node.checks.delete(id);
    } else if (checkId !== "") node.checks.delete(checkId);
    else this.nodes.delete(name.toLowerCase());
    this.#endBroken();
  }

  #createSession(session: Extract<Command, { type: "session-create" }>["session"]): boolean {
    const checks = [...session.nodeChecks, ...(session.checks ?? [])];
    const node = this.nodes.get(session.node.toLowerCase());
    if (node === undefined || this.sessions.has(session.id)) return false;
    if (checks.some((id) => (node.checks.get(id)?.status ?? "critical") === "critical"))
      return false;
    this.sessions.set(session.id, { node: session.node, checks });
    return true;
  }

  #setQuery(id: string, session: string, create: boolean): boolean {
    if (!this.queries.has(id) && !create) return false;
    const unchanged = this.queries.get(id) === session;
    if (!unchanged && session !== "" && !this.sessions.has(session)) return false;
    this.queries.set(id, session);
    return true;
  }

  /** Sessions whose node is gone, or whose check is gone or critical. */
  #endBroken(): void {
    this.#endSessions((_, { node: name, checks }) => {
      const node = this.nodes.get(name.toLowerCase());
      const broken = (id: string) => (node?.checks.get(id)?.status ?? "critical") === "critical";
      return node === undefined || checks.some(broken);
    });
  }

  #endSessions(ends: (id: string, session: { node: string; checks: string[] }) => boolean): void {
    for (const [id, session] of this.sessions) {
      if (!ends(id, session)) continue;
      this.sessions.delete(id);
      for (const [queryId, bound] of this.queries) if (bound === id) this.queries.delete(queryId);
    }
  }

  /** What a reader of each topic could see; a topic must be touched if and only if this changes. */
  views(): Map<string, string> {
    const views = new Map<string, unknown[]>();
    const see = (topic: string, what: unknown) =>
      views.set(topic, [...(views.get(topic) ?? []), what]);
    for (const key of [...this.nodes.keys()].sort()) {
      const { record, services, checks } = this.nodes.get(key)!;
      const nodeChecks = [...checks.values()]
        .filter((c) => c.serviceId === "")
        .map(text)
        .sort();
      see("nodes", record);
      see("addresses", [record.node, record.address, record.taggedAddresses]);
      const own = [...services.values()].map(text).sort();
      see(`node:${key}`, [record, own, [...checks.values()].map(text).sort()]);
      for (const id of [...services.keys()].sort()) {
        const service = services.get(id)!;
        const ownChecks = [...checks.values()]
          .filter((c) => c.serviceId === id)
          .map(text)
          .sort();
        see("services", [record.node, service]);
        see(`service:${service.service.toLowerCase()}`, [record, service, nodeChecks, ownChecks]);
        if (service.address !== "")
          see("addresses", [record.node, id, service.address, service.service]);
      }
      // A check shows name and tags of its service.
      const shown = [...checks.values()].map((check) => {
        const own = services.get(check.serviceId);
        return text([check, own?.service, own?.tags]);
      });
      for (const check of shown.sort()) see("checks", [key, check]);
    }
    for (const id of [...this.sessions.keys()].sort()) {
      see("sessions", id);
      see(`session:${id}`, id);
    }
    for (const id of [...this.queries.keys()].sort()) see("queries", [id, this.queries.get(id)]);
    return new Map([...views].map(([topic, seen]) => [topic, JSON.stringify(seen)]));
  }
}

function text(value: unknown): string {
  return JSON.stringify(value);
}
