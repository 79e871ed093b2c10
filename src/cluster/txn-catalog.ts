/** The verbs of a transaction on nodes, services and checks. Consul 1.10 agent/consul/state/txn.go. */
import { fail, ok, type Result } from "../base.ts";
import type {
  CheckFields,
  DeregisterCommand,
  NodeFields,
  RegisterCommand,
  ServiceFields,
} from "./command.ts";
import type { CatalogReader, CheckRecord, NodeRecord, ServiceRecord } from "./model.ts";
import { isUuid } from "./uuid.ts";

/** Verbs: `set`, `cas`, `get`, `delete`, `delete-cas`. `index` is what the `cas` ones compare with. */
type Verbed = { verb: string; index: number };
/** A node is found by its id where one is given, else by its name. */
type NodeOperation = Verbed & { type: "node"; node: NodeFields };
/** `node`: the name of the node that the service stands on. */
type ServiceOperation = Verbed & { type: "service"; node: string; service: ServiceFields };
type CheckOperation = Verbed & { type: "check"; node: string; check: CheckFields };

/** One operation on the catalog. */
export type CatalogOperation = NodeOperation | ServiceOperation | CheckOperation;

/** The state machine of the commands of these names; a refusal changes nothing. */
export type CatalogWriter = {
  register: (command: RegisterCommand) => Result<true, string>;
  deregister: (command: DeregisterCommand) => Result<true, string>;
};

/** The node that the verb found or left; undefined where it deletes. No writer: it may only read. */
export function runNode(
  reader: CatalogReader,
  writer: CatalogWriter | undefined,
  operation: NodeOperation,
): Result<NodeRecord | undefined, string> {
  const { node } = operation;
  if (operation.verb === "get" && node.id !== "" && !isUuid(node.id))
    return fail(`node lookup by ID failed, wrong UUID: ${JSON.stringify(node.id)}`);
  return runVerb(writer, operation, {
    kind: "Node",
    what: `node ${JSON.stringify(node.node)}`,
    held: reader.node(node.node),
    find: () => (node.id === "" ? reader.node(node.node) : reader.nodeById(node.id)),
    set: ({ register }) => register(registration(node, { skipNodeUpdate: false })),
    remove: ({ deregister }) => deregister(deregistration(node.node)),
  });
}

/** The same for a service. */
export function runService(
  reader: CatalogReader,
  writer: CatalogWriter | undefined,
  operation: ServiceOperation,
): Result<ServiceRecord | undefined, string> {
  const { node, service } = operation;
  const find = () => reader.service(node, service.id);
  return runVerb(writer, operation, {
    kind: "Service",
    what: onNode("service", service.id, node),
    held: find(),
    find,
    set: ({ register }) =>
      reader.node(node) === undefined
        ? fail("Missing node registration")
        : register(registration(nodeNamed(node), { service })),
    // Without an id it would be the node that goes.
    remove: ({ deregister }) =>
      service.id === "" ? ok(true) : deregister({ ...deregistration(node), serviceId: service.id }),
  });
}

/** The same for a check. */
export function runCheck(
  reader: CatalogReader,
  writer: CatalogWriter | undefined,
  operation: CheckOperation,
): Result<CheckRecord | undefined, string> {
  const { node, check } = operation;
  const find = () => reader.check(node, check.checkId);
  return runVerb(writer, operation, {
    kind: "Check",
    what: onNode("check", check.checkId, node),
    held: find(),
    find,
    set: ({ register }) => {
      if (reader.node(node) === undefined) return fail("Missing node registration");
      if (check.serviceId !== "" && reader.service(node, check.serviceId) === undefined)
        return fail("Missing service registration");
      return register(registration(nodeNamed(node), { checks: [check] }));
    },
    remove: ({ deregister }) =>
      check.checkId === ""
        ? ok(true)
        : deregister({ ...deregistration(node), checkId: check.checkId }),
  });
}

/** Consul's text for a verb that the kind does not have. */
export function unknownVerb(kind: string, verb: string): string {
  return `unknown ${kind} verb ${JSON.stringify(verb)}`;
}

type Row<R> = {
  kind: string;
  /** How texts name it. */
  what: string;
  /** What stands under the operation's name: the `cas` verbs compare with it. */
  held: R | undefined;
  find: () => R | undefined;
  set: (writer: CatalogWriter) => Result<true, string>;
  remove: (writer: CatalogWriter) => Result<true, string>;
};

function runVerb<R extends { modifyIndex: number }>(
  writer: CatalogWriter | undefined,
  { verb, index }: Verbed,
  { kind, what, held, find, set, remove }: Row<R>,
): Result<R | undefined, string> {
  if (verb === "get") {
    const found = find();
    return found === undefined ? fail(`${what} doesn't exist`) : ok(found);
  }
  if (writer === undefined) return fail(unknownVerb(kind, verb));
  // 0 stands for: there must be none.
  if (verb === "cas" && (held?.modifyIndex ?? 0) !== index)
    return fail(`failed to set ${what}, index is stale`);
  if (verb === "delete-cas" && held?.modifyIndex !== index)
    return fail(`failed to delete ${what}, index is stale`);
  switch (verb) {
    case "set":
    case "cas": {
      const done = set(writer);
      return done.ok ? ok(find()) : fail(done.error.replace(partFailed, ""));
    }
    case "delete":
    case "delete-cas": {
      const done = remove(writer);
      return done.ok ? ok(undefined) : done;
    }
    default:
      return fail(unknownVerb(kind, verb));
  }
}

/** What a registration of several parts says before the error of one. */
const partFailed = /^failed inserting (node|service|check): /;

const onNode = (kind: string, id: string, node: string) =>
  `${kind} ${JSON.stringify(id)} on node ${JSON.stringify(node)}`;

const nodeNamed = (node: string): NodeFields => ({
  node,
  id: "",
  address: "",
  taggedAddresses: null,
  meta: null,
});

function registration(node: NodeFields, more: Partial<RegisterCommand>): RegisterCommand {
  return { type: "register", node, skipNodeUpdate: true, service: null, checks: [], ...more };
}

function deregistration(node: string): DeregisterCommand {
  return { type: "deregister", node, serviceId: "", checkId: "" };
}
