/** Upstream servers of files that change while the agent runs (`forwarder.resolv_conf`). */
import { leftOut, resolvConfFiles, type ResolvConfServers } from "../config.ts";
import type { ResolvConf } from "../forwarder/resolvconf.ts";
import type { ResolvConfListener } from "../forwarder/resolvconf/driver.ts";
import type { ResolvConfFigures } from "../metrics/family.ts";
import type { Cancel, SocketAddress } from "../ports.ts";

export type FollowOptions = {
  /** As of forwarder/resolvconf/driver.ts. */
  watch: (paths: readonly string[], on: ResolvConfListener) => Cancel;
  /** The servers of a file, those that are this agent itself apart. */
  serversOf: (conf: ResolvConf) => ResolvConfServers;
  onServers: (servers: SocketAddress[]) => void;
  onProblem: (problem: string) => void;
};

/** Follows the files of the configuration in force, and no other any more. */
export type FollowedUpstreams = {
  /** None if `recursors` are enough. */
  follow(config: Parameters<typeof resolvConfFiles>[0]): void;
  figures: () => ResolvConfFigures;
  stop: Cancel;
};

/** Files that name nobody but this agent change nothing. */
export function followUpstreams(options: FollowOptions): FollowedUpstreams {
  const { watch, serversOf, onServers, onProblem } = options;
  let followed = "";
  let cancel: Cancel = () => {};
  /** Others are asked as well, so the files need not name anybody. */
  let isSecond = false;
  const figures: ResolvConfFigures = { generation: 0, ownServers: 0 };

  function changed(conf: ResolvConf, path: string): void {
    const found = serversOf(conf);
    const warning = leftOut(path, found);
    figures.ownServers = found.own.length;
    if (found.servers.length === 0 && !isSecond) {
      onProblem(`${warning}; keeping the servers known so far`);
      return;
    }
    if (warning !== undefined && !isSecond) onProblem(warning);
    figures.generation++;
    onServers(found.servers);
  }

  return {
    follow(config) {
      const paths = resolvConfFiles(config);
      isSecond = config.recursors.length > 0;
      const next = JSON.stringify(paths);
      if (next === followed) return;
      followed = next;
      cancel();
      cancel = paths.length === 0 ? () => {} : watch(paths, { changed, problem: onProblem });
    },
    figures: () => figures,
    stop: () => cancel(),
  };
}
