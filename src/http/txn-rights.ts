/** What is looked at before a transaction runs: what each operation lacks, and who may do it. */
import type { Authorizer } from "../cluster/acl.ts";
import type { CatalogReader } from "../cluster/model.ts";
import { isAnyAddress } from "../cluster/service-address.ts";
import type { TxnError, TxnOperation, TxnResult } from "../cluster/txn.ts";
import { nodeIdProblem } from "./uuid.ts";

const denied = "Permission denied";

/**
 * Why operations may not run, all of them; they are told without running any. Consul 1.10
 * agent/consul/txn_endpoint.go (preCheck), except that services and checks are those that stand in
 * the catalog, as in register and deregister, and not what the operation calls them.
 */
export function findRefused(
  operations: readonly TxnOperation[],
  rights: Authorizer,
  reader: CatalogReader,
): TxnError[] {
  const errors: TxnError[] = [];
  for (const [opIndex, operation] of operations.entries()) {
    const what = problemOf(operation, operations.slice(0, opIndex), rights, reader);
    if (what !== undefined) errors.push({ opIndex, what });
  }
  return errors;
}

/** What the caller may not read is left out of the results. */
export function isResultReadable(result: TxnResult, rights: Authorizer): boolean {
  switch (result.type) {
    case "kv":
      return rights.keyRead(result.record.key);
    case "node":
      return rights.nodeRead(result.record.node);
    case "service":
      return rights.serviceRead(result.record.service);
    case "check": {
      const { serviceName, node } = result.record;
      return serviceName === "" ? rights.nodeRead(node) : rights.serviceRead(serviceName);
    }
  }
}

function problemOf(
  operation: TxnOperation,
  earlier: readonly TxnOperation[],
  rights: Authorizer,
  reader: CatalogReader,
): string | undefined {
  if (operation.type === "kv") return problemOfKey(operation, rights);
  // Answers to these are filtered afterwards.
  if (operation.verb === "get") return undefined;
  switch (operation.type) {
    case "node":
      return problemOfNode(operation, rights);
    case "service":
      return problemOfService(operation, rights, reader);
    case "check":
      return problemOfCheck(operation, earlier, rights, reader);
  }
}

type Kind<T extends TxnOperation["type"]> = Extract<TxnOperation, { type: T }>;

function problemOfKey({ verb, key }: Kind<"kv">, rights: Authorizer): string | undefined {
  if (key === "" && verb !== "delete-tree") return "Must provide key";
  switch (verb) {
    case "get":
    case "get-tree":
      return undefined;
    case "delete-tree":
      return rights.keyWritePrefix(key) ? undefined : denied;
    case "check-index":
    case "check-session":
      return rights.keyRead(key) ? undefined : denied;
    default:
      return rights.keyWrite(key) ? undefined : denied;
  }
}

function problemOfNode({ node }: Kind<"node">, rights: Authorizer): string | undefined {
  if (node.node === "") return "Must provide node";
  const problem = node.id === "" ? undefined : nodeIdProblem(node.id);
  if (problem !== undefined) return problem;
  return rights.nodeWrite(node.node) ? undefined : denied;
}

function problemOfService(
  { node, service }: Kind<"service">,
  rights: Authorizer,
  reader: CatalogReader,
): string | undefined {
  if (service.service === "") return "Must provide service name with ID";
  if (isAnyAddress(service.address)) return "Invalid service address";
  const held = reader.service(node, service.id);
  const mayWrite =
    rights.serviceWrite(service.service) &&
    (held === undefined || rights.serviceWrite(held.service));
  return mayWrite ? undefined : denied;
}

function problemOfCheck(
  { verb, node, check }: Kind<"check">,
  earlier: readonly TxnOperation[],
  rights: Authorizer,
  reader: CatalogReader,
): string | undefined {
  if (check.checkId === "") return "Must provide check name or ID";
  /** Without a service of that id its node answers for it. */
  const mayWrite = (serviceId: string): boolean => {
    const registered = earlier.findLast(
      (other) =>
        other.type === "service" &&
        other.service.id === serviceId &&
        other.node.toLowerCase() === node.toLowerCase(),
    );
    const service =
      registered?.type === "service" ? registered.service : reader.service(node, serviceId);
    return service === undefined ? rights.nodeWrite(node) : rights.serviceWrite(service.service);
  };
  const held = reader.check(node, check.checkId);
  const isRemoval = verb === "delete" || verb === "delete-cas";
  const mayAll =
    (held === undefined || mayWrite(held.serviceId)) &&
    ((isRemoval && held !== undefined) || mayWrite(check.serviceId));
  return mayAll ? undefined : denied;
}
