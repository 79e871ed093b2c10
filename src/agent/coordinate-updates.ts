/** Coordinates on their way into the log: collected, then written as few commands. */
import type { Command } from "../cluster/command.ts";
import { originCoordinate } from "../cluster/coordinates.ts";
import type { Outcome } from "../cluster/engine.ts";
import type { CatalogReader, CoordinateRecord, Topic } from "../cluster/model.ts";
import type { Config } from "../config/options.ts";
import type { Cancel, Log, Timers } from "../ports.ts";

/** Updates per command. Consul: CoordinateUpdateBatchSize. */
const BATCH_SIZE = 128;
/** Updates kept between two writes; those of further nodes are dropped and counted. Consul: 5 batches. */
const PENDING_MAX = 5 * BATCH_SIZE;
/** Longest time until an update is written. Consul: CoordinateUpdatePeriod; 100 ms with -dev. */
const PERIOD_MS = { usual: 5000, dev: 100 };

/** Takes updates; those of one node and segment replace each other. */
export type CoordinateUpdates = {
  update(update: CoordinateRecord): void;
  /** To be called with the topics of every applied command. */
  touched(topics: readonly Topic[]): void;
  stop: Cancel;
};

/**
 * Collects for some seconds, then writes. Unless `disable_coordinates` says otherwise the agent's own
 * coordinate is seen to: it is written as soon as the node is registered, and again should the node
 * have lost it.
 */
export function startCoordinates(deps: {
  reader: CatalogReader;
  propose(command: Command): Promise<Outcome>;
  loaded: { dev: boolean; config: Pick<Config, "disable_coordinates" | "node_name"> };
  timers: Timers;
  log: Log;
}): CoordinateUpdates {
  const { reader, timers, log } = deps;
  const { dev, config } = deps.loaded;
  const pending = new Map<string, CoordinateRecord>();
  let dropped = 0;
  let armed: Cancel | undefined;

  function write(updates: readonly CoordinateRecord[]): void {
    for (let start = 0; start < updates.length; start += BATCH_SIZE) {
      const batch = updates.slice(start, start + BATCH_SIZE);
      // One that is lost is replaced by the node's next: nobody was told that it was kept.
      void deps.propose({ type: "coordinates", updates: batch });
    }
  }

  function flush(): void {
    armed = undefined;
    if (dropped > 0) log("warn", "discarded coordinate updates", { count: dropped });
    dropped = 0;
    const updates = [...pending.values()];
    pending.clear();
    write(updates);
  }

  function seeToOwn(): void {
    const ownNode = config.node_name;
    if (config.disable_coordinates || reader.node(ownNode) === undefined) return;
    if (reader.coordinates.of(ownNode) !== undefined) return;
    write([{ node: ownNode, segment: "", coordinate: originCoordinate }]);
  }

  seeToOwn();
  return {
    update(update) {
      const key = JSON.stringify([update.node.toLowerCase(), update.segment]);
      if (pending.size >= PENDING_MAX && !pending.has(key)) {
        dropped++;
        return;
      }
      pending.set(key, update);
      armed ??= timers.after(dev ? PERIOD_MS.dev : PERIOD_MS.usual, flush);
    },
    touched(topics) {
      if (topics.includes("nodes")) seeToOwn();
    },
    stop() {
      armed?.();
    },
  };
}
