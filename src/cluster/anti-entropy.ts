/**
 * Difference between what this agent has registered and what the catalog says about its node, as
 * commands. The local side wins; what the catalog has and nobody registered here goes. Source:
 * Consul's anti-entropy (agent/local) in 1.10.
 */
import type { CheckFields, Command, RegisterCommand, ServiceFields } from "./command.ts";
import type { LocalCheck, LocalState } from "./local.ts";
import type { CatalogReader } from "./model.ts";
import { CONSUL_SERVICE_ID, SERF_CHECK_ID, type OwnNode } from "./own-node.ts";
import { sameCheck, sameList, sameNode, sameService } from "./same.ts";

type Reader = Pick<CatalogReader, "node" | "service" | "check" | "servicesOfNode" | "checksOfNode">;

/** Services whose own tags are to be written, and checks, that changed since the last commands. */
export type Touched = { services: ReadonlySet<string>; checks: ReadonlySet<string> };

/**
 * Commands for what was touched. A touched service is written with its own tags even if the catalog
 * may override them: somebody has just registered it.
 */
export function commandsForTouched(
  state: LocalState,
  own: OwnNode,
  reader: Reader,
  touched: Touched,
): Command[] {
  const { node } = own.node;
  const writer = createWriter(state, own, reader);
  const removed = new Set<string>();
  for (const id of touched.services) {
    const service = state.services.get(id);
    if (service) writer.writeService(service.fields);
    else if (id === CONSUL_SERVICE_ID) {
      if (own.server) writer.writeService(own.server.service);
    } else if (reader.service(node, id)) {
      removed.add(id);
      writer.commands.push({ type: "deregister", node, serviceId: id, checkId: "" });
    }
  }
  for (const id of touched.checks) {
    const check = state.checks.get(id);
    if (check) writer.writeCheck(check);
    else writer.removeCheck(id, removed);
  }
  return writer.finish();
}

/** Commands that make the catalog's view of this node equal to ours. */
export function commandsForAll(
  state: LocalState,
  own: OwnNode,
  reader: Reader,
  touched: Touched,
): Command[] {
  const { node } = own.node;
  const writer = createWriter(state, own, reader);
  writer.checkNode();
  if (own.server) {
    if (!state.services.has(CONSUL_SERVICE_ID)) writer.writeService(own.server.service);
    writer.writeCheckFields(own.server.check);
  }
  for (const [id, { fields }] of state.services)
    writer.writeService(touched.services.has(id) ? fields : withCatalogTags(fields, node, reader));
  for (const check of state.checks.values()) writer.writeCheck(check);
  const removed = new Set<string>();
  for (const { id } of reader.servicesOfNode(node)) {
    if (state.services.has(id) || id === CONSUL_SERVICE_ID) continue;
    removed.add(id);
    writer.commands.push({ type: "deregister", node, serviceId: id, checkId: "" });
  }
  for (const { checkId } of reader.checksOfNode(node))
    if (!state.checks.has(checkId)) writer.removeCheck(checkId, removed);
  return writer.finish();
}

/** Services whose tags the catalog overrides, with the catalog's tags; to be taken over locally. */
export function overriddenTags(
  state: LocalState,
  own: OwnNode,
  reader: Reader,
  touched: Touched,
): [string, ServiceFields][] {
  const overridden: [string, ServiceFields][] = [];
  for (const [id, { fields }] of state.services) {
    if (touched.services.has(id)) continue;
    const tagged = withCatalogTags(fields, own.node.node, reader);
    if (tagged !== fields) overridden.push([id, tagged]);
  }
  return overridden;
}

function withCatalogTags(fields: ServiceFields, node: string, reader: Reader): ServiceFields {
  if (!fields.enableTagOverride) return fields;
  const held = reader.service(node, fields.id);
  if (held === undefined || sameList(held.tags, fields.tags)) return fields;
  return { ...fields, tags: [...held.tags] };
}

/** Collects registrations: one per service with its checks, one for the checks of the node. */
function createWriter(state: LocalState, own: OwnNode, reader: Reader) {
  const { node } = own.node;
  const held = reader.node(node);
  const isNodeSame = held !== undefined && held.node === node && sameNode(held, own.node);
  const commands: Command[] = [];
  type Draft = { service: ServiceFields | null; checks: CheckFields[] };
  const drafts = new Map<string, Draft>();
  let isNodeWanted = false;

  function draftOf(serviceId: string): Draft {
    let draft = drafts.get(serviceId);
    if (!draft) drafts.set(serviceId, (draft = { service: null, checks: [] }));
    return draft;
  }

  function writeService(fields: ServiceFields): void {
    const record = reader.service(node, fields.id);
    if (record === undefined || !sameService(record, fields, fields.weights))
      draftOf(fields.id).service = fields;
  }

  function writeCheckFields(fields: CheckFields): void {
    const { serviceId } = fields;
    const record = reader.check(node, fields.checkId);
    if (record !== undefined && sameCheck(record, fields)) return;
    const draft = draftOf(serviceId);
    draft.checks.push(fields);
    if (serviceId === "" || reader.service(node, serviceId) !== undefined) return;
    draft.service ??= state.services.get(serviceId)?.fields ?? null; // a check needs its service
  }

  return {
    commands,
    writeService,
    writeCheckFields,
    /**
     * While an output is deferred, the catalog's output counts as ours. The cluster's own check is not
     * for local ones of its name: the node would count as dead.
     */
    writeCheck({ fields, isOutputDeferred }: LocalCheck): void {
      if (fields.checkId === SERF_CHECK_ID) return;
      const record = isOutputDeferred ? reader.check(node, fields.checkId) : undefined;
      writeCheckFields(record === undefined ? fields : { ...fields, output: record.output });
    },
    removeCheck(checkId: string, removedServices: ReadonlySet<string>): void {
      if (checkId === SERF_CHECK_ID) return;
      const record = reader.check(node, checkId);
      if (record === undefined || removedServices.has(record.serviceId)) return;
      commands.push({ type: "deregister", node, serviceId: "", checkId });
    },
    /** Writes the node record too, if it differs and nothing else carries it. */
    checkNode(): void {
      isNodeWanted = !isNodeSame;
    },
    /** Registrations first, then removals. The first registration brings the node record. */
    finish(): Command[] {
      const registrations: RegisterCommand[] = [...drafts.values()].map(({ service, checks }) => ({
        type: "register",
        node: own.node,
        skipNodeUpdate: true,
        service,
        checks,
      }));
      if (registrations.length === 0 && isNodeWanted)
        registrations.push({
          type: "register",
          node: own.node,
          skipNodeUpdate: false,
          service: null,
          checks: [],
        });
      const [first] = registrations;
      if (first) first.skipNodeUpdate = isNodeSame;
      return [...registrations, ...commands];
    },
  };
}
