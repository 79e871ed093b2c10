/** Keeps the declared services in the catalog while this server leads. */
import type { Cancel, Log, Timers } from "../../ports.ts";
import type { Command } from "../command.ts";
import type { Outcome } from "../engine.ts";
import type { CatalogReader, Topic } from "../model.ts";
import {
  commandsFor,
  declaredNodes,
  hasAgent,
  ownedNodes,
  type ExternalEntry,
} from "./declared.ts";

/**
 * Least time between two looks, also when a proposal was refused: whoever removes a service again and
 * again meets at most one write per second and service.
 */
const LOOK_MS = 1000;
/** Commands under way at a time. */
const AT_ONCE = 32;

/** What is to be kept. */
export type KeeperSettings = {
  readonly entries: readonly ExternalEntry[];
  /** Pairs of metadata that mark an external node. */
  readonly nodeMeta: Readonly<Record<string, string>>;
};

export type Keeper = {
  /** To be called at the start and with every change of leadership. */
  leadershipChanged(isLeader: boolean): void;
  /** To be called with the topics of every applied command. */
  touched(topics: readonly Topic[]): void;
  /** To be called when everything was replaced, and after a reload. */
  restart(): void;
  /** Registrations written since the start of the process. */
  readonly restored: number;
  stop(): void;
};

/** Starts idle: until it is told that this server leads. */
export function createKeeper(deps: {
  reader: CatalogReader;
  propose: (command: Command) => Promise<Outcome>;
  settings(): KeeperSettings;
  timers: Timers;
  log: Log;
}): Keeper {
  const { reader, propose, timers, log } = deps;
  let isLeader = false;
  let wanted = declaredNodes([], {});
  const dirty = new Set<string>();
  /** Nodes that have been complained about. */
  const refused = new Set<string>();
  let armed: Cancel | undefined;
  let working = false;
  let restored = 0;

  function restart(): void {
    armed?.();
    armed = undefined;
    dirty.clear();
    const { entries, nodeMeta } = deps.settings();
    wanted = declaredNodes(entries, nodeMeta);
    if (!isLeader) return;
    for (const lower of [...wanted.keys(), ...ownedNodes(reader)]) dirty.add(lower);
    arm(0);
  }

  function arm(delayMs: number): void {
    if (!isLeader || working || dirty.size === 0) return;
    armed ??= timers.after(delayMs, () => void look());
  }

  async function look(): Promise<void> {
    armed = undefined;
    working = true;
    const lowers = [...dirty];
    dirty.clear();
    for (let start = 0; start < lowers.length && isLeader; start += AT_ONCE)
      await Promise.all(lowers.slice(start, start + AT_ONCE).map(keep));
    working = false;
    arm(LOOK_MS);
  }

  async function keep(lower: string): Promise<void> {
    const declared = wanted.get(lower);
    if (declared !== undefined && hasAgent(reader, lower)) {
      if (!refused.has(lower))
        log("error", "external_services: this node has an agent of its own, nothing is written", {
          node: declared.node.node,
        });
      refused.add(lower);
      return;
    }
    refused.delete(lower);
    for (const command of commandsFor(reader, lower, declared)) {
      const { outcome } = await propose(command);
      if (outcome !== "committed") {
        dirty.add(lower);
        return;
      }
      say(command);
    }
  }

  function say(command: Command): void {
    if (command.type === "register") {
      restored++;
      const { node, service } = command;
      log("info", "external service registered", { node: node.node, service: service?.id });
    } else if (command.type === "deregister")
      log("info", "external service deregistered", {
        node: command.node,
        service: command.serviceId,
        check: command.checkId,
      });
  }

  return {
    leadershipChanged(now) {
      if (now === isLeader) return;
      isLeader = now;
      restart();
    },
    touched(topics) {
      if (!isLeader || wanted.size === 0) return;
      for (const topic of topics) {
        const lower = topic.startsWith(NODE) ? topic.slice(NODE.length) : "";
        if (wanted.has(lower)) dirty.add(lower);
      }
      arm(LOOK_MS);
    },
    restart,
    get restored() {
      return restored;
    },
    stop() {
      isLeader = false;
      restart();
    },
  };
}

const NODE = "node:";
