/** What signals do to an agent. */
import type { Config } from "../config/options.ts";
import type { Cancel, Log } from "../ports.ts";

/** Where signals come from. */
type Signals = {
  onSignal(
    signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2",
    listener: () => void,
  ): Cancel;
};

/**
 * The first SIGINT or SIGTERM ends gracefully, also while the start is still under way; the second
 * at once. SIGHUP reloads: before there is anything to reload the configuration has just been read.
 * SIGUSR2 has files opened anew that others have renamed, SIGUSR1 starts a successor.
 */
export function listenToSignals(
  signals: Signals,
  log: Log,
  on: {
    stop(signal: "SIGINT" | "SIGTERM"): void;
    atOnce(): void;
    reload(): void;
    reopen(): void;
    succeed(): void;
  },
): Cancel {
  let stopping = false;
  const cancels = (["SIGINT", "SIGTERM"] as const).map((signal) =>
    signals.onSignal(signal, () => {
      if (stopping) on.atOnce();
      stopping = true;
      log("info", "stopping; a second signal ends at once", { signal });
      on.stop(signal);
    }),
  );
  cancels.push(signals.onSignal("SIGHUP", () => on.reload()));
  cancels.push(signals.onSignal("SIGUSR2", () => on.reopen()));
  cancels.push(signals.onSignal("SIGUSR1", () => on.succeed()));
  return () => cancels.forEach((cancel) => cancel());
}

/** Whether a signal makes the agent leave, not only stop. A reload does not change that. */
export function leavesOn(
  signal: "SIGINT" | "SIGTERM",
  config: Pick<Config, "leave_on_terminate" | "skip_leave_on_interrupt">,
): boolean {
  return signal === "SIGTERM" ? config.leave_on_terminate : !config.skip_leave_on_interrupt;
}
