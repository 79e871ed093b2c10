/**
 * What a watch looks at: the parameters of `waypost watch` and of `watches` in the configuration → the
 * query that is asked again and again. Texts as those of Consul's package `watch`.
 */
import { fail, ok, type Result } from "../base.ts";

/** A watch that can be followed (follow.ts). */
export type WatchPlan = {
  readonly type: WatchType;
  /** Path of the query, escaped. */
  readonly path: string;
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** ACL token; "" for none. */
  readonly token: string;
  /** "" for the agent's own. */
  readonly datacenter: string;
};

/** The types that exist here. */
export type WatchType =
  "key" | "keyprefix" | "services" | "nodes" | "service" | "checks" | "event" | "agent_service";

/** Parameters by name, as JSON, HCL or the command line give them. */
export type WatchParameters = Readonly<Record<string, unknown>>;

/** Consul's types that are left out, for a text that says why. */
const mesh = ["connect_roots", "connect_leaf"];

/** What the builder of a plan reads its own parameters with; each name is taken off the list of unknown ones. */
type Take = {
  text(name: string): string;
  flag(name: string): boolean;
  /** One text or a list of them. */
  texts(name: string): readonly string[];
};

type Query = Pick<WatchPlan, "path" | "query">;

/** Thrown by the readers of parameters, caught in `parsePlan`. */
class Mistake extends Error {}

const builders: Record<WatchType, (take: Take) => Query> = {
  key(take) {
    const query = consistency(take);
    const key = required(take, "key", "Must specify a single key to watch");
    return { path: `/v1/kv/${escapeKey(key)}`, query };
  },
  keyprefix(take) {
    const query = consistency(take);
    const prefix = required(take, "prefix", "Must specify a single prefix to watch");
    return { path: `/v1/kv/${escapeKey(prefix)}`, query: { ...query, recurse: "" } };
  },
  services: (take) => ({
    path: "/v1/catalog/services",
    query: { ...consistency(take), ...filter(take) },
  }),
  nodes: (take) => ({
    path: "/v1/catalog/nodes",
    query: { ...consistency(take), ...filter(take) },
  }),
  service(take) {
    const query = { ...consistency(take), ...filter(take) };
    const service = required(take, "service", "Must specify a single service to watch");
    const tags = take.texts("tag");
    const passing = take.flag("passingonly") ? { passing: "1" } : {};
    return {
      path: `/v1/health/service/${segment(service)}`,
      query: { ...query, ...(tags.length === 0 ? {} : { tag: tags }), ...passing },
    };
  },
  checks(take) {
    const query = { ...consistency(take), ...filter(take) };
    const service = take.text("service");
    const state = take.text("state");
    if (service !== "" && state !== "") throw new Mistake("Cannot specify service and state");
    const path =
      service === ""
        ? `/v1/health/state/${segment(state || "any")}`
        : `/v1/health/checks/${segment(service)}`;
    return { path, query };
  },
  event(take) {
    const name = take.text("name");
    return { path: "/v1/event/list", query: name === "" ? {} : { name } };
  },
  agent_service: (take) => ({
    path: `/v1/agent/service/${segment(take.text("service_id"))}`,
    query: {},
  }),
};

/** The plan; every parameter has to be known to its type. The error is Consul's sentence where it has one. */
export function parsePlan(parameters: WatchParameters): Result<WatchPlan, string> {
  const left = new Map(Object.entries(parameters));
  const take = reader(left);
  try {
    const datacenter = take.text("datacenter");
    const token = take.text("token");
    const type = take.text("type");
    if (type === "") throw new Mistake("Watch type must be specified");
    if (mesh.includes(type))
      throw new Mistake(`Watch type ${type} is not supported: service mesh is left out`);
    if (!isWatchType(type)) throw new Mistake(`Unsupported watch type: ${type}`);
    const query = builders[type](take);
    if (left.size > 0)
      throw new Mistake(`Invalid parameters: [${[...left.keys()].toSorted().join(" ")}]`);
    return ok({ type, ...query, token, datacenter });
  } catch (error) {
    if (error instanceof Mistake) return fail(error.message);
    throw error;
  }
}

/** Is it one of the types? */
function isWatchType(word: string): word is WatchType {
  return Object.hasOwn(builders, word);
}

function reader(left: Map<string, unknown>): Take {
  const taken = (name: string): unknown => {
    const value = left.get(name);
    left.delete(name);
    return value ?? undefined;
  };
  return {
    text(name) {
      const value = taken(name) ?? "";
      if (typeof value !== "string") throw new Mistake(`Expecting ${name} to be a string`);
      return value;
    },
    flag(name) {
      const value = taken(name) ?? false;
      if (typeof value !== "boolean") throw new Mistake(`Expecting ${name} to be a boolean`);
      return value;
    },
    texts(name) {
      const value = taken(name) ?? [];
      if (typeof value === "string") return [value];
      if (!Array.isArray(value)) throw new Mistake(`Expecting ${name} to be a string or []string`);
      return value.map((each: unknown, i) => {
        if (typeof each === "string") return each;
        throw new Mistake(`Index ${i} of ${name} expected to be string`);
      });
    },
  };
}

function required(take: Take, name: string, missing: string): string {
  const value = take.text(name);
  if (value === "") throw new Mistake(missing);
  return value;
}

function consistency(take: Take): { stale?: string } {
  return take.flag("stale") ? { stale: "" } : {};
}

function filter(take: Take): { filter?: string } {
  const expression = take.text("filter");
  return expression === "" ? {} : { filter: expression };
}

/** A key as a path: its slashes stay, a leading one does not count. */
function escapeKey(key: string): string {
  return key.replace(/^\//, "").split("/").map(segment).join("/");
}

/** Halves of surrogate pairs become U+FFFD, as in Go. */
function segment(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
