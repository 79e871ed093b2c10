/** DNS over TLS and over HTTPS beside the plain listeners. */
import type { LoadedConfig } from "../config.ts";
import type { TcpCounters } from "../dns/crowd.ts";
import { startTcpFront } from "../dns/driver.ts";
import type { TcpFront } from "../dns/front.ts";
import { startHttpsFront, type HttpsFront } from "../dns/https/driver.ts";
import { createTlsSide, type TlsSide } from "../dns/tls/driver.ts";
import type { Log, SocketAddress, Transport } from "../ports.ts";

/** What both need; see TcpFrontOptions. */
/** `isShared`: another process of ours listens there, and is about to leave. */
type Common = { isShared: (at: SocketAddress) => boolean } & Omit<
  Parameters<typeof startTcpFront>[0],
  "listen" | "secure" | "limits"
>;

/** The listeners that are on. */
export type SecureDns = {
  tls: (TcpFront & { counters: TcpCounters }) | undefined;
  https: HttpsFront | undefined;
  /**
   * Certificate and addresses of another configuration; what stands goes on as it is. An address that
   * cannot be had is in the log, the others stay. Switched on or off they are by the next start only.
   */
  reload(next: Secured): Promise<void>;
  /** Of those that are on. */
  counters(): { proto: Transport; counters: TcpCounters }[];
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
  const close = async (): Promise<void> => {
    await Promise.all([tls?.close(), https?.close()]);
  };
  try {
    if (identity !== undefined && addresses.dnsTls.length > 0) {
      side = createTlsSide(identity);
      tls = await startTcpFront({ ...common, listen: [], secure: side });
      for (const at of addresses.dnsTls) await tls.listen([at], common.isShared(at));
    }
    if (identity !== undefined && addresses.dnsHttps.length > 0) {
      https = await startHttpsFront({ ...common, listen: [], identity });
      for (const at of addresses.dnsHttps) await https.listen([at], common.isShared(at));
    }
  } catch (error) {
    await close();
    throw error;
  }
  let current = JSON.stringify(identity);
  let now = addresses;
  return {
    tls,
    https,
    close,
    counters: () => [
      ...(tls === undefined ? [] : [{ proto: "tls" as const, counters: tls.counters }]),
      ...(https === undefined ? [] : [{ proto: "https" as const, counters: https.counters }]),
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
      const before = now;
      now = next.addresses;
      if (tls !== undefined) await move(tls, before.dnsTls, now.dnsTls, common.log);
      if (https !== undefined) await move(https, before.dnsHttps, now.dnsHttps, common.log);
    },
  };
}

/** Opens what is new, then leaves what is not wanted any more. */
async function move(
  front: TcpFront,
  before: readonly SocketAddress[],
  wanted: readonly SocketAddress[],
  log: Log,
): Promise<void> {
  const without = (list: readonly SocketAddress[], others: readonly SocketAddress[]) =>
    list.filter((at) => !others.some((other) => isSame(other, at)));
  const gone = without(before, wanted);
  for (const at of without(wanted, before))
    try {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, each may fail
      await front.listen([at], gone.length > 0);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log("error", "dns: cannot listen", { reason });
    }
  await front.leave(gone);
}

const isSame = (a: SocketAddress, b: SocketAddress): boolean =>
  a.address === b.address && a.port === b.port;
