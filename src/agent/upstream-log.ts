/** Lines of the log about upstream servers: what becomes of each, and how often it may be said. */
import { formatDuration } from "../duration.ts";
import { formatName } from "../dns/name.ts";
import type { UpstreamEvent } from "../forwarder/events.ts";
import type { Clock, Log, LogLevel } from "../ports.ts";

/** The same is said of the same server once in this time; the next line tells how often it was not. */
const QUIET_MS = 10_000;
/** Servers and events remembered. When full all are forgotten, and may be said again. */
const MAX_REMEMBERED = 1024;

const lines: Record<UpstreamEvent["type"], [LogLevel, string]> = {
  down: ["warn", "dns: upstream does not answer"],
  up: ["info", "dns: upstream answers again"],
  demoted: ["warn", "dns: upstream answers mostly with errors; others are asked first"],
  restored: ["info", "dns: upstream answers usably again"],
  case: ["info", "dns: upstream changes the case of names; it is asked in lower case"],
  busy: ["warn", "dns: upstream is near its packets per second"],
  loop: ["error", "dns: upstream sends questions back to this agent; it is not asked any more"],
  "loop over": ["info", "dns: upstream does not send questions back any more; it is asked again"],
  full: ["warn", "dns: too many questions are under way; the oldest are given up"],
  disagree: [
    "warn",
    "dns: upstreams disagree about a name: give the one that knows better a zone of its own (forwarder.zones), or ask on after a denial (forwarder.next_on NXDOMAIN)",
  ],
  // The words that Consul has for it.
  "all down": ["warn", "dns: all resolvers failed"],
};

/** To be called with every event. */
export function createUpstreamLog(
  log: Log,
  clock: Pick<Clock, "monotonicMs">,
): (event: UpstreamEvent) => void {
  const said = new Map<string, { atMs: number; left: number }>();
  /** Said once: it does not pass by itself. */
  const disagreeing = new Set<string>();
  return (event) => {
    if (event.type === "disagree") {
      const pair = [event.denying.label, event.knowing.label].toSorted().join(" ");
      if (disagreeing.has(`${event.group} ${pair}`)) return;
      if (disagreeing.size >= MAX_REMEMBERED) disagreeing.clear();
      disagreeing.add(`${event.group} ${pair}`);
    }
    const nowMs = clock.monotonicMs();
    const upstream = "server" in event ? event.server.label : "";
    const key = `${event.type} ${upstream} ${upstream === "" ? event.group : ""}`;
    const before = said.get(key);
    if (before !== undefined && nowMs - before.atMs < QUIET_MS) {
      before.left++;
      return;
    }
    if (said.size >= MAX_REMEMBERED) said.clear();
    said.set(key, { atMs: nowMs, left: 0 });
    const [level, words] = lines[event.type];
    log(level, words, {
      ...(upstream === "" ? {} : { upstream }),
      ...(event.group === "" ? {} : { zone: event.group }),
      ...detailsOf(event),
      ...(before !== undefined && before.left > 0 ? { not_told: before.left } : {}),
    });
  };
}

function detailsOf(event: UpstreamEvent): Record<string, unknown> {
  switch (event.type) {
    case "down":
      return { reason: event.reason, elapsed: formatDuration(Math.round(event.elapsedMs)) };
    case "up":
      return { down: formatDuration(Math.round(event.downMs)) };
    case "demoted":
    case "all down":
      return { reason: event.reason };
    case "full":
      return { client: event.client, places: event.places };
    case "disagree":
      return {
        name: formatName(event.qname),
        denied_by: event.denying.label,
        known_to: event.knowing.label,
      };
    case "busy":
      return { per_second: event.perSecond };
    case "restored":
    case "case":
    case "loop":
    case "loop over":
      return {};
  }
}
