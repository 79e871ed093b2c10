/** Names outside the domain: the forwarder and the sockets to its upstream servers. */
import type { LoadedConfig } from "../config.ts";
import { createForwarder, type Forwarder } from "../forwarder/forward.ts";
import { createTcpExchanges } from "../forwarder/tcp/driver.ts";
import { createDatagramExchanges } from "../forwarder/udp/driver.ts";
import type { Log } from "../ports.ts";
import { forwarderSettings } from "./settings.ts";
import type { Platform } from "./start.ts";

/** The forwarder on this platform's fastest sockets; `close` ends what is under way. */
export function createForwarding(
  loaded: LoadedConfig,
  platform: Pick<Platform, "clock" | "timers" | "random" | "createExchanges">,
  log: Log,
): { forwarder: Forwarder; close: () => void } {
  const { clock, timers, random } = platform;
  const udp =
    (loaded.config.batched_system_calls ? platform.createExchanges(log) : null) ??
    createDatagramExchanges(random);
  const tcp = createTcpExchanges();
  const settings = forwarderSettings(loaded);
  const forwarder = createForwarder({ settings, clock, timers, random, udp, tcp });
  return {
    forwarder,
    close() {
      forwarder.close();
      udp.close();
      tcp.close();
    },
  };
}
