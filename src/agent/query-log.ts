/** The query log of the configuration: which questions, in which form, to which file. */
import type { LoadedConfig } from "../config.ts";
import type { Config } from "../config/options.ts";
import { parseName } from "../dns/name.ts";
import { createQueryLog, type QueryLog, type QueryLogSettings } from "../dns/query-log.ts";
import { createQueryLogFile, dnsmasqStamp, type QueryLogFile } from "../dns/query-log/driver.ts";
import type { QueryLogFigures } from "../metrics/family.ts";
import type { Clock, Log, Random } from "../ports.ts";

/** The log, and what is done to it from outside. */
export type AgentQueryLog = {
  queryLog: QueryLog;
  reload(next: LoadedConfig): void;
  /** After the file was renamed. */
  reopen: () => void;
  figures(): Omit<QueryLogFigures, "unlogged">;
  /** Resolves when what waits has been written. */
  stop: () => Promise<void>;
};

type Deps = { clock: Clock; random: Random; log: Log };

/** Writes to the agent's own log where no file is named. */
export function createAgentQueryLog(
  { config }: LoadedConfig,
  { clock, random, log }: Deps,
): AgentQueryLog {
  let settings = settingsOf(config);
  let path = "";
  let file: QueryLogFile | null = null;
  let lostBefore = 0;
  const stamp = dnsmasqStamp();

  function use(next: Config): void {
    settings = settingsOf(next);
    const wanted = settings.form === "" ? "" : next["forwarder.query_log_file"];
    if (wanted === path) {
      file?.reopen();
      return;
    }
    void leave();
    path = wanted;
    file = path === "" ? null : createQueryLogFile(path, (problem) => log("error", problem));
  }

  async function leave(): Promise<void> {
    const old = file;
    file = null;
    await old?.close();
    lostBefore += old?.counts.lost ?? 0;
  }

  function write(line: string): void {
    if (file === null) log("info", line);
    else file.write(settings.form === "json" ? line : `${stamp()}${line}`);
  }

  use(config);
  const queryLog = createQueryLog({
    settings,
    clock,
    time: () => new Date(clock.wallMs()).toISOString(),
    random: () => random.uint32(),
    write,
  });
  return {
    queryLog,
    reload(next) {
      use(next.config);
      queryLog.reload(settings);
    },
    reopen: () => file?.reopen(),
    figures: () => ({ ...queryLog.counts, lost: lostBefore + (file?.counts.lost ?? 0) }),
    stop: leave,
  };
}

function settingsOf(config: Config): QueryLogSettings {
  return {
    // The option table allows these words only.
    form: config["forwarder.query_log"] as QueryLogSettings["form"],
    onlyFailed: config["forwarder.query_log_only_failed"],
    sample: config["forwarder.query_log_sample"],
    linesPerSecond: config["forwarder.query_log_rate"],
    domains: [config.domain, config.alt_domain].filter(Boolean).flatMap((domain) => {
      const parsed = parseName(domain);
      return parsed.ok ? [parsed.value] : [];
    }),
  };
}
