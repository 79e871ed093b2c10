/** What an agent is started with: the runtime's side (src/platform) and the command line's (main.ts). */
import type { ProxyEnvironment } from "../cluster/checks/proxy/driver.ts";
import type { Result } from "../base.ts";
import type { LoadedConfig, ResolvConfServers } from "../config.ts";
import type { Addresses, DnsAddresses } from "../config/addresses.ts";
import type { Config } from "../config/options.ts";
import type { StartDnsFront } from "../dns/front.ts";
import type { ResolvConf } from "../forwarder/resolvconf.ts";
import type { StartHttp } from "../http/listen.ts";
import type { Cancel, Clock, Exchanges, Follower, Log, LogLevel, LogStore } from "../ports.ts";
import type {
  InheritedSocket,
  OpenPipe,
  OpenStreamFrom,
  Ping,
  Random,
  SourcePorts,
  Timers,
} from "../ports.ts";
import type { Pace } from "../slices.ts";
import type { SuccessionPlatform } from "./succession.ts";

/** What only the runtime can do. */
export type Platform = {
  clock: Clock;
  /** Its monotonic time goes on while the machine sleeps, as TTLs do. Timers do not follow it. */
  ttlClock: Clock;
  timers: Timers;
  random: Random;
  processorCount: number;
  hostname: string;
  startDnsFront: StartDnsFront;
  /** null: not available here, use sockets of the runtime. */
  createExchanges(log: Log, ports: SourcePorts): Exchanges | null;
  /** null: not available here, servers cannot be asked through an interface. */
  openStreamFrom: OpenStreamFrom | null;
  /** null: this process may not send ICMP echo requests. */
  createPing(): Ping | null;
  /** null: not available here, programs get the sockets of the runtime. */
  openPipe: OpenPipe | null;
  /** DOCKER_HOST of the environment; "" if there is none. */
  dockerHost: string;
  /** The environment of the process, for what names proxies. */
  environment: () => ProxyEnvironment;
  openStore(directory: string, warn: (message: string) => void): LogStore;
  startHttp: StartHttp;
  /** Sockets for DNS that the service manager has bound (sd_listen_fds(3)). */
  inheritedSockets: readonly InheritedSocket[];
  steerToUs: SuccessionPlatform["steerToUs"];
  passOn: SuccessionPlatform["passOn"];
  notify: SuccessionPlatform["notify"];
  watchdogMs: number;
  tellToReload: SuccessionPlatform["tellToReload"];
  /** Starts this program once more with the same arguments, to take over from this process. */
  startSuccessor(): void;
  /** Ends the process at once. */
  exit(code: number): never;
  onSignal(
    signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2",
    listener: () => void,
  ): Cancel;
};

/** How the command line starts an agent; see main.ts. */
export type AgentStart = {
  loaded: LoadedConfig;
  log: Log;
  /** Changes the least severe level that is written. */
  setLogLevel(level: LogLevel): void;
  /** `-takeover`: another agent may run on the data directory, and this one takes its place. */
  takeOver: boolean;
  /** To be called once if `takeOver`: this agent is the one that runs from here on. */
  takenOver(): void;
  /** For agent/monitor. */
  followLog: (follower: Follower) => Cancel;
  /** How long work is done between questions. */
  pace: Pace;
  /** Reads the same files and flags again, at this pace; the error side has one sentence per mistake. */
  reload(): Promise<Result<LoadedConfig, string[]>>;
  /** Where DNS listens now; undefined: where the configuration says. */
  followedDnsAddresses: (config: Config) => DnsAddresses | undefined;
  /** The servers of a resolv.conf; those that are this agent itself, which listens at `addresses`, apart. */
  serversOf: (conf: ResolvConf, addresses: Addresses) => ResolvConfServers;
};
