/** One run of one check, whichever its kind: what it is given, and that it always ends. */
import type { CheckDefinition } from "../../definition.ts";
import type { ProbeResult } from "../check.ts";

/** Bounds of one run beside those of the check itself. */
export type ProbeLimits = {
  /** Octets of output that are kept. */
  outputMaxOctets: number;
};

/**
 * Runs one check of one kind once. Always settles, never rejects: at the latest by the check's
 * timeout (`timeoutOf`), and soon after `signal` is aborted, when nobody looks at the result.
 */
export type Prober = (
  check: CheckDefinition,
  limits: ProbeLimits,
  signal: AbortSignal,
) => Promise<ProbeResult>;

/** A failed run. */
export function critical(output: string): ProbeResult {
  return { status: "critical", output };
}

/**
 * Settles with the first result that `start` hands over, with `timedOut()` when its time is over, or at
 * once when `signal` is aborted. What `start` gives back frees its sockets; it is called once.
 */
export function runOnce(
  bounds: { timeoutMs: number; timedOut(): ProbeResult; signal: AbortSignal },
  start: (finish: (result: ProbeResult) => void) => () => void,
): Promise<ProbeResult> {
  const { timeoutMs, signal } = bounds;
  return new Promise((resolve) => {
    let free: (() => void) | undefined;
    let isFinished = false;
    const finish = (result: ProbeResult) => {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      free?.();
      resolve(result);
    };
    const onAbort = () => finish(critical("check was stopped"));
    const timer = setTimeout(() => finish(bounds.timedOut()), timeoutMs);
    signal.addEventListener("abort", onAbort);
    free = start(finish);
    if (isFinished) free(); // it finished before it could say how to free
  });
}
