/** What the external monitor looks at: nodes marked as external, and those of their checks that say how to look. */
import { checkFromStored, type CheckDefinition } from "../definition.ts";
import { serviceCheckShape } from "../definition-shapes.ts";
import { decodeShape } from "../decode.ts";
import type { NodeFields } from "../command.ts";
import type { CatalogReader, CheckRecord, NodeRecord } from "../model.ts";

/** The check that says whether an external node can be reached; id, name and texts are consul-esm's. */
export const NODE_CHECK_ID = "externalNodeHealth";
export const NODE_CHECK_NAME = "External Node Status";

/** Metadata that asks for probes, beside that which marks the node as external. */
export const PROBE_META = "external-probe";

/** A check without an interval is run this often. consul-esm: defaultInterval. */
const DEFAULT_INTERVAL_MS = 30_000;
/** Where a node listens that has no service with a port: RFC 862 (echo); a refusal is an answer too. */
const ECHO_PORT = 7;

/** How a check is run, and how many more results against its status than one it takes to change it. */
export type Target = {
  readonly checkId: string;
  readonly definition: CheckDefinition;
  readonly thresholds: Thresholds;
};

/** Results beyond the first that a change of status takes, for each direction. */
export type Thresholds = { readonly passing: number; readonly critical: number };

/** Does the node's metadata ask for probes? `nodeMeta`: pairs that mark an external node. */
export function isProbed(
  { meta }: NodeRecord,
  nodeMeta: Readonly<Record<string, string>>,
): boolean {
  if (meta?.[PROBE_META] !== "true") return false;
  return Object.entries(nodeMeta).every(([key, value]) => meta[key] === value);
}

/**
 * The checks of a node that name a URL or an address: as consul-esm HTTP and TCP alone, whatever else
 * a definition holds, because the catalog must not make a server run programs.
 */
export function targetsOf(reader: CatalogReader, node: string, usual: Thresholds): Target[] {
  const targets: Target[] = [];
  for (const record of reader.checksOfNode(node)) {
    const target = record.checkId === NODE_CHECK_ID ? undefined : targetOf(record, usual);
    if (target !== undefined) targets.push(target);
  }
  return targets;
}

function targetOf(record: CheckRecord, usual: Thresholds): Target | undefined {
  const decoded = decodeShape(serviceCheckShape, record.definition, {});
  // A log may hold any JSON as a definition; what cannot be read cannot be run.
  if (!decoded.ok) return undefined;
  const given = checkFromStored(decoded.value, { serviceId: "", token: "" });
  if (given.http === "" && given.tcp === "") return undefined;
  const { successBeforePassing, failuresBeforeCritical } = given;
  return {
    checkId: record.checkId,
    definition: {
      ...blankCheck,
      checkId: record.checkId,
      name: record.name,
      intervalMs: given.intervalMs > 0 ? given.intervalMs : DEFAULT_INTERVAL_MS,
      timeoutMs: given.timeoutMs,
      http: given.http,
      method: given.method,
      header: given.header,
      body: given.body,
      disableRedirects: given.disableRedirects,
      tlsServerName: given.tlsServerName,
      tlsSkipVerify: given.tlsSkipVerify,
      tcp: given.http === "" ? given.tcp : "",
      deregisterCriticalServiceAfterMs: given.deregisterCriticalServiceAfterMs,
      outputMaxSize: given.outputMaxSize,
    },
    thresholds: {
      passing: successBeforePassing > 0 ? successBeforePassing - 1 : usual.passing,
      critical: failuresBeforeCritical > 0 ? failuresBeforeCritical - 1 : usual.critical,
    },
  };
}

const blankCheck = blank();

function blank(): CheckDefinition {
  const decoded = decodeShape(serviceCheckShape, {}, {});
  if (!decoded.ok) throw new Error(decoded.error);
  return checkFromStored(decoded.value, { serviceId: "", token: "" });
}

/** The look at the node itself, as a check that a schedule can run; its name is the node's. */
export function nodeTarget(
  node: string,
  usual: Thresholds,
  every: { intervalMs: number; timeoutMs: number },
): Target {
  return {
    checkId: NODE_CHECK_ID,
    definition: { ...blankCheck, checkId: NODE_CHECK_ID, name: node, ...every },
    thresholds: usual,
  };
}

/** The port where a node ought to answer: that of its first service that has one. */
export function portOf(reader: CatalogReader, node: string): number {
  return reader.servicesOfNode(node).find(({ port }) => port > 0)?.port ?? ECHO_PORT;
}

/** A node as a command names it. */
export function nodeFieldsOf({ node, id, address, taggedAddresses, meta }: NodeRecord): NodeFields {
  return { node, id, address, taggedAddresses, meta };
}
