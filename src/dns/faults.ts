/**
 * What throws while a question is answered is a mistake of ours: it costs that question its answer
 * (SERVFAIL), not the program its life, and it is counted and told with its stack.
 */
import type { Exchanges, Log, Timers } from "../ports.ts";
import type { Reply, Resolve } from "./answer.ts";
import { errorReply, parseRequest } from "./request.ts";
import { HEADER_OCTETS } from "./message.ts";
import { RCODE } from "./rr.ts";

/** Takes what was thrown. */
export type Fault = (error: unknown) => void;

/** Where nobody is named who hears of it. */
export const rethrow: Fault = (error) => {
  throw error;
};

/** Between two lines of the log; what comes in between is counted in the next one. */
const LINE_EVERY_MS = 10_000;

/** Counts, and writes the first fault and then one in LINE_EVERY_MS. */
export function createFaults(
  log: Log,
  monotonicMs: () => number,
): { readonly note: Fault; readonly count: () => number } {
  let count = 0;
  let told = 0;
  let toldAtMs = -Infinity;
  return {
    count: () => count,
    note(error) {
      count++;
      const nowMs = monotonicMs();
      if (nowMs - toldAtMs < LINE_EVERY_MS) return;
      const since = count - told - 1;
      told = count;
      toldAtMs = nowMs;
      log("error", "dns: a question failed by a mistake in this program", {
        stack: error instanceof Error ? (error.stack ?? error.message) : String(error),
        ...(since > 0 ? { more: since } : {}),
      });
    },
  };
}

/** The same resolver; it replies at most once, and if it throws before that, SERVFAIL. */
export function unfailing(resolve: Resolve, fault: Fault): Resolve {
  return (question, reply) => {
    let isOpen = true;
    const once: Reply = (wire, origin) => {
      if (!isOpen) return;
      isOpen = false;
      reply(wire, origin);
    };
    try {
      resolve(question, once);
    } catch (error) {
      fault(error);
      once(servfail(question.query));
    }
  };
}

/** SERVFAIL with the question as far as it can be read; null for what is no question. */
export function servfail(query: Uint8Array): Uint8Array | null {
  if (query.length < HEADER_OCTETS || (query[2]! & 0x80) !== 0) return null;
  const rcode = RCODE.SERVFAIL;
  const problem = "record"; // which one does not show in the reply
  try {
    return errorReply(query, { rcode, problem, question: parseRequest(query).question });
  } catch {
    return errorReply(query, { rcode, problem, question: new Uint8Array(0) });
  }
}

/** The same timers; what throws ends nothing but its own call. */
export function unfailingTimers(timers: Timers, fault: Fault): Timers {
  return {
    after: (delayMs, run) =>
      timers.after(delayMs, () => {
        try {
          run();
        } catch (error) {
          fault(error);
        }
      }),
  };
}

/** The same exchanges; what throws on a message ends nothing but the handling of that one. */
export function unfailingExchanges(exchanges: Exchanges, fault: Fault): Exchanges {
  return {
    open: (server, on) =>
      exchanges.open(server, {
        datagram(wire) {
          try {
            on.datagram(wire);
          } catch (error) {
            fault(error);
          }
        },
        error(code) {
          try {
            on.error(code);
          } catch (error) {
            fault(error);
          }
        },
        carried: (isReused) => on.carried?.(isReused),
      }),
    get openCount() {
      return exchanges.openCount;
    },
    close: () => exchanges.close(),
  };
}
