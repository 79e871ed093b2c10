/** DNS over TLS and over HTTPS beside the plain listeners. */
import type { LoadedConfig } from "../config.ts";
import type { TcpCounters } from "../dns/crowd.ts";
import { startTcpFront } from "../dns/driver.ts";
import type { TcpFront } from "../dns/front.ts";
import { startHttpsFront, type HttpsFront } from "../dns/https/driver.ts";
import { createDnsListeners, openListeners, type DnsListeners } from "./dns-listeners.ts";
import { createTlsSide, type TlsSide } from "../dns/tls/driver.ts";
import type { SecureFigures } from "../metrics/family.ts";
import type { Log, SocketAddress } from "../ports.ts";

/**
 * What both need; see TcpFrontOptions. `isShared`: another process of ours listens there, and is about to
 * leave. `follows`: as for openListeners.
 */
type Common = { isShared: (at: SocketAddress) => boolean; follows: boolean } & Omit<
  Parameters<typeof startTcpFront>[0],
  "listen" | "secure"
>;

/** The listeners that are on. */
export type SecureDns = {
  tls: (TcpFront & { counters: TcpCounters }) | undefined;
  https: HttpsFront | undefined;
  /**
   * Certificate and addresses of another configuration; what stands goes on as it is. An address that
   * cannot be had is in the log, the others stay; it is tried again the next time. Resolves with the number
   * of those. Switched on or off they are by the next start only.
   */
  reload(next: Secured): Promise<number>;
  /** Of those that are on. */
  counters(): SecureFigures[];
  /** Addresses in force, for the log. */
  addresses(): { dns_tls: readonly SocketAddress[]; dns_https: readonly SocketAddress[] };
  close: () => Promise<void>;
};

type Secured = Pick<LoadedConfig, "addresses" | "dnsTls">;

/** Listens on all addresses of both, or rejects and listens on none; without a certificate neither is on. */
export async function startSecureDns(
  { addresses, dnsTls: identity }: Secured,
  common: Common,
): Promise<SecureDns> {
  let side: TlsSide | undefined;
  let tls: SecureDns["tls"];
  let https: HttpsFront | undefined;
  let tlsListeners: DnsListeners | undefined;
  let httpsListeners: DnsListeners | undefined;
  const close = async (): Promise<void> => {
    await Promise.all([tls?.close(), https?.close()]);
  };
  try {
    if (identity !== undefined && addresses.dnsTls.length > 0) {
      side = createTlsSide(identity);
      tls = await startTcpFront({ ...common, listen: [], secure: side });
      tlsListeners = listenersOf(tls, common.log);
      await openListeners(tlsListeners, addresses.dnsTls, common);
    }
    if (identity !== undefined && addresses.dnsHttps.length > 0) {
      https = await startHttpsFront({ ...common, listen: [], identity });
      httpsListeners = listenersOf(https, common.log);
      await openListeners(httpsListeners, addresses.dnsHttps, common);
    }
  } catch (error) {
    await close();
    throw error;
  }
  let current = JSON.stringify(identity);
  const options = { isFollowing: common.follows };
  return {
    tls,
    https,
    close,
    counters: () => [
      ...(tls === undefined ? [] : [{ proto: "tls" as const, counters: tls.counters }]),
      ...(https === undefined
        ? []
        : [{ proto: "https" as const, counters: https.counters, responses: https.responses() }]),
    ],
    addresses: () => ({ dns_tls: tls?.addresses ?? [], dns_https: https?.addresses ?? [] }),
    async reload(next) {
      const text = JSON.stringify(next.dnsTls);
      if (next.dnsTls !== undefined && text !== current) {
        current = text;
        side?.renew(next.dnsTls);
        https?.renew(next.dnsTls);
        common.log("info", "dns: new connections over TLS get the new certificate");
      }
      const { dnsTls, dnsHttps } = next.addresses;
      const missing = await Promise.all([
        tlsListeners?.change(dnsTls, options),
        httpsListeners?.change(dnsHttps, options),
      ]);
      return (missing[0] ?? 0) + (missing[1] ?? 0);
    },
  };
}

/** One transport alone: the half of the other one stays empty. */
function listenersOf(front: TcpFront, log: Log): DnsListeners {
  const nothing = { listen: () => Promise.resolve([]), leave: () => Promise.resolve() };
  return createDnsListeners({ udp: front, tcp: nothing }, [], log);
}
