/** Upstream servers of a file that changes while the agent runs (`forwarder.resolv_conf`). */
import type { Config } from "../config/options.ts";
import type { ResolvConf } from "../forwarder/resolvconf.ts";
import type { Cancel, SocketAddress } from "../ports.ts";

export type FollowOptions = {
  /** As of forwarder/driver.ts. */
  watch: (
    path: string,
    onChange: (conf: ResolvConf) => void,
    onProblem: (problem: string) => void,
  ) => Cancel;
  /** The servers of the file that are not this agent itself. */
  serversOf: (conf: ResolvConf) => SocketAddress[];
  onServers: (servers: SocketAddress[]) => void;
  onProblem: (problem: string) => void;
};

/**
 * `follow` watches the file that this configuration takes its servers from, and no other any more;
 * none if `recursors` are given. A file that names nobody but this agent changes nothing.
 */
export function followUpstreams({ watch, serversOf, onServers, onProblem }: FollowOptions) {
  let path = "";
  let cancel: Cancel = () => {};
  return {
    follow(config: Pick<Config, "recursors" | "forwarder.resolv_conf">): void {
      const next = config.recursors.length > 0 ? "" : config["forwarder.resolv_conf"];
      if (next === path) return;
      cancel();
      cancel = () => {};
      path = next;
      if (next === "") return;
      const onChange = (conf: ResolvConf): void => {
        const servers = serversOf(conf);
        if (servers.length > 0) onServers(servers);
        else onProblem(`${next} names no other DNS server; keeping the servers known so far`);
      };
      cancel = watch(next, onChange, onProblem);
    },
    stop: (): void => cancel(),
  };
}
