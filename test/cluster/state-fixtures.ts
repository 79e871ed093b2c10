/** Commands as short as a test wants them; everything not given has the default of a registration. */
import type {
  CheckFields,
  Command,
  DeregisterCommand,
  NodeFields,
  QueryFields,
  RegisterCommand,
  ServiceFields,
  SessionFields,
} from "../../src/cluster/command.ts";
import { createState, type Applied, type State } from "../../src/cluster/state.ts";

export function node(name: string, over: Partial<NodeFields> = {}): NodeFields {
  return { node: name, id: "", address: "10.0.0.1", taggedAddresses: null, meta: null, ...over };
}

export function service(name: string, over: Partial<ServiceFields> = {}): ServiceFields {
  return {
    id: name,
    service: name,
    kind: "",
    tags: [],
    address: "",
    taggedAddresses: null,
    meta: null,
    port: 80,
    socketPath: "",
    weights: { passing: 1, warning: 1 },
    enableTagOverride: false,
    proxy: null,
    connect: null,
    ...over,
  };
}

export function check(checkId: string, over: Partial<CheckFields> = {}): CheckFields {
  return {
    checkId,
    name: checkId,
    status: "passing",
    notes: "",
    output: "",
    serviceId: "",
    type: "",
    interval: "",
    timeout: "",
    exposedPort: 0,
    definition: {},
    ...over,
  };
}

export function register(
  nodeFields: NodeFields,
  serviceFields: ServiceFields | null = null,
  checks: CheckFields[] = [],
  skipNodeUpdate = false,
): RegisterCommand {
  return { type: "register", node: nodeFields, skipNodeUpdate, service: serviceFields, checks };
}

export function deregister(name: string, serviceId = "", checkId = ""): DeregisterCommand {
  return { type: "deregister", node: name, serviceId, checkId };
}

export function session(
  id: string,
  name: string,
  over: Partial<SessionFields> = {},
): Extract<Command, { type: "session-create" }> {
  const defaults: SessionFields = {
    id,
    name: "",
    node: name,
    lockDelayMs: 15_000,
    behavior: "release",
    ttl: "",
    nodeChecks: [],
    serviceChecks: null,
    checks: null,
  };
  return { type: "session-create", session: { ...defaults, ...over } };
}

export function query(
  id: string,
  name: string,
  over: { service?: Partial<QueryFields["service"]> } & Partial<
    Omit<QueryFields, "service" | "template">
  > & { template?: Partial<QueryFields["template"]> } = {},
  create = true,
): Extract<Command, { type: "query-set" }> {
  return {
    type: "query-set",
    create,
    query: {
      id,
      name,
      session: over.session ?? "",
      token: over.token ?? "",
      template: { type: "", regexp: "", removeEmptyTags: false, ...over.template },
      service: {
        service: "web",
        failover: { nearestN: 0, datacenters: null },
        onlyPassing: false,
        ignoreCheckIds: null,
        near: "",
        tags: null,
        nodeMeta: null,
        serviceMeta: null,
        connect: false,
        ...over.service,
      },
      dns: over.dns ?? { ttl: "" },
    },
  };
}

/** A state that counts its own log: `run` applies the next command, at the same time unless told. */
export function createLog(): {
  state: State;
  run: (command: Command, timeMs?: number) => Applied;
} {
  const state = createState();
  let index = 0;
  return {
    state,
    run: (command, timeMs = state.timeMs) => state.apply(++index, command, timeMs),
  };
}

/** Seeded random integers from 0 to below `bound` (mulberry32). */
export function createPick(seed: number): (bound: number) => number {
  let a = seed >>> 0;
  return (bound) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(a ^ (a >>> 15), a | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}
