/** The sockets to upstream servers: the platform's fastest for datagrams, and every kind of connection. */
import type { LoadedConfig } from "../config.ts";
import { parsePortRange } from "../config/forwarder/port-range.ts";
import { createHttpsExchanges } from "../forwarder/https/driver.ts";
import { createSharedPorts } from "../forwarder/shared-port.ts";
import { createStreamExchanges } from "../forwarder/streams.ts";
import { createTcpExchanges } from "../forwarder/tcp/driver.ts";
import { createTlsDial, createTlsExchanges } from "../forwarder/tls/driver.ts";
import { createDatagramExchanges } from "../forwarder/udp/driver.ts";
import type { Exchanges, Log, SourcePorts } from "../ports.ts";
import type { Platform } from "./start.ts";

/** `now` gives the configuration in force: authorities and source ports follow a reload. */
export function createUpstreamSockets(
  now: () => LoadedConfig,
  platform: Pick<Platform, "clock" | "timers" | "random" | "createExchanges" | "openStreamFrom">,
  log: Log,
): { udp: Exchanges; tcp: Exchanges } {
  const { clock, timers, random, openStreamFrom: openFrom } = platform;
  const ports = sourcePorts(now);
  const batched = now().config.batched_system_calls ? platform.createExchanges(log, ports) : null;
  const udp = createSharedPorts(batched ?? createDatagramExchanges(random, ports), timers);
  const streams = { clock, timers, random, openFrom };
  const dial = createTlsDial({ ca: () => now().upstreamAuthorities, openFrom });
  const tcp = createStreamExchanges({
    tcp: createTcpExchanges(streams),
    tls: createTlsExchanges(streams, dial),
    https: createHttpsExchanges(streams, dial),
  });
  return { udp, tcp };
}

/** Read once for each configuration, not for each question. */
function sourcePorts(now: () => LoadedConfig): SourcePorts {
  let of: LoadedConfig | undefined;
  let range: ReturnType<SourcePorts["range"]> = null;
  let taken: readonly number[] = [];
  const read = (): void => {
    const loaded = now();
    if (loaded === of) return;
    of = loaded;
    const parsed = parsePortRange(loaded.config["forwarder.port_range"]);
    range = parsed.ok ? parsed.value : null;
    taken = [loaded.config["ports.dns"]];
  };
  return {
    range() {
      read();
      return range;
    },
    taken() {
      read();
      return taken;
    },
  };
}
