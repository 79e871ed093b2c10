/** GET /v1/agent/monitor: the log as an endless stream. */
import type { Cancel, LogLevel } from "../ports.ts";
import { requireAgentRead } from "./agent-rights.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";

const levels: Record<string, LogLevel> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warn",
  err: "error",
  error: "error",
};

/** Streams open at the same time; the next one is refused with 503. */
const MAX_MONITORS = 16;
/** Lines that wait for a slow reader; further ones are left out and counted. */
const MAX_QUEUED_LINES = 512;

type MonitorDeps = {
  followLog(options: { level: LogLevel; json: boolean; write(line: string): void }): Cancel;
};

/** `?loglevel=` (default info), `?logjson`. */
export function monitorRoutes(deps: MonitorDeps): readonly Route[] {
  const open = { count: 0 };
  return [route(["GET"], "/v1/agent/monitor", (call) => answerMonitor(call, deps, open))];
}

function answerMonitor(call: Call, deps: MonitorDeps, open: { count: number }): Reply {
  requireAgentRead(call);
  const word = call.query("loglevel") || "info";
  const level = levels[word.toLowerCase()];
  if (level === undefined) throw new HttpError(400, `Bad request: Unknown log level: ${word}`);
  if (open.count >= MAX_MONITORS)
    throw new HttpError(503, `${MAX_MONITORS} monitors are open on this agent, try again later`);
  open.count++;
  call.env.keepOpen();
  const stream = streamOfLog(deps, { level, json: call.has("logjson") }, () => open.count--);
  return new Response(stream, { headers: call.empty().headers });
}

function streamOfLog(
  deps: MonitorDeps,
  options: { level: LogLevel; json: boolean },
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let stop: Cancel = () => {};
  let leftOut = 0;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Bun sends the status line with the first octets, and clients wait for it
        controller.enqueue(encoder.encode("\n"));
        stop = deps.followLog({
          ...options,
          write(line) {
            if ((controller.desiredSize ?? 0) <= 0) return void leftOut++;
            if (leftOut > 0) controller.enqueue(encoder.encode(`[${leftOut} lines left out]\n`));
            leftOut = 0;
            controller.enqueue(encoder.encode(line));
          },
        });
      },
      cancel() {
        stop();
        onEnd();
      },
    },
    { highWaterMark: MAX_QUEUED_LINES },
  );
}
