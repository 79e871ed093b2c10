/** Names outside the domain: the forwarder and the sockets to its upstream servers. */
import type { LoadedConfig } from "../config.ts";
import { createForwarder, type Forwarder, type ForwarderDeps } from "../forwarder/forward.ts";
import { createFilter } from "../forwarder/filter/filter.ts";
import { createFilterCounts, type FilterCounts } from "../forwarder/filter/settings.ts";
import { createPipeline, type Pipeline } from "../forwarder/pipeline.ts";
import type { Log } from "../ports.ts";
import type { Slices } from "../slices.ts";
import { localDataSettings } from "./local-data.ts";
import { forwarderSettings } from "./forwarder-settings.ts";
import { createUpstreamSockets } from "./upstream-sockets.ts";
import type { Platform } from "./start.ts";
import { createUpstreamLog } from "./upstream-log.ts";

/** The forwarder, and what it is told anew. */
export type Forwarding = {
  forwarder: Forwarder;
  /** What clients' questions go through: local data, then the forwarder. */
  pipeline: Pipeline;
  filterCounts: Readonly<FilterCounts>;
  /** What a reload with this configuration takes long for; see Pipeline.prepare. */
  prepare: (next: LoadedConfig) => Slices<void>;
  reload: (next: LoadedConfig) => void;
  close: () => void;
};

/**
 * The forwarder on this platform's fastest sockets; `close` ends what is under way. `workerHits`: how
 * often workers answered a question of late (AnswerTable.hitsOf); `fault` hears what is thrown by mistake.
 */
export function createForwarding(
  loaded: LoadedConfig,
  platform: Parameters<typeof createUpstreamSockets>[1] & Pick<Platform, "ttlClock">,
  log: Log,
  { workerHits, fault }: Pick<Required<ForwarderDeps>, "workerHits" | "fault">,
): Forwarding {
  const { ttlClock: clock, timers, random } = platform;
  let now = loaded;
  const { udp, tcp } = createUpstreamSockets(() => now, platform, log);
  const settings = forwarderSettings(loaded);
  const onEvent = createUpstreamLog(log, clock);
  const forwarder = createForwarder({
    settings,
    clock,
    timers,
    random,
    udp,
    tcp,
    workerHits,
    onEvent,
    fault,
  });
  const counts = createFilterCounts();
  const filter = ({ filter: settings }: LoadedConfig) =>
    createFilter(settings, { log, clock, counts });
  const pipeline = createPipeline({
    forwarder,
    settings: localDataSettings(loaded),
    filter: filter(loaded),
    random,
  });
  return {
    forwarder,
    pipeline,
    filterCounts: counts,
    prepare: (next) => pipeline.prepare(localDataSettings(next)),
    reload(next) {
      now = next;
      forwarder.reload(forwarderSettings(next));
      pipeline.reload(localDataSettings(next), filter(next));
    },
    close() {
      forwarder.close();
      udp.close();
      tcp.close();
    },
  };
}
