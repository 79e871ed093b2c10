/** Rules of health checks, without a clock or a socket: thresholds, TTL texts, output limits, aliases. */
import type { CheckDefinition } from "../definition.ts";

/** The words of HealthCheck.Status. */
export type CheckStatus = "passing" | "warning" | "critical";

/** What one run of a check found. */
export type ProbeResult = { status: CheckStatus; output: string };

/** Runs more often than this are slowed down to it. Consul: MinInterval. */
const MIN_INTERVAL_MS = 1_000;
/** Octets of output kept when nothing else is configured. Consul: DefaultBufSize. */
const DEFAULT_OUTPUT_MAX = 4_096;
/** A probe without a timeout of its own gives up after this long. Consul: 10 s. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** A program without a timeout of its own is killed after this long. Consul: 30 s. */
export const PROGRAM_TIMEOUT_MS = 30_000;
/** The longest that a timer of the runtime can wait: 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Runs of one check in a row with the same outcome. */
export type Counters = { successes: number; failures: number };

/** Counters at their thresholds: the first result of all counts at once. Consul: NewStatusHandler. */
export function newCounters(check: CheckDefinition): Counters {
  return { successes: check.successBeforePassing, failures: check.failuresBeforeCritical };
}

/**
 * Counts one result and says which status to report now, undefined for none: a run below its
 * threshold changes nothing. Warning counts as success, as in Consul (StatusHandler).
 */
export function countResult(
  counters: Counters,
  check: CheckDefinition,
  found: CheckStatus,
): CheckStatus | undefined {
  if (found !== "critical") {
    counters.successes++;
    counters.failures = 0;
    return counters.successes >= check.successBeforePassing ? found : undefined;
  }
  counters.failures++;
  counters.successes = 0;
  if (counters.failures >= check.failuresBeforeCritical) return "critical";
  const beforeWarning =
    check.failuresBeforeWarning === 0 ? check.failuresBeforeCritical : check.failuresBeforeWarning;
  return counters.failures >= beforeWarning ? "warning" : undefined;
}

/** Milliseconds between the runs of a check. */
export function intervalOf(check: CheckDefinition): number {
  return Math.max(check.intervalMs, MIN_INTERVAL_MS);
}

/** Milliseconds that a probe of this check may take. */
export function timeoutOf(check: CheckDefinition, defaultMs = DEFAULT_TIMEOUT_MS): number {
  return check.timeoutMs > 0 ? Math.min(check.timeoutMs, MAX_TIMER_MS) : defaultMs;
}

/**
 * Where in its interval a check has its place, from 0 to below 1: spread evenly over ids, the same for
 * an id as long as the salt is.
 */
export function phaseOf(id: string, salt: number): number {
  let hash = (salt ^ 0x811c9dc5) >>> 0; // FNV-1a, then the finalizer of MurmurHash3
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** Octets of output to keep: a check may only lower what the agent allows (0: the default). */
export function outputLimit(check: CheckDefinition, agentMax: number): number {
  const limit = agentMax > 0 ? agentMax : DEFAULT_OUTPUT_MAX;
  return check.outputMaxSize > 0 ? Math.min(limit, check.outputMaxSize) : limit;
}

/** Output of a TTL update, cut to `maxOctets` with Consul's remark about it. */
export function cutOutput(output: string, maxOctets: number): string {
  if (output.length * 3 <= maxOctets) return output; // UTF-8 needs at most 3 octets per UTF-16 unit
  const octets = new TextEncoder().encode(output);
  if (octets.length <= maxOctets) return output;
  const kept = decodeWhole(octets.subarray(0, wholeCharacters(octets, maxOctets)));
  return `${kept} ... (captured ${maxOctets} of ${octets.length} bytes)`;
}

/** The last `maxOctets` octets as text, without a broken character at the start. */
export function lastOctets(octets: Uint8Array, maxOctets: number): string {
  let start = Math.max(0, octets.length - maxOctets);
  if (start > 0) while (start < octets.length && (octets[start]! & 0xc0) === 0x80) start++;
  return decodeWhole(octets.subarray(start));
}

/** Largest length up to `limit` that does not end inside a UTF-8 sequence. */
function wholeCharacters(octets: Uint8Array, limit: number): number {
  let end = limit;
  while (end > 0 && (octets[end]! & 0xc0) === 0x80) end--;
  return end;
}

function decodeWhole(octets: Uint8Array): string {
  return new TextDecoder().decode(octets);
}

/** Output of a TTL check whose time has run out. */
export function expiredOutput(lastOutput: string): string {
  return lastOutput === ""
    ? "TTL expired"
    : `TTL expired (last output before timeout follows): ${lastOutput}`;
}

/** What an alias looks at. */
export type AliasedCheck = {
  checkId: string;
  name: string;
  status: string;
  output: string;
  serviceId: string;
  type: string;
};

/**
 * Status of an alias: the worst of the service's checks and the node's own. Aliases that belong to
 * the node are left out: they would see themselves and never become passing again (in Consul 1.10
 * such an alias stays critical). Checks are taken in order of their ids, so the text is stable.
 */
export function aliasResult(
  target: { node: string; serviceId: string; serviceExists: boolean },
  checks: Iterable<AliasedCheck>,
  isNodeAlias: (check: AliasedCheck) => boolean,
): ProbeResult {
  let status: CheckStatus = "passing";
  let output = "No checks found.";
  const relevant = [...checks]
    .filter((check) => check.serviceId === "" || check.serviceId === target.serviceId)
    .filter((check) => check.serviceId !== "" || !isNodeAlias(check))
    .sort((a, b) => (a.checkId < b.checkId ? -1 : 1));
  for (const check of relevant) {
    if (check.status !== "critical" && check.status !== "warning") {
      if (status === "passing") output = "All checks passing.";
      continue;
    }
    if (status === "warning" && check.status === "warning") continue;
    status = check.status;
    output = `Aliased check ${JSON.stringify(check.name)} failing: ${check.output}`;
    if (status === "critical") break;
  }
  const isFound = target.serviceExists || relevant.some(({ serviceId }) => serviceId !== "");
  if (target.serviceId === "" || isFound) return { status, output };
  return {
    status: "critical",
    output: `Service ${target.serviceId} could not be found on node ${target.node}`,
  };
}
