/** What /v1/operator knows of this server. */
import type { Engine } from "../cluster/engine.ts";
import { loadKeyrings, type PoolKeyring } from "../cluster/keyring/driver.ts";
import type { State } from "../cluster/state.ts";
import type { Config } from "../config/options.ts";
import type { AutopilotDeps } from "../http/operator-autopilot.ts";
import type { Clock, Log } from "../ports.ts";

/** Loads the keyrings; rejects when a keyring file holds something else. */
export async function createOperator(deps: {
  state: Pick<State, "autopilot">;
  engine: Pick<Engine, "leadership" | "onLeadership" | "stats">;
  config: Config;
  dataDir: string | undefined;
  clock: Clock;
  log: Log;
}): Promise<AutopilotDeps & { keyrings: readonly PoolKeyring[] }> {
  const { state, engine, config, dataDir, clock, log } = deps;
  const keyrings = await loadKeyrings({
    dataDir: config.disable_keyring_file ? undefined : dataDir,
    encrypt: config.encrypt,
    pools: config["ports.serf_wan"] < 0 ? ["lan"] : ["lan", "wan"],
    warn: (message) => log("warn", message),
  });
  let leadsSinceMs = engine.leadership().self ? clock.wallMs() : undefined;
  engine.onLeadership(({ self }) => {
    leadsSinceMs = self ? (leadsSinceMs ?? clock.wallMs()) : undefined;
  });
  return {
    autopilot: () => state.autopilot,
    lastEntry() {
      const { term = 0, last_index: index = 0 } = engine.stats();
      return { term, index };
    },
    leadsSinceMs: () => leadsSinceMs,
    keyrings,
  };
}
