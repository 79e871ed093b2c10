/** GET /v1/agent/monitor: the log as an endless stream. */
import { constants, createGzip } from "node:zlib";
import type { Cancel, Follower, LogLevel } from "../ports.ts";
import { requireAgentRead } from "./agent-rights.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { takesGzip } from "./json.ts";

const levels = new Map<string, LogLevel>([
  ["trace", "trace"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["err", "error"],
  ["error", "error"],
]);

/** Streams open at the same time; the next one is refused with 503. */
const MAX_MONITORS = 16;
/** Lines that wait for a slow reader; further ones are left out and counted by the log. */
const MAX_QUEUED_LINES = 512;
/** How long one wait for the agent's end lasts; the next one follows. */
const WAIT_MS = 3_600_000;

type MonitorDeps = {
  followLog(follower: Follower): Cancel;
};

/** `?loglevel=` (default info), `?logjson`. */
export function monitorRoutes(deps: MonitorDeps): readonly Route[] {
  const open = { count: 0 };
  return [route(["GET"], "/v1/agent/monitor", (call) => answerMonitor(call, deps, open))];
}

function answerMonitor(call: Call, deps: MonitorDeps, open: { count: number }): Reply {
  requireAgentRead(call);
  const word = call.query("loglevel") || "info";
  const level = levels.get(word.toLowerCase());
  if (level === undefined) throw new HttpError(400, `Bad request: Unknown log level: ${word}`);
  if (open.count >= MAX_MONITORS)
    throw new HttpError(503, `${MAX_MONITORS} monitors are open on this agent, try again later`);
  open.count++;
  call.env.keepOpen();
  const stream = streamOfLog(call, deps, { level, json: call.has("logjson") }, () => open.count--);
  if (!takesGzip(call.request)) return new Response(stream, { headers: call.empty().headers });
  // Unlike other answers also before it is long: nobody knows how long it will be.
  call.setHeader("Content-Encoding", "gzip");
  call.setHeader("Vary", "Accept-Encoding");
  return new Response(gzipLines(stream), { headers: call.empty().headers });
}

/** Each line leaves as soon as it is written. */
function gzipLines(lines: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
  const reader = lines.getReader();
  const compressed = gzip[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  // A line is read only when the one before has gone through.
  const feed = async (): Promise<void> => {
    for (;;) {
      const { value, done } = await reader.read();
      if (gzip.destroyed) return;
      if (done) return void gzip.end();
      await new Promise((resolve) => gzip.write(value, resolve));
    }
  };
  void feed();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await compressed.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await reader.cancel();
      gzip.destroy();
    },
  });
}

function streamOfLog(
  call: Call,
  deps: MonitorDeps,
  options: { level: LogLevel; json: boolean },
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let stop: Cancel = () => {};
  const left = new AbortController();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Bun sends the status line with the first octets, and clients wait for it: the log begins at once.
        stop = deps.followLog({
          ...options,
          write(line) {
            if ((controller.desiredSize ?? 0) <= 0) return false;
            controller.enqueue(encoder.encode(line));
            return true;
          },
        });
        // A stream that stays open would hold up the agent's end.
        void untilStopped(call, left.signal).then((isStopped) => {
          if (!isStopped) return;
          stop();
          onEnd();
          controller.close();
        });
      },
      cancel() {
        left.abort();
        stop();
        onEnd();
      },
    },
    { highWaterMark: MAX_QUEUED_LINES },
  );
}

/** true when the agent stops; false when `signal` comes first, or too many others wait to be told. */
async function untilStopped({ deps }: Call, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    const woken = await deps.waiters.wait([], deps.clock.monotonicMs() + WAIT_MS, signal);
    if (woken === "closed") return true;
    if (woken === "gone" || woken === "full") return false;
  }
}
