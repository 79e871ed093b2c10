/** What makes the local checks move: TTL timers, probes, aliases. */
import type { Clock, Log, Random, Timers } from "../ports.ts";
import { aliasResult, cutOutput, type CheckStatus, type ProbeResult } from "./checks/check.ts";
import { createSchedule, type Probe, type Schedule } from "./checks/schedule.ts";
import { createTtlTimers, type TtlTimers } from "./checks/ttl.ts";
import { kindOfCheck, type CheckDefinition } from "./definition.ts";
import type { LocalState } from "./local.ts";
import type { CatalogReader, Topic } from "./model.ts";
import type { OwnNode } from "./own-node.ts";

/** The checks that run: probes, TTL timers, aliases. */
export type Runners = {
  readonly ttls: TtlTimers;
  /** Probes scheduled, running, waiting for a place. */
  readonly probes: Schedule["counts"];
  /** What their runs came to, by kind. */
  readonly figures: Schedule["figures"];
  /** In place of a check with the same id, whatever its kind; one that is exactly the same goes on. */
  start(id: string, check: CheckDefinition, outputMaxOctets: number): void;
  stop(id: string): void;
  /** What each alias says, looked at when it is asked for: an alias may look at another one. */
  aliasResults(): Iterable<{ id: string; result: ProbeResult }>;
  /** Is one of these topics a node that an alias looks at? */
  watchesAny(topics: Iterable<Topic>): boolean;
  close(): void;
};

/** `report` gets what TTLs and probes find; aliases are asked by `aliasResults`. */
export function createRunners(deps: {
  state: LocalState;
  own(): OwnNode;
  reader: CatalogReader;
  probe: Probe;
  maxSockets?: number | undefined;
  report(id: string, status: CheckStatus, output: string): void;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
}): Runners {
  const { state, reader, clock, timers, random, log } = deps;
  const aliases = new Map<string, { check: CheckDefinition; outputMaxOctets: number }>();
  const report = (id: string, status: CheckStatus, output: string) =>
    deps.report(id, status, output);
  const schedule = createSchedule({
    clock,
    timers,
    random,
    probe: deps.probe,
    maxSockets: deps.maxSockets,
    report,
  });
  const ttls = createTtlTimers({
    clock,
    timers,
    expired(id, output) {
      log("warn", "check missed its TTL", { check: id });
      report(id, "critical", output);
    },
  });

  function resultOf({ aliasNode, aliasService }: CheckDefinition): ProbeResult {
    if (aliasNode === "")
      return aliasResult(
        {
          node: deps.own().node.node,
          serviceId: aliasService,
          serviceExists: state.services.has(aliasService),
        },
        [...state.checks.values()].map(({ fields }) => fields),
        ({ checkId }) => aliases.has(checkId),
      );
    const serviceExists = reader.service(aliasNode, aliasService) !== undefined;
    return aliasResult(
      { node: aliasNode, serviceId: aliasService, serviceExists },
      reader.checksOfNode(aliasNode),
      ({ type }) => type === "alias",
    );
  }

  return {
    ttls,
    get probes() {
      return schedule.counts;
    },
    figures: schedule.figures,
    start(id, check, outputMaxOctets) {
      const kind = kindOfCheck(check);
      if (kind !== "ttl") ttls.stop(id);
      if (kind !== "alias") aliases.delete(id);
      if (kind === "ttl" || kind === "alias") schedule.stop(id);
      if (kind === "ttl") ttls.start(id, check.ttlMs);
      else if (kind === "alias") aliases.set(id, { check, outputMaxOctets });
      else schedule.start(id, check, outputMaxOctets);
    },
    stop(id) {
      ttls.stop(id);
      schedule.stop(id);
      aliases.delete(id);
    },
    *aliasResults() {
      for (const [id, { check, outputMaxOctets }] of aliases) {
        const { status, output } = resultOf(check);
        yield { id, result: { status, output: cutOutput(output, outputMaxOctets) } };
      }
    },
    watchesAny(topics) {
      if (aliases.size === 0) return false;
      const nodes = new Set(
        [...aliases.values()].map(({ check }) => check.aliasNode.toLowerCase()),
      );
      for (const topic of topics)
        if (topic.startsWith("node:") && nodes.has(topic.slice("node:".length))) return true;
      return false;
    },
    close() {
      schedule.close();
      ttls.close();
      aliases.clear();
    },
  };
}
