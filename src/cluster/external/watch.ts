/**
 * What the external monitor does while this server leads: one schedule for nodes and one for checks,
 * kept to what the catalog says, and the results on their way into it.
 */
import type { Cancel } from "../../ports.ts";
import type { CheckStatus, ProbeResult } from "../checks/check.ts";
import { createChangeLog } from "../checks/change-log.ts";
import { createSchedule, type Probe, type Schedule } from "../checks/schedule.ts";
import type { CheckFields } from "../command.ts";
import { newCheckFields } from "../definition.ts";
import type { CheckRecord, NodeRecord, Topic } from "../model.ts";
import { deadForMs, noteOfDead } from "./dead.ts";
import type { MonitorDeps, MonitorFigures } from "./monitor.ts";
import { createTally, weigh, type Tally } from "./tally.ts";
import {
  isProbed,
  NODE_CHECK_ID,
  NODE_CHECK_NAME,
  nodeFieldsOf,
  nodeTarget,
  portOf,
  targetsOf,
  type Target,
} from "./targets.ts";
import { createWrites } from "./writes.ts";

/** Checks and nodes probed at a time. When full, further nodes are left out until there is room, and counted. */
export const MAX_TARGETS = 10_000;
/** Changes of the catalog are looked at together, at most this late. */
const LOOK_MS = 100;

/** Outputs of the node's check, consul-esm's. */
const ALIVE: ProbeResult = { status: "passing", output: "Node alive or reachable" };
const DEAD: ProbeResult = { status: "critical", output: "Node not live or unreachable" };

/** Figures of a monitor that does not run. */
export const idle = { nodes: 0, checks: 0, leftOut: 0, running: 0, waiting: 0, writesWaiting: 0 };

/** Counts that outlive a term of leadership. */
export type WatchCounts = Pick<
  MonitorFigures,
  "probes" | "statusChanges" | "written" | "conflicts" | "removed"
>;

/** One check under watch. */
type Running = {
  readonly node: string;
  readonly target: Target;
  /** To tell whether the catalog says something else now. */
  readonly text: string;
  readonly tally: Tally;
  /** Since when results are critical without a break, NaN: they are not. Monotonic. */
  criticalSinceMs: number;
  /** Since when the output is another than the catalog's, NaN: it is not. */
  outputSinceMs: number;
};

/** The probes of one term of leadership. */
export type Watch = {
  touched(topics: readonly Topic[]): void;
  figures(): typeof idle;
  stop(): void;
};

/** Starts with all nodes that are there; the settings are those of now. */
export function createWatch(deps: MonitorDeps, counts: WatchCounts): Watch {
  const { reader, clock, timers, random, log } = deps;
  const settings = deps.settings();
  const thresholds = { passing: settings.passingThreshold, critical: settings.criticalThreshold };
  /** By lower-case name of the node, then by check id. */
  const watched = new Map<string, Map<string, Running>>();
  const leftOut = new Set<string>();
  const dirty = new Set<string>();
  let targetCount = 0;
  let armed: Cancel | undefined;
  let saidFull = false;
  const tell = createChangeLog(deps, "more external checks changed");

  const writes = createWrites({ propose: deps.propose, timers, counts });
  const world = { clock, timers, random };
  const schedules = {
    check: createSchedule({ ...world, probe: probeOfCheck(deps, counts), report }),
    node: createSchedule({ ...world, probe: probeOfNode(deps, counts), report }),
  };
  const scheduleOf = ({ checkId }: Target): Schedule =>
    checkId === NODE_CHECK_ID ? schedules.node : schedules.check;

  function look(): void {
    armed = undefined;
    const lowers = [...dirty];
    dirty.clear();
    const before = targetCount;
    for (const lower of lowers) follow(lower);
    if (targetCount < before && leftOut.size > 0) lookSoon([...leftOut]);
  }

  function lookSoon(lowers: Iterable<string>): void {
    for (const lower of lowers) dirty.add(lower);
    if (dirty.size > 0) armed ??= timers.after(LOOK_MS, look);
  }

  /** Brings the probes of one node to what the catalog says of it. */
  function follow(lower: string): void {
    const node = reader.node(lower);
    const isWanted = node !== undefined && isProbed(node, settings.nodeMeta);
    // Nearly all nodes of a catalog have an agent.
    if (!isWanted && !watched.has(lower) && !leftOut.has(lower)) return;
    const wanted = isWanted ? wantedOf(node) : [];
    const held = watched.get(lower) ?? new Map<string, Running>();
    const texts = new Map(wanted.map((target) => [target.checkId, JSON.stringify(target)]));
    for (const [checkId, running] of held)
      if (texts.get(checkId) !== running.text) drop(lower, held, running);
    leftOut.delete(lower);
    if (targetCount + wanted.length - held.size > MAX_TARGETS) {
      leaveOut(lower);
      return;
    }
    for (const target of wanted)
      if (!held.has(target.checkId)) add(lower, held, node!.node, target, texts);
    if (held.size > 0) watched.set(lower, held);
    else watched.delete(lower);
  }

  function wantedOf({ node }: NodeRecord): Target[] {
    const every = {
      intervalMs: settings.nodeProbeIntervalMs,
      timeoutMs: settings.nodeProbeTimeoutMs,
    };
    return [nodeTarget(node, thresholds, every), ...targetsOf(reader, node, thresholds)];
  }

  function add(
    lower: string,
    held: Map<string, Running>,
    node: string,
    target: Target,
    texts: ReadonlyMap<string, string>,
  ): void {
    held.set(target.checkId, {
      node,
      target,
      text: texts.get(target.checkId)!,
      tally: createTally(),
      criticalSinceMs: NaN,
      outputSinceMs: NaN,
    });
    targetCount++;
    scheduleOf(target).start(
      keyOf(lower, target.checkId),
      target.definition,
      settings.outputMaxOctets,
    );
  }

  function drop(lower: string, held: Map<string, Running>, { target }: Running): void {
    held.delete(target.checkId);
    targetCount--;
    scheduleOf(target).stop(keyOf(lower, target.checkId));
  }

  /** All of a node or nothing of it: half of its checks would look like the whole. */
  function leaveOut(lower: string): void {
    const held = watched.get(lower);
    if (held !== undefined) for (const running of held.values()) drop(lower, held, running);
    watched.delete(lower);
    leftOut.add(lower);
    if (saidFull) return;
    saidFull = true;
    log("warn", "too many external checks: further nodes are not probed", { limit: MAX_TARGETS });
  }

  function report(key: string, status: CheckStatus, output: string): void {
    const { lower, checkId } = partsOf(key);
    const running = watched.get(lower)?.get(checkId);
    if (running === undefined) return;
    const held = reader.check(lower, checkId);
    if (held === undefined && checkId !== NODE_CHECK_ID) return;
    const nowMs = clock.monotonicMs();
    if (status !== "critical") running.criticalSinceMs = NaN;
    else if (Number.isNaN(running.criticalSinceMs)) running.criticalSinceMs = nowMs;
    if (held === undefined || weigh(running.tally, held.status, status, running.target.thresholds))
      write(key, running, { status, output });
    else if (held.status === status) sameStatus(key, running, held, { status, output });
    if (held !== undefined && held.status === "critical" && status === "critical")
      removeIfLongDead(key, running, held, nowMs);
  }

  /** A new output alone can wait, but for the first one that a check has. */
  function sameStatus(key: string, running: Running, held: CheckRecord, found: ProbeResult): void {
    if (held.output === found.output) {
      running.outputSinceMs = NaN;
      return;
    }
    const nowMs = clock.monotonicMs();
    if (Number.isNaN(running.outputSinceMs)) running.outputSinceMs = nowMs;
    if (held.output === "" || nowMs - running.outputSinceMs >= settings.checkUpdateIntervalMs)
      write(key, running, found);
  }

  function write(key: string, { node, target }: Running, found: ProbeResult): void {
    const { checkId } = target;
    writes.put(key, () => {
      const held = reader.check(node, checkId);
      if (held === undefined && checkId !== NODE_CHECK_ID) return undefined;
      const isOther = held?.status !== found.status;
      if (!isOther && held.output === found.output) return undefined;
      // The node may have come to be somebody else's meanwhile.
      const record = reader.node(node);
      if (record === undefined || !isProbed(record, settings.nodeMeta)) return undefined;
      const fields = held === undefined ? newNodeCheck : fieldsOf(held);
      const isOfNode = checkId === NODE_CHECK_ID;
      const notes = isOfNode
        ? noteOfDead(found.status, fields.notes, clock.wallMs())
        : fields.notes;
      const check = { ...fields, ...found, notes };
      return {
        operation: { type: "check", verb: "cas", index: held?.modifyIndex ?? 0, node, check },
        done() {
          if (isOther) changed(node, checkId, held?.status ?? "", found);
        },
      };
    });
  }

  function changed(node: string, check: string, before: string, { status }: ProbeResult): void {
    counts.statusChanges++;
    const fields = { node, check, status, before };
    tell({ message: "external check changed", status, fields });
  }

  function removeIfLongDead(key: string, running: Running, held: CheckRecord, nowMs: number): void {
    const { node, target } = running;
    if (target.checkId === NODE_CHECK_ID) {
      const limitMs = settings.nodeReconnectTimeoutMs;
      if (limitMs > 0 && deadForMs(held.notes, clock.wallMs()) >= limitMs) removeNode(key, node);
      return;
    }
    const afterMs = target.definition.deregisterCriticalServiceAfterMs;
    if (afterMs > 0 && held.serviceId !== "" && nowMs - running.criticalSinceMs >= afterMs)
      removeService(key, node, held.serviceId);
  }

  function removeNode(key: string, node: string): void {
    writes.put(key, () => {
      const record = reader.node(node);
      if (record === undefined || !isProbed(record, settings.nodeMeta)) return undefined;
      return {
        operation: {
          type: "node",
          verb: "delete-cas",
          index: record.modifyIndex,
          node: nodeFieldsOf(record),
        },
        done() {
          counts.removed.node++;
          log("warn", "external node was out of reach for too long: removed", { node });
        },
      };
    });
  }

  function removeService(key: string, node: string, id: string): void {
    writes.put(key, () => {
      const service = reader.service(node, id);
      if (service === undefined) return undefined;
      const index = service.modifyIndex;
      return {
        operation: { type: "service", verb: "delete-cas", index, node, service },
        done() {
          counts.removed.service++;
          log("warn", "external service was critical for too long: removed", { node, service: id });
        },
      };
    });
  }

  lookSoon([...reader.nodes()].map(({ node }) => node.toLowerCase()));
  return {
    touched(topics) {
      lookSoon(
        topics.flatMap((topic) => (topic.startsWith(NODE) ? [topic.slice(NODE.length)] : [])),
      );
    },
    figures: () => ({
      nodes: watched.size,
      checks: targetCount - watched.size,
      leftOut: leftOut.size,
      running: schedules.node.counts.running + schedules.check.counts.running,
      waiting: schedules.node.counts.waiting + schedules.check.counts.waiting,
      writesWaiting: writes.waiting,
    }),
    stop() {
      armed?.();
      schedules.node.close();
      schedules.check.close();
      writes.stop();
    },
  };
}

const NODE = "node:";

/** The length in front says where the name of the node ends. */
const keyOf = (lower: string, checkId: string): string => `${lower.length} ${lower}${checkId}`;

function partsOf(key: string): { lower: string; checkId: string } {
  const blank = key.indexOf(" ");
  const end = blank + 1 + Number(key.slice(0, blank));
  return { lower: key.slice(blank + 1, end), checkId: key.slice(end) };
}

function probeOfCheck({ probe }: MonitorDeps, { probes }: WatchCounts): Probe {
  return (check, outputMaxOctets) => {
    probes.check++;
    return probe(check, outputMaxOctets);
  };
}

function probeOfNode({ reader, reach, measured }: MonitorDeps, counts: WatchCounts): Probe {
  return ({ name, timeoutMs }) => {
    counts.probes.node++;
    const node = reader.node(name);
    // It was there when the run was planned, and will be stopped if it has gone.
    if (node === undefined) return { result: Promise.resolve(DEAD), cancel: () => {} };
    const at = { address: node.address, port: portOf(reader, name) };
    const { result, cancel } = reach(at, timeoutMs);
    const told = result.then(({ alive, rttMs }) => {
      if (alive) measured(node, rttMs);
      return alive ? ALIVE : DEAD;
    });
    return { result: told, cancel };
  };
}

const newNodeCheck: CheckFields = {
  ...newCheckFields,
  checkId: NODE_CHECK_ID,
  name: NODE_CHECK_NAME,
};

function fieldsOf(record: CheckRecord): CheckFields {
  const { node: _, serviceName: __, serviceTags: ___, ...rest } = record;
  const { createIndex: ____, modifyIndex: _____, ...fields } = rest;
  return fields;
}
