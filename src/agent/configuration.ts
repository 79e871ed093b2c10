/** The configuration in force: read again on demand, its upstream servers taken from a file that changes. */
import { createHash } from "node:crypto";
import { fail, ok, type Result } from "../base.ts";
import { resolvConfFiles, type LoadedConfig } from "../config.ts";
import { changesForRestart } from "../config/differences.ts";
import { nameListsOf } from "../config/name-lists.ts";
import { withoutDuplicates } from "../config/upstream.ts";
import { followPaths } from "../forwarder/paths/driver.ts";
import { watchResolvConf } from "../forwarder/resolvconf/driver.ts";
import type { DnsAddresses } from "../config/addresses.ts";
import type { Cancel, LogLevel } from "../ports.ts";
import type { ResolvConfFigures } from "../metrics/family.ts";
import { inSlices, type Slices } from "../slices.ts";
import { digestOfFile, followServersFile } from "./follow-servers-file.ts";
import { followUpstreams } from "./follow-upstreams.ts";
import { findDigest } from "./list-digests.ts";
import { createReload } from "./reload.ts";
import { shownConfig } from "./settings.ts";
import type { AgentStart } from "./start.ts";

/** What is in force now, and how it comes to be another. */
export type Configuration = {
  now: () => LoadedConfig;
  /** DNS listens elsewhere, because interfaces have come or gone. */
  moved(addresses: DnsAddresses): void;
  /** From here on `forwarder.resolv_conf` is watched and reloads are possible. Call once. */
  follow(on: ConfigurationEvents): Following;
};

/** What those do who live by the configuration. */
export type ConfigurationEvents = {
  /** What takes long of `changed`, in advance: the former configuration is in force until it is done. */
  prepare(next: LoadedConfig): Slices<void>;
  /** Another one is in force. */
  changed(next: LoadedConfig): void;
  /** Files and flags were read again; called after `changed`, and the reload waits for it. */
  reloaded(next: LoadedConfig): Promise<void>;
};

/** `reload` reads files and flags once more; the error is a text for whoever asked, and is in the log already. */
export type Following = {
  reload: () => Promise<Result<void, string>>;
  resolvConf: () => ResolvConfFigures;
  /** Reloads that were refused, and the digest of what is in force, without its secrets. */
  reloads: () => { failed: number; digest: () => string };
  stop: Cancel;
};

/** Begins with what the agent was started with. */
export function createConfiguration(start: AgentStart): Configuration {
  const { log } = start;
  let loaded = start.loaded;
  let failed = 0;
  let digested: { config: LoadedConfig["config"]; text: string } | undefined;
  function digest(): string {
    const { config } = loaded;
    if (digested?.config !== config) {
      const text = createHash("sha512")
        .update(JSON.stringify(shownConfig(config)))
        .digest("hex");
      digested = { config, text };
    }
    return digested.text;
  }
  return {
    now: () => loaded,
    moved(addresses) {
      loaded = { ...loaded, addresses: { ...loaded.addresses, ...addresses } };
    },
    follow(on) {
      function apply(next: LoadedConfig): void {
        loaded = next;
        start.setLogLevel(next.config.log_level as LogLevel); // one of the words of its row
        on.changed(next);
      }
      function* prepare(next: LoadedConfig): Slices<void> {
        for (const list of nameListsOf(next.config)) yield* findDigest(list);
        yield* on.prepare(next);
      }
      const upstreams = followUpstreams({
        watch: watchResolvConf,
        serversOf: (conf) => start.serversOf(conf, loaded.addresses),
        onServers(found) {
          const servers = withoutDuplicates([...loaded.recursors, ...found]);
          // What the configuration was loaded with was read from the same file a moment before.
          if (JSON.stringify(servers) === JSON.stringify(loaded.upstreams)) return;
          apply({ ...loaded, upstreams: servers });
          log("info", "upstream servers have changed", {
            servers: servers.map(({ address, port }) => `${address} port ${port}`).join(", "),
          });
        },
        onProblem(problem) {
          if (!loaded.warnings.includes(problem)) log("warn", problem); // said before
        },
      });
      upstreams.follow(loaded.config);
      const reload = createReload(
        async () => {
          const next = await start.reload();
          if (!next.ok) {
            failed++;
            log("error", "reload refused; the old configuration stays", {
              errors: next.error.join("; "),
            });
            return fail(next.error.join("\n"));
          }
          await inSlices(prepare(next.value), start.pace);
          const needRestart = changesForRestart(loaded.config, next.value.config);
          const httpStays = listensForHttp(loaded) === listensForHttp(next.value);
          for (const key of needRestart)
            // For DNS it holds at once.
            if (key !== "client_addr" || !httpStays)
              log("warn", `${key} has changed; it takes effect at the next start`);
          for (const warning of next.value.warnings)
            if (!loaded.warnings.includes(warning)) log("warn", warning); // the others were said before
          apply(withKnownServers(next.value, loaded));
          upstreams.follow(next.value.config);
          serversFile.follow(next.value.serversFile);
          await on.reloaded(next.value);
          log("info", "configuration reloaded");
          return ok(undefined);
        },
        () => log("info", "a reload is under way; the files are read again when it is done"),
      );
      const serversFile = followServersFile({
        watch: followPaths,
        read: (path) => inSlices(digestOfFile(path), start.pace),
        changed: () => void reload(),
        problem: (problem) => log("warn", problem),
      });
      serversFile.follow(loaded.serversFile);
      return {
        reload,
        resolvConf: upstreams.figures,
        reloads: () => ({ failed, digest }),
        stop() {
          upstreams.stop();
          serversFile.stop();
        },
      };
    },
  };
}

function listensForHttp({ addresses: { http, https } }: LoadedConfig): string {
  return JSON.stringify([http, https]);
}

/** A resolv.conf that is absent or empty at the moment of a reload is no reason to ask nobody any more. */
function withKnownServers(next: LoadedConfig, known: LoadedConfig): LoadedConfig {
  const isMomentary =
    next.upstreams.length === next.recursors.length &&
    JSON.stringify(next.recursors) === JSON.stringify(known.recursors) &&
    resolvConfFiles(next.config).length > 0;
  return isMomentary ? { ...next, upstreams: known.upstreams } : next;
}
