/** DNS listeners that follow the interfaces of the machine (`dns_listen`). */
import type { DnsAddresses } from "../config/addresses.ts";
import type { Cancel, Timers } from "../ports.ts";

/** How often interfaces are looked at: 0.1 ms of work each time. */
const LOOK_MS = 1000;

/** What it follows, and whom it tells. */
export type FollowInterfacesOptions = {
  /**
   * Where DNS listens now; undefined: the configuration does not follow interfaces. Throws when the system
   * does not tell, as without a free descriptor: then nothing changes.
   */
  addresses: () => DnsAddresses | undefined;
  /** Listens there; resolves with the number of addresses that could not be had. */
  change: (addresses: DnsAddresses) => Promise<number>;
  /** What was asked for last. */
  current: () => DnsAddresses;
  timers: Timers;
};

/**
 * Looks every second, and has the listeners changed when addresses have come or gone; one that could not
 * be had (an IPv6 address is no one's before it was found to be unique) is tried again each time.
 */
export function followInterfaces(options: FollowInterfacesOptions): Cancel {
  const { addresses, change, current, timers } = options;
  // Also what could not be had at the start.
  let missing = 1;
  let isStopped = false;
  let cancel: Cancel = timers.after(LOOK_MS, look);

  function look(): void {
    void lookOnce().finally(() => {
      if (!isStopped) cancel = timers.after(LOOK_MS, look);
    });
  }

  function present(): DnsAddresses | undefined {
    try {
      return addresses();
    } catch {
      return undefined;
    }
  }

  async function lookOnce(): Promise<void> {
    const now = present();
    if (now === undefined) return;
    if (missing === 0 && listed(now) === listed(current())) return;
    missing = await change(now);
  }

  return () => {
    isStopped = true;
    cancel();
  };
}

function listed({ dns, dnsTls, dnsHttps }: DnsAddresses): string {
  return JSON.stringify([dns, dnsTls, dnsHttps]);
}
