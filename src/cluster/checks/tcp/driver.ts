/** TCP checks: passing if a connection is accepted, and TLS agreed if it is asked for. Texts as Consul's. */
import { timeoutOf } from "../check.ts";
import { dialStream, lookupOf, tlsOptions, type DialOptions } from "../dial/driver.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";

/** Runs checks with `tcp`. */
export function createTcpProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const address = check.tcp;
    const tls = check.tcpUseTls ? tlsOptions(check, options) : undefined;
    const timedOut = () => critical(`dial tcp ${address}: i/o timeout`);
    const what = tls === undefined ? "TCP" : "TCP+TLS";
    return runOnce({ timeoutMs: timeoutOf(check), timedOut, signal }, (finish) => {
      const socket = dialStream(
        { address, lookup, tls },
        {
          connected: () =>
            finish({ status: "passing", output: `${what} connect ${address}: Success` }),
          failed: (text) => finish(critical(text)),
        },
      );
      return () => socket?.destroy();
    });
  };
}
