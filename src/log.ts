import type { Cancel, Clock, Follower, Log, LogLevel } from "./ports.ts";

/** Where and how lines are written. `write` gets whole lines with their line feed. */
export type LogSettings = {
  level: LogLevel;
  /** One JSON object per line in place of text. */
  json: boolean;
  write(line: string): void;
  clock: Clock;
};

/** A log whose level can be changed by a reload and which can be followed (agent/monitor). */
export type AdjustableLog = {
  log: Log;
  setLevel: (level: LogLevel) => void;
  /** Gets a line that says so at once, whatever its level, and every later one from its level on, until cancelled. */
  follow: (follower: Follower) => Cancel;
};

/** More lines than this in one second are counted, not written: a log must not become the load. */
const maxLinesPerSecond = 100;

const severity: Record<LogLevel, number> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };

const labels: Record<LogLevel, string> = {
  trace: "[TRACE]",
  debug: "[DEBUG]",
  info: "[INFO] ",
  warn: "[WARN] ",
  error: "[ERROR]",
};

/** Members whose values never reach the log. */
const secretName = /token|secret|password|encrypt|authorization/i;

/**
 * Lines as `2026-01-31T12:00:00.000Z [WARN]  message: key=value` (the form of Consul's log), or as
 * JSON with @timestamp, @level and @message. At most 100 lines per second; how many were left out
 * is said with the first line of a later second that there is room for. Values of fields named like secrets are hidden.
 */
export function createLog(settings: LogSettings): AdjustableLog {
  const { clock } = settings;
  const write = (line: string) => {
    settings.write(line);
    return true;
  };
  const own = createSink({ ...settings, write }, clock);
  const followers = new Set<Sink>();
  return {
    log(level, message, fields = {}) {
      own.put(level, message, fields);
      for (const sink of followers) sink.put(level, message, fields);
    },
    setLevel: own.setLevel,
    follow(follower) {
      const sink = createSink(follower, clock);
      sink.emit("info", "the log follows", { level: follower.level });
      followers.add(sink);
      return () => void followers.delete(sink);
    },
  };
}

type Sink = {
  /** Writes the line in any case; false: there was no room. */
  emit(level: LogLevel, message: string, fields: Record<string, unknown>): boolean;
  put(level: LogLevel, message: string, fields: Record<string, unknown>): void;
  setLevel: (level: LogLevel) => void;
};

function createSink(settings: Follower, clock: Clock): Sink {
  let least = severity[settings.level];
  let secondStartMs = -Infinity;
  let written = 0;
  let suppressed = 0;
  const emit: Sink["emit"] = (level, message, fields) => {
    const time = new Date(clock.wallMs()).toISOString();
    const shown = hideSecrets(fields);
    const line = settings.json
      ? JSON.stringify({ "@level": level, "@message": message, "@timestamp": time, ...shown })
      : `${time} ${labels[level]} ${oneLine(message)}${textOf(shown)}`;
    return settings.write(`${line}\n`);
  };
  return {
    emit,
    put(level, message, fields) {
      if (severity[level] < least) return;
      const nowMs = clock.monotonicMs();
      if (nowMs - secondStartMs >= 1000) {
        if (suppressed > 0 && emit("warn", "log lines left out", { count: suppressed }))
          suppressed = 0;
        secondStartMs = nowMs;
        written = 0;
      }
      if (written < maxLinesPerSecond && emit(level, message, fields)) written++;
      else suppressed++;
    },
    setLevel(level) {
      least = severity[level];
    },
  };
}

function hideSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      secretName.test(name) ? "<hidden>" : value instanceof Error ? value.message : value,
    ]),
  );
}

function textOf(fields: Record<string, unknown>): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${valueText(value)}`);
  return pairs.length === 0 ? "" : `: ${pairs.join(" ")}`;
}

function valueText(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** What came from outside must not forge a second line. */
function oneLine(message: string): string {
  return message.replaceAll(/\p{Cc}/gu, " ");
}
