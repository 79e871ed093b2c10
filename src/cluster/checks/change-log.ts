/** Lines of the log about checks whose status changes: named one by one, unless very many change. */
import type { Clock, Log } from "../../ports.ts";

/** Changes named in the log; when full, the others are counted in a line a second later or more. */
const LINES_PER_SECOND = 20;

/** What one line says. */
export type ChangeLine = {
  message: string;
  /** The status now: critical is told at level warn, others at info. */
  status: string;
  fields: Record<string, unknown>;
};

/** Writes such lines; `more` is the message of the line that counts those left out. */
export function createChangeLog(
  { clock, log }: { clock: Pick<Clock, "monotonicMs">; log: Log },
  more: string,
): (line: ChangeLine) => void {
  let lines = 0;
  let sinceMs = -Infinity;
  return ({ message, status, fields }) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - sinceMs >= 1000) {
      if (lines > LINES_PER_SECOND) log("warn", more, { count: lines - LINES_PER_SECOND });
      lines = 0;
      sinceMs = nowMs;
    }
    if (++lines <= LINES_PER_SECOND) log(status === "critical" ? "warn" : "info", message, fields);
  };
}
