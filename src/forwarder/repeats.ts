/**
 * The second packets of a question: once every server was asked, each that is still listened to and may
 * just have lost its datagram is asked once more, one after the other and ever more slowly.
 */
import { send, type Attempt, type Exchange, type Output } from "./attempts.ts";
import { takeRepeat } from "./health.ts";
import { hedgeMs, retryMs } from "./rtt.ts";

/** The first repeat leaves this much time after the packet before it, the next twice as much, and so on. */
const SPREAD_MIN_MS = 50;
const SPREAD_MAX_MS = 400;

/** Repeats what is due, and sets when the next repeat is; Infinity if there is none. */
export function repeat(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  exchange.nextMs = Infinity;
  for (let next = nextOf(exchange); next !== null; next = nextOf(exchange)) {
    const dueMs = dueAt(exchange, next);
    if (nowMs < dueMs && dueMs < next.untilMs) {
      exchange.nextMs = dueMs;
      return;
    }
    next.repeatable = false;
    if (nowMs < dueMs || !takeRepeat(next.server, nowMs)) continue;
    // What one has said only in part another will as well.
    const transport = exchange.truncated === null ? exchange.query.repeatTransport : "tcp";
    if (!send(exchange, next.server, { transport, repeated: next }, nowMs, outputs)) continue;
    exchange.repeats++;
    exchange.current = exchange.attempts.at(-1)!;
  }
}

/** The oldest, of a server that has not been late if there is one. */
function nextOf({ attempts, errorReplied }: Exchange): Attempt | null {
  let best: Attempt | null = null;
  for (const attempt of attempts) {
    const { open, repeatable, toLate, server } = attempt;
    // Others do reply, if with errors: this one loses more than a datagram.
    if (errorReplied && toLate) continue;
    if (!open || !repeatable || server.standing === "dead" || server.looping) continue;
    if (best === null || (best.server.late && !server.late)) best = attempt;
  }
  return best;
}

function dueAt({ attempts, repeats, truncated }: Exchange, { server, sentAtMs }: Attempt): number {
  if (truncated !== null) return sentAtMs;
  const last = attempts.at(-1)!;
  const alone = Math.max(SPREAD_MIN_MS, hedgeMs(last.server.roundTrips));
  const spreadMs = Math.min(SPREAD_MAX_MS, alone * 2 ** repeats);
  return Math.max(sentAtMs + retryMs(server.roundTrips), last.sentAtMs + spreadMs);
}
