/** What has no agent of its own: the monitor that probes it, and the services that the configuration declares. */
import type { Command } from "../cluster/command.ts";
import type { Probe } from "../cluster/checks/schedule.ts";
import type { Engine, Outcome } from "../cluster/engine.ts";
import { createKeeper } from "../cluster/external/keeper.ts";
import { createExternalMonitor } from "../cluster/external/monitor.ts";
import { placeOf } from "../cluster/external/place.ts";
import { createReach } from "../cluster/external/reach/driver.ts";
import { originCoordinate } from "../cluster/coordinates.ts";
import type { CatalogReader, CoordinateRecord, NodeRecord, Topic } from "../cluster/model.ts";
import type { LoadedConfig } from "../config.ts";
import type { HostAddresses } from "../dns/host-addresses.ts";
import type { ExternalFigures } from "../metrics/family.ts";
import type { Cancel, Log } from "../ports.ts";
import { keeperSettings, monitorSettings, pingType } from "./settings.ts";
import type { Platform } from "./start.ts";

/** Metadata that names a node's segment; Consul's. */
const SEGMENT_META = "consul-network-segment";

/** Both parts; they work while this server leads. */
export type External = {
  /** Begins; call when everything else stands. */
  start(): void;
  /** To be called with the topics of every applied command. */
  touched(topics: readonly Topic[]): void;
  /** To be called when a snapshot took the place of everything. */
  replaced(): void;
  reload(next: LoadedConfig): void;
  figures(): ExternalFigures;
  stop: Cancel;
};

/** Idle until `start`. */
export function createExternal(deps: {
  loaded: LoadedConfig;
  platform: Pick<Platform, "clock" | "timers" | "random" | "createPing">;
  reader: CatalogReader;
  engine: Pick<Engine, "leadership" | "onLeadership">;
  propose: (command: Command) => Promise<Outcome>;
  probe: Probe;
  findAddresses: HostAddresses;
  updateCoordinate: (update: CoordinateRecord) => void;
  log: Log;
}): External {
  const { reader, engine, propose, probe, findAddresses, platform, log } = deps;
  const { clock, timers, random } = platform;
  let now = deps.loaded;
  let saidWithoutEcho = false;
  const ping = platform.createPing();

  function measured(node: NodeRecord, rttMs: number): void {
    const { config } = now;
    if (config.disable_coordinates || config["external_monitor.disable_coordinate_updates"]) return;
    const segment = node.meta?.[SEGMENT_META] ?? "";
    const own = reader.coordinates.of(config.node_name)?.get("")?.coordinate ?? originCoordinate;
    const held = reader.coordinates.of(node.node)?.get(segment)?.coordinate;
    const coordinate = placeOf(own, held, rttMs);
    if (coordinate !== undefined) deps.updateCoordinate({ node: node.node, segment, coordinate });
  }

  const monitor = createExternalMonitor({
    reader,
    propose,
    probe,
    reach: createReach({ ping, pingType: () => pingType(now), findAddresses }),
    settings: () => monitorSettings(now),
    measured,
    clock,
    timers,
    random,
    log,
  });
  const keeper = createKeeper({
    reader,
    propose,
    settings: () => keeperSettings(now),
    timers,
    log,
  });

  function follow({ self }: { self: boolean }): void {
    monitor.leadershipChanged(self);
    keeper.leadershipChanged(self);
  }

  function warnWithoutEcho(): void {
    if (ping !== null || saidWithoutEcho || pingType(now) !== "icmp") return;
    saidWithoutEcho = true;
    log(
      "warn",
      "external_monitor.ping_type icmp: the system lets this process send no echo requests (net.ipv4.ping_group_range, CAP_NET_RAW); TCP connections are used",
    );
  }

  let stopFollowing: Cancel = () => {};
  return {
    start() {
      warnWithoutEcho();
      stopFollowing = engine.onLeadership(follow);
      follow(engine.leadership());
    },
    touched(topics) {
      monitor.touched(topics);
      keeper.touched(topics);
    },
    replaced() {
      monitor.restart();
      keeper.restart();
    },
    reload(next) {
      const isOther =
        JSON.stringify(monitorSettings(now)) !== JSON.stringify(monitorSettings(next));
      now = next;
      warnWithoutEcho();
      // Counts of results and first looks would begin anew, so not without a reason.
      if (isOther) monitor.restart();
      keeper.restart();
    },
    figures: () => ({ ...monitor.figures(), restored: keeper.restored }),
    stop() {
      stopFollowing();
      monitor.stop();
      keeper.stop();
    },
  };
}
