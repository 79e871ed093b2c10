/** Who may ask, kept up to date: the configuration, and the networks that this machine is connected to. */
import { networkInterfaces } from "node:os";
import { formatAddress, parseAddress, type Network } from "../address.ts";
import type { LoadedConfig } from "../config.ts";
import { interfaceAddresses, type Interfaces } from "../config/interface-address.ts";
import { LOCAL_NETWORKS_MAX } from "../dns/gate.ts";
import { createGateOwner, type GateOwner } from "../dns/gate-writer.ts";
import type { Cancel, Clock, Log, Random, Timers } from "../ports.ts";

/** How often the interfaces are read: a network that is gone is refused after so long at the latest. */
const REFRESH_MS = 30_000;
/** How often it is seen whether somebody was refused, who may be of a network that has just come. */
const LOOK_MS = 1000;

/** What keeps the gate. */
export type AccessOptions = {
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
  /** Interfaces of this machine now. Throws when the system does not tell: those known before stay. */
  interfaces?: () => Interfaces;
};

/** The gate and its keeper. */
export type DnsAccess = {
  readonly gate: GateOwner;
  /** Applies to the next question. */
  reload(loaded: LoadedConfig): void;
  /** Refused so far: while it grows the interfaces are read sooner. */
  watchRefusals(prohibited: () => number): void;
  stop: Cancel;
};

/** The gate is written before it returns. */
export function createDnsAccess(loaded: LoadedConfig, options: AccessOptions): DnsAccess {
  const { clock, timers, random, log, interfaces = networkInterfaces } = options;
  const gate = createGateOwner(() => Math.floor(clock.wallMs() / 1000), random.uint32());
  // For the life of this process; cookies are worth nothing to another one.
  const drawn = new Uint8Array(new Uint32Array(4).map(() => random.uint32()).buffer);
  let now = loaded;
  let known = "";
  let latest: readonly Network[] = [];
  let readMs = 0;
  let refused = 0;
  let countRefused = (): number => 0;
  let overflowTold = false;

  function write(local: readonly Network[]): void {
    const { access } = now;
    gate.write({
      ...access,
      local: access.localService ? local : [],
      views: now.local.views.flatMap(({ clients }) => clients),
      secrets: access.secrets.length > 0 ? access.secrets : [drawn],
    });
  }

  /** Without a free descriptor nothing can be read (getifaddrs(3)). */
  function connected(): readonly Network[] {
    try {
      return connectedNetworks(interfaces());
    } catch {
      return latest;
    }
  }

  function refresh(): void {
    readMs = clock.monotonicMs();
    const local = connected();
    const text = local.map(shownNetwork).join(" ");
    if (text === known) return;
    known = text;
    latest = local;
    if (local.length > LOCAL_NETWORKS_MAX && !overflowTold) {
      overflowTold = true;
      log("warn", "dns: connected networks beyond the first are not answered", {
        networks: local.length,
        answered: LOCAL_NETWORKS_MAX,
      });
    }
    write(local.slice(0, LOCAL_NETWORKS_MAX));
  }

  function look(): void {
    const count = countRefused();
    if (count !== refused || clock.monotonicMs() - readMs >= REFRESH_MS) refresh();
    refused = count;
    cancel = timers.after(LOOK_MS, look);
  }

  refresh();
  // Also a machine without any interface has rules.
  if (known === "") write([]);
  let cancel = timers.after(LOOK_MS, look);
  return {
    gate,
    reload(next) {
      now = next;
      known = "";
      // In one go: without their networks the neighbours would be refused for a moment.
      refresh();
      if (known === "") write([]);
    },
    watchRefusals(prohibited) {
      countRefused = prohibited;
    },
    stop: () => cancel(),
  };
}

/** Networks of the addresses of all interfaces but loopback, each once. */
export function connectedNetworks(interfaces: Interfaces): Network[] {
  const networks = new Map<string, Network>();
  for (const { address, prefixLength, loopback } of interfaceAddresses(interfaces, undefined)) {
    const octets = parseAddress(address);
    if (loopback || octets === undefined) continue;
    // All addresses of a network lead to the same entry.
    const first = octets.map((octet, i) => {
      const bits = prefixLength - 8 * i;
      return bits >= 8 ? octet : bits <= 0 ? 0 : octet & (0xff00 >> bits);
    });
    const network = { octets: first, prefixLength };
    networks.set(shownNetwork(network), network);
  }
  return [...networks.values()];
}

const shownNetwork = ({ octets, prefixLength }: Network): string =>
  `${formatAddress(octets)}/${prefixLength}`;
