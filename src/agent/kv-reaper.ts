/** The leader's timer that lets tombstones and lock delays go when their time has passed. */
import type { Command } from "../cluster/command.ts";
import type { KvReader } from "../cluster/model.ts";
import type { Cancel, Timers } from "../ports.ts";
import type { LogTime } from "./replica.ts";

/** Consul's granularity of `tombstone_ttl`. */
const REAP_MS = 30_000;

/** Looks every 30 s and proposes only when there is something to reap. */
export function startKvReaper(deps: {
  kv: KvReader;
  propose: (command: Command) => Promise<unknown>;
  logTime: Pick<LogTime, "nowMs">;
  timers: Timers;
}): Cancel {
  const { kv, propose, logTime, timers } = deps;
  let cancel: Cancel;
  function arm(): void {
    cancel = timers.after(REAP_MS, () => {
      // Refused or not: the next look finds what is still there.
      if (kv.isReapDue(logTime.nowMs())) void propose({ type: "kv-reap" });
      arm();
    });
  }
  arm();
  return () => cancel();
}
