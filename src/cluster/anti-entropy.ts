/**
 * Difference between what this agent has registered and what the catalog says about its node, as
 * commands. The local side wins; what the catalog has and nobody registered here goes. Source:
 * Consul's anti-entropy (agent/local) in 1.10.
 */
import type { CheckFields, Command, RegisterCommand, ServiceFields } from "./command.ts";
import { checkIdsOf, type LocalCheck, type LocalService, type LocalState } from "./local.ts";
import type { CatalogReader } from "./model.ts";
import { CONSUL_SERVICE_ID, SERF_CHECK_ID, type OwnNode } from "./own-node.ts";
import { sameCheck, sameList, sameNode, sameService } from "./same.ts";

type Reader = Pick<CatalogReader, "node" | "service" | "check" | "servicesOfNode" | "checksOfNode">;

/** Services whose own tags are to be written, and checks, that changed since the last commands. */
export type Touched = { services: ReadonlySet<string>; checks: ReadonlySet<string> };

/** What may be written now: rights of the entry's token (blocked.ts), writes of one check (flapping.ts). */
export type Gate = {
  mayWriteService(service: LocalService): boolean;
  mayWriteCheck(check: LocalCheck): boolean;
  /** Takes one write that does not make the check worse; false: not now. */
  takeWrite(checkId: string): boolean;
};

/** The two sides, and what stands between them. */
export type Sides = { state: LocalState; own: OwnNode; reader: Reader; gate: Gate };

/** Checks of one command, beside those that come with their service. */
const COMMAND_CHECKS_MAX = 128;
/** Characters of the texts in them; one check alone may have more. A command of the log holds 1.5 MiB. */
const COMMAND_CHARACTERS_MAX = 128 * 1024;

/**
 * Commands for what was touched. A touched service is written with its own tags even if the catalog
 * may override them: somebody has just registered it. Removals need no token: what the server has
 * written for its own node, it may take back.
 */
export function commandsForTouched(sides: Sides, touched: Touched): Command[] {
  const { state, own, reader } = sides;
  const { node } = own.node;
  const writer = createWriter(sides);
  const removed = new Set<string>();
  for (const id of touched.services) {
    const service = state.services.get(id);
    if (service) writer.writeService(service);
    else if (id === CONSUL_SERVICE_ID) {
      if (own.server) writer.writeServiceFields(own.server.service);
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
  // Without them a service that somebody removed would be back before what makes it unhealthy.
  for (const id of touched.services)
    if (reader.service(node, id) === undefined)
      for (const checkId of checkIdsOf(state, id))
        if (!touched.checks.has(checkId)) writer.writeCheck(state.checks.get(checkId)!);
  return writer.finish();
}

/**
 * Commands that make the catalog's view of this node equal to ours. Without `removesOthers`, what
 * somebody else has written for this node stays.
 */
export function commandsForAll(
  sides: Sides,
  touched: Touched,
  { removesOthers }: { removesOthers: boolean },
): Command[] {
  const { state, own, reader } = sides;
  const { node } = own.node;
  const writer = createWriter(sides);
  writer.checkNode();
  if (own.server) {
    if (!state.services.has(CONSUL_SERVICE_ID)) writer.writeServiceFields(own.server.service);
    writer.writeCheckFields(own.server.check);
  }
  for (const [id, service] of state.services)
    writer.writeService(
      touched.services.has(id)
        ? service
        : { ...service, fields: withCatalogTags(service.fields, node, reader) },
    );
  for (const check of state.checks.values()) writer.writeCheck(check);
  if (removesOthers) removeOthers(sides, writer);
  return [...endOfPredecessor(sides), ...writer.finish()];
}

function removeOthers({ state, own, reader }: Sides, writer: ReturnType<typeof createWriter>) {
  const { node } = own.node;
  const removed = new Set<string>();
  for (const { id } of reader.servicesOfNode(node)) {
    if (state.services.has(id) || id === CONSUL_SERVICE_ID) continue;
    removed.add(id);
    writer.commands.push({ type: "deregister", node, serviceId: id, checkId: "" });
  }
  for (const { checkId } of reader.checksOfNode(node))
    if (!state.checks.has(checkId)) writer.removeCheck(checkId, removed);
}

/**
 * A name is kept for the id that holds it while that node is alive. A server that comes back with
 * another id (its data directory is new) is the only one who knows that the other one is dead.
 */
function endOfPredecessor({ own, reader }: Sides): Command[] {
  const held = reader.node(own.node.node);
  if (own.server === null || held === undefined || held.id === "" || held.id === own.node.id)
    return [];
  const check: CheckFields = {
    ...own.server.check,
    status: "critical",
    output: "Agent has another node id now",
  };
  const register = { type: "register", node: own.node, service: null } as const;
  return [
    { ...register, skipNodeUpdate: true, checks: [check] },
    { ...register, skipNodeUpdate: false, checks: [own.server.check] },
  ];
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

type Draft = { service: ServiceFields | null; checks: CheckFields[] };

/** Collects registrations: one per service that changes, with its checks; the other checks share some. */
function createWriter({ state, own, reader, gate }: Sides) {
  const { node } = own.node;
  const held = reader.node(node);
  const isNodeSame = held !== undefined && held.node === node && sameNode(held, own.node);
  const commands: Command[] = [];
  const drafts = new Map<string, Draft>();
  let isNodeWanted = false;

  function draftOf(serviceId: string): Draft {
    let draft = drafts.get(serviceId);
    if (!draft) drafts.set(serviceId, (draft = { service: null, checks: [] }));
    return draft;
  }

  function writeServiceFields(fields: ServiceFields): void {
    if (isServiceOther(fields)) draftOf(fields.id).service = fields;
  }

  function isServiceOther(fields: ServiceFields): boolean {
    const record = reader.service(node, fields.id);
    return record === undefined || !sameService(record, fields, fields.weights);
  }

  function writeCheckFields(fields: CheckFields): void {
    const { serviceId } = fields;
    const record = reader.check(node, fields.checkId);
    if (record !== undefined && sameCheck(record, fields)) return;
    if (serviceId !== "" && reader.service(node, serviceId) === undefined) {
      const service = state.services.get(serviceId); // a check needs its service
      if (service === undefined || !gate.mayWriteService(service)) return;
      draftOf(serviceId).service ??= service.fields;
    }
    draftOf(serviceId).checks.push(fields);
  }

  /**
   * A state that is worse than the catalog's, or that the catalog has nothing of, goes there at once.
   * For others the check may have to wait: until then the catalog's state counts as ours.
   */
  function limited(fields: CheckFields): CheckFields {
    const record = reader.check(node, fields.checkId);
    if (record === undefined) return fields;
    const { status, output } = record;
    if (status === fields.status && output === fields.output) return fields;
    if (severity(fields.status) > severity(status) || gate.takeWrite(fields.checkId)) return fields;
    return { ...fields, status, output };
  }

  return {
    commands,
    writeServiceFields,
    writeCheckFields,
    writeService(service: LocalService): void {
      if (isServiceOther(service.fields) && gate.mayWriteService(service))
        draftOf(service.fields.id).service = service.fields;
    },
    /**
     * While an output is deferred, the catalog's output counts as ours. The cluster's own check is not
     * for local ones of its name: the node would count as dead.
     */
    writeCheck(check: LocalCheck): void {
      const { fields, isOutputDeferred } = check;
      if (fields.checkId === SERF_CHECK_ID) return;
      const record = reader.check(node, fields.checkId);
      const wanted =
        isOutputDeferred && record !== undefined ? { ...fields, output: record.output } : fields;
      if (record !== undefined && sameCheck(record, wanted)) return;
      if (gate.mayWriteCheck(check)) writeCheckFields(limited(wanted));
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
      const { node } = own;
      const register = ({ service, checks }: Draft): RegisterCommand => {
        return { type: "register", node, skipNodeUpdate: true, service, checks };
      };
      const all = [...drafts.values()];
      const registrations = [
        ...all.filter(({ service }) => service !== null),
        ...inCommands(all.flatMap(({ service, checks }) => (service === null ? checks : []))),
      ].map(register);
      if (registrations.length === 0 && isNodeWanted)
        registrations.push({ ...register({ service: null, checks: [] }), skipNodeUpdate: false });
      const [first] = registrations;
      if (first) first.skipNodeUpdate = isNodeSame;
      return [...registrations, ...commands];
    },
  };
}

function severity(status: string): number {
  return status === "passing" ? 0 : status === "warning" ? 1 : 2;
}

/** Checks of services that the catalog knows, as many per command as fit. */
function inCommands(checks: readonly CheckFields[]): Draft[] {
  const drafts: Draft[] = [];
  let last: Draft | undefined;
  let characters = 0;
  for (const check of checks) {
    const { output, notes, name, checkId, serviceId } = check;
    const more = output.length + notes.length + name.length + checkId.length + serviceId.length;
    characters += more;
    const isFull =
      last?.checks.length === COMMAND_CHECKS_MAX || characters > COMMAND_CHARACTERS_MAX;
    if (last === undefined || isFull) {
      drafts.push((last = { service: null, checks: [] }));
      characters = more;
    }
    last.checks.push(check);
  }
  return drafts;
}
