/** Hosts files, leases and blocklists, as they are and as they change, for the pipeline. */
import type { LoadedConfig } from "../config.ts";
import { asciiDomain } from "../config/forwarder/domain-text.ts";
import { formatName } from "../dns/name.ts";
import { TYPE, type Rr } from "../dns/rr.ts";
import { createBlocklistReader, type NameList } from "../forwarder/local/blocklist.ts";
import { followFiles, ofText, type FollowedFiles } from "../forwarder/local/driver.ts";
import {
  createHostsReader,
  createLeasesReader,
  leasesAt,
  type HostsOptions,
  type Lease,
} from "../forwarder/local/hosts-file.ts";
import type { HostsSet } from "../forwarder/local/hosts-set.ts";
import { createRecordSet } from "../forwarder/local/records.ts";
import { hashSuffixes } from "../forwarder/local/suffix-hash.ts";
import type { Pipeline } from "../forwarder/pipeline.ts";
import type { LocalDataFigures } from "../metrics/family.ts";
import type { Cancel, Clock, Log, Timers } from "../ports.ts";

export type LocalFiles = {
  /** When hosts files and leases have been read once, or that takes too long, so that nobody is told that their names are not there. */
  ready: () => Promise<void>;
  reload: (next: LoadedConfig) => void;
  figures: () => LocalDataFigures;
  stop: Cancel;
};

/** Leases end by the wall clock, which may be set: so often it is looked at. */
const LEASE_LOOK_MS = 60_000;

/** A start does not wait longer for them: the file system may hang. */
const LONGEST_START_MS = 10_000;

/** `changed`: what was answered so far may be wrong now. */
export function followLocalFiles(
  loaded: LoadedConfig,
  deps: {
    pipeline: Pick<Pipeline, "replace" | "hashKey" | "stats">;
    clock: Clock;
    timers: Timers;
    log: Log;
    changed: () => void;
  },
): LocalFiles {
  const { pipeline, clock, timers, log } = deps;
  const key = pipeline.hashKey;
  let options = hostsOptions(loaded);
  let configured = createRecordSet(loaded.local.records, key);
  let hosts: readonly HostsSet[] = [];
  let leases: readonly Lease[] = [];
  let leased: HostsSet | null = null;
  let blocklists: readonly NameList[] = [];
  let cancelLease: Cancel = () => {};
  let stopped = false;
  let isReady = false;

  function publish(): void {
    if (stopped) return;
    const records = leased === null ? hosts : [...hosts, leased];
    pipeline.replace({ records, blocklists });
    deps.changed();
  }

  /** As dnsmasq has it: who names a machine by hand does not want its lease beside it. */
  function isTaken(name: Uint8Array, { length }: Uint8Array): boolean {
    hashSuffixes(name, key);
    const found: Rr[] = [];
    for (const set of [configured, ...hosts])
      set.find(name, length === 4 ? TYPE.A : TYPE.AAAA, found);
    return found.length > 0;
  }

  /** Again when the first of the leases ends. */
  function useLeases(): void {
    cancelLease();
    const nowMs = clock.wallMs();
    const { set, untilSeconds } = leasesAt(leases, nowMs / 1000, options.leases, isTaken);
    leased = leases.length > 0 ? set : null;
    if (untilSeconds !== Infinity) awaitEnd(untilSeconds * 1000);
    publish();
  }

  function awaitEnd(endMs: number): void {
    const leftMs = endMs - clock.wallMs();
    cancelLease = timers.after(Math.min(LEASE_LOOK_MS, Math.max(1, leftMs)), () => {
      if (clock.wallMs() >= endMs) useLeases();
      else awaitEnd(endMs);
    });
  }

  const problem = (text: string): void => log("warn", text);
  const followers = {
    hosts: createFollower((paths) =>
      followFiles(
        paths,
        (path, octets) => ofText(createHostsReader(path, octets, { ...options, asciiDomain })),
        {
          problem,
          changed(contents) {
            hosts = contents;
            const names = hosts.reduce((sum, { nameCount }) => sum + nameCount, 0);
            log("info", "hosts files read", { files: hosts.length, names });
            useLeases();
          },
        },
      ),
    ),
    leases: createFollower((paths) =>
      followFiles(paths, (path) => ofText(createLeasesReader(path)), {
        problem,
        changed(contents) {
          leases = contents.flat();
          useLeases();
        },
      }),
    ),
    blocklists: createFollower((paths) =>
      followFiles(paths, (path, octets) => createBlocklistReader(path, octets, key), {
        problem,
        changed(contents) {
          blocklists = contents;
          const names = blocklists.reduce((sum, { nameCount }) => sum + nameCount, 0);
          log("info", "blocklists read", { files: blocklists.length, names });
          publish();
        },
      }),
    ),
  };

  function hostsOptions({ config, local }: LoadedConfig): HostsOptions & { leases: HostsOptions } {
    const ttlSeconds = Math.floor(config["forwarder.local_ttl"] / 1000);
    // Names of leases are in the domain whether those of hosts files are or not.
    const leases = {
      key,
      ttlSeconds,
      expandWith: local.hostDomain,
      domains: local.hostDomains,
    };
    const expands = config["forwarder.expand_hosts"];
    return { ...(expands ? leases : { ...leases, expandWith: null, domains: [] }), leases };
  }

  function follow({ config }: LoadedConfig, isOther: boolean): void {
    if (followers.hosts.use(config["forwarder.hosts"], isOther)) hosts = [];
    if (followers.leases.use(config["forwarder.leases"], isOther)) {
      leases = [];
      leased = null;
      cancelLease();
    }
    if (followers.blocklists.use(config["forwarder.blocklists"], false)) blocklists = [];
    if (isReady) useLeases();
  }

  follow(loaded, false);
  isReady = true;
  return {
    ready() {
      return new Promise((resolve) => {
        const cancel = timers.after(LONGEST_START_MS, resolve);
        void Promise.all([followers.hosts.ready(), followers.leases.ready()]).then(() => {
          cancel();
          resolve();
        });
      });
    },
    reload(next) {
      const before = options;
      options = hostsOptions(next);
      configured = createRecordSet(next.local.records, key);
      follow(next, JSON.stringify(shown(before)) !== JSON.stringify(shown(options)));
    },
    figures() {
      const { searchLists, answers, ...stats } = pipeline.stats();
      return {
        ...stats,
        answers: Object.fromEntries(
          Object.entries(answers).map(([source, count]) => [source.replaceAll(" ", "_"), count]),
        ),
        blockedNames: blocklists.reduce((sum, { nameCount }) => sum + nameCount, 0),
        blockedOctets: blocklists.reduce((sum, { octets }) => sum + octets, 0),
        searchDomains: searchLists.map(({ domain, denied, missed }) => ({
          domain: formatName(domain),
          denied,
          missed,
        })),
      };
    },
    stop() {
      stopped = true;
      cancelLease();
      for (const follower of Object.values(followers)) follower.stop();
    },
  };
}

/** What of the options makes other records of the same file. */
function shown({ leases, ...options }: HostsOptions & { leases: HostsOptions }) {
  return [options, leases].map(({ ttlSeconds, expandWith, domains = [] }) => [
    ttlSeconds,
    expandWith?.join(),
    domains.map(({ name, networks }) => [
      name.join(),
      networks.map(({ octets, prefixLength }) => [octets.join(), prefixLength]),
    ]),
  ]);
}

/** One list of paths at a time. */
function createFollower(start: (paths: readonly string[]) => FollowedFiles) {
  let paths = "[]";
  let current: FollowedFiles | null = null;
  return {
    /** true: nothing is followed any more, and what was read is to be forgotten. */
    use(next: readonly string[], again: boolean): boolean {
      if (JSON.stringify(next) === paths && !again) return false;
      paths = JSON.stringify(next);
      current?.stop();
      current = next.length > 0 ? start(next) : null;
      return current === null;
    },
    ready: () => current?.ready ?? Promise.resolve(),
    stop: () => current?.stop(),
  };
}
