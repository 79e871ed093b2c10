/** Requests over HTTP while one agent takes the place of another: which are answered, wait, or are passed on. */
import type { RequestEnv } from "../http/call.ts";
import type { Log, Timers } from "../ports.ts";
import { createLending, HANDED_OVER, type Lending } from "./lending.ts";
import { isUnheard, passOn, type Fetch } from "./pass-on.ts";

/** Writes that have begun are waited for so long before the store is given; later ones are refused. */
const FINISH_MS = 1000;
const reading: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Who answers requests. */
export type Admission = Pick<Lending, "lend" | "takeBack"> & {
  /** What answers here from now on. */
  serve(fetch: Fetch): void;
  /**
   * Lets requests which may write wait while it is lent. Once it is given up all go to the successor that
   * do not wait for a change, and each answer is the last one of its connection.
   */
  fetch: Fetch;
  /** Resolves when the writes that have begun are answered, or after FINISH_MS. */
  finished(): Promise<void>;
  /** The successor answers, also what is passed on to this path (pass-on.ts); undefined: not that. */
  giveUp(path: string | undefined): void;
};

/** `isLent`: another agent answers for now. */
export function createAdmission(options: { isLent: boolean; timers: Timers; log: Log }): Admission {
  const { isLent, timers, log } = options;
  const lending = createLending(isLent);
  const writes = createUnderWay(timers);
  let served: Fetch = refusal;
  let successor: string | undefined;

  async function passedOn(request: Request, env: RequestEnv, isRead: boolean): Promise<Response> {
    if (successor === undefined) return isRead ? served(request, env) : refusal();
    try {
      return await passOn(successor, request, env);
    } catch (error) {
      if (isRead) return served(request, env);
      if (isUnheard(error)) return refusal();
      log("error", "the successor has not answered a request", { reason: String(error) });
      return new Response(UNANSWERED, { status: 500, headers: plainText });
    }
  }

  return {
    lend: () => lending.lend(),
    takeBack: () => lending.takeBack(),
    serve(fetch) {
      served = fetch;
    },
    fetch(request, env) {
      const isRead = reading.has(request.method);
      if (lending.state === "ours")
        return isRead ? served(request, env) : writes.note(served(request, env));
      if (isRead && lending.state === "lent") return served(request, env);
      if (isRead && isWaiting(request)) return last(served(request, env));
      return lending
        .settled()
        .then((isOurs) =>
          isOurs ? writes.note(served(request, env)) : last(passedOn(request, env, isRead)),
        );
    },
    finished: () => writes.over(FINISH_MS),
    giveUp(path) {
      successor = path;
      lending.giveUp();
    },
  };
}

const plainText = { "Content-Type": "text/plain" };
const UNANSWERED = "the successor ended before it answered; this may have been done";

function refusal(): Response {
  const headers = { ...plainText, "Retry-After": "1" };
  return new Response(HANDED_OVER, { status: 503, headers });
}

/** The last one of its connection: the next request goes to the successor at once. */
async function last(reply: Response | Promise<Response>): Promise<Response> {
  const response = await reply;
  response.headers.set("Connection", "close");
  return response;
}

/** Answers when something changes, or never: the agent that was asked ends that. */
function isWaiting({ url }: Request): boolean {
  return /[?&](index|hash)=|\/v1\/agent\/(monitor|metrics\/stream)\b/.test(url);
}

/** Counts requests that are being answered. */
function createUnderWay(timers: Timers) {
  let count = 0;
  let isOver = (): void => {};
  const done = (): void => {
    if (--count === 0) isOver();
  };
  return {
    note(reply: Response | Promise<Response>): Response | Promise<Response> {
      if (reply instanceof Response) return reply;
      count++;
      reply.then(done, done);
      return reply;
    },
    /** Resolves when none is left, or after this time. */
    over(limitMs: number): Promise<void> {
      if (count === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const cancel = timers.after(limitMs, resolve);
        isOver = () => {
          cancel();
          resolve();
        };
      });
    },
  };
}
