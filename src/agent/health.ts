/** Whether this agent is alive and ready, and the listener that tells it from the start to the end. */
import { isUnspecified } from "../address.ts";
import type { LoadedConfig } from "../config.ts";
import type { HttpListeners } from "../http/listen.ts";
import { HEALTH_BOUNDS_SECONDS } from "../metrics/agent-families.ts";
import type { HealthFigures } from "../metrics/family.ts";
import type { Cancel, Clock, HttpAddress, Log, SocketAddress, Timers } from "../ports.ts";
import { httpListenerSettings } from "./settings.ts";
import type { Fetch } from "./pass-on.ts";
import type { Platform } from "./start.ts";

/** How often the listener is asked by ourselves, as CoreDNS does, and how long that may take. */
const ASK_MS = 1000;
const ASK_LIMIT_MS = 3000;
/** What the listener has; everything else is not found there. */
const paths = new Set(["/metrics", "/health", "/ready"]);
const isOpen = new Set(["/health", "/ready"]);

/** See startHealth. */
export type Health = {
  /** Why this agent is not ready; "" if it is. */
  whyNotReady: () => string;
  /** Everything is read and listens: requests of the listener go here from now on. */
  serve(fetch: Fetch): void;
  /** The end has begun: from here on it is not ready. Resolves after `metrics.lameduck`. */
  leave(): Promise<void>;
  /** Another agent has everything: the end waits for nothing. */
  handedOver(): void;
  /** How our own questions to the listener went; null without one. */
  figures(): HealthFigures | null;
  /** Where the listener is, if there is one. */
  readonly addresses: readonly HttpAddress[];
  stop: () => Promise<void>;
};

/** Rejects if the address cannot be had. */
export async function startHealth(
  loaded: LoadedConfig,
  platform: Pick<Platform, "startHttp" | "clock" | "timers">,
  deps: { isShared: (at: HttpAddress) => boolean; hasLeader: () => boolean; log: Log },
): Promise<Health> {
  const { metricsAddress: at } = loaded;
  const { clock, timers } = platform;
  const { log } = deps;
  let lameduckMs = loaded.config["metrics.lameduck"];
  let served: Fetch | undefined;
  let isLeaving = false;
  const whyNotReady = (): string => {
    if (isLeaving) return "this agent is about to end";
    if (served === undefined) return "the catalog is being read";
    return deps.hasLeader() ? "" : "there is no leader";
  };
  const fetch: Fetch = (request, env) => {
    const { pathname } = new URL(request.url, "http://localhost");
    if (!paths.has(pathname)) return plain(404, "not found here");
    if (served !== undefined) return served(request, env);
    return isOpen.has(pathname) ? answerOf(pathname, whyNotReady()) : plain(503, whyNotReady());
  };
  const listener: HttpListeners | undefined =
    at &&
    (await platform.startHttp({
      http: [at],
      https: [],
      identity: undefined,
      sockets: { mode: "", user: "", group: "" },
      maxHeaderOctets: httpListenerSettings(loaded).maxHeaderOctets,
      maxConnectionsPerClient: () => 0,
      isShared: deps.isShared,
      fetch,
      log,
    }));
  const asking = at && askRegularly(at, clock, timers);
  return {
    whyNotReady,
    serve(next) {
      served = next;
    },
    async leave() {
      isLeaving = true;
      if (lameduckMs > 0) await new Promise<void>((over) => timers.after(lameduckMs, over));
    },
    handedOver() {
      lameduckMs = 0;
    },
    figures: () => asking?.figures() ?? null,
    addresses: listener?.http ?? [],
    async stop() {
      asking?.stop();
      await listener?.stop();
    },
  };
}

/** What /health and /ready say. */
function answerOf(path: string, whyNot: string): Response {
  return path === "/health" || whyNot === "" ? plain(200, "OK") : plain(503, whyNot);
}

function plain(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain" } });
}

/** Asks /health over and over: how long that takes shows whether this process keeps up. */
function askRegularly(
  { address, port }: SocketAddress,
  clock: Clock,
  timers: Timers,
): { figures: () => HealthFigures; stop: Cancel } {
  const own = isUnspecified(address) ? (address === "::" ? "::1" : "127.0.0.1") : address;
  const url = `http://${own.includes(":") ? `[${own}]` : own}:${port}/health`;
  const counts: number[] = [...HEALTH_BOUNDS_SECONDS.map(() => 0), 0];
  let sum = 0;
  let failures = 0;
  let stopped = false;
  let cancel: Cancel = () => {};
  async function ask(): Promise<void> {
    const startMs = clock.monotonicMs();
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(ASK_LIMIT_MS) });
      await response.text();
      if (!response.ok) failures++;
    } catch {
      failures++;
    }
    const seconds = (clock.monotonicMs() - startMs) / 1000;
    const bucket = HEALTH_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    counts[bucket < 0 ? HEALTH_BOUNDS_SECONDS.length : bucket]!++;
    sum += seconds;
    arm();
  }
  function arm(): void {
    if (!stopped) cancel = timers.after(ASK_MS, () => void ask());
  }
  arm();
  return {
    figures: () => ({ durations: { counts: [...counts], sum }, failures }),
    stop() {
      stopped = true;
      cancel();
    },
  };
}
