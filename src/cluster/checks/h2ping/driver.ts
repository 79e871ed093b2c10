/** HTTP/2 ping checks: passing if a PING frame is answered. Texts as Consul's. */
import { timeoutOf } from "../check.ts";
import { lookupOf, tlsOptions, type DialOptions } from "../dial/driver.ts";
import { dialHttp2 } from "../http2/driver.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";

/** Runs checks with `h2ping`. */
export function createH2pingProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const address = check.h2ping;
    const tls = check.h2pingUseTls
      ? { ...tlsOptions(check, options), ALPNProtocols: ["h2"] }
      : undefined;
    const timedOut = () => critical("HTTP2 ping failed: context deadline exceeded");
    return runOnce({ timeoutMs: timeoutOf(check), timedOut, signal }, (finish) => {
      const failed = (text: string, wasConnected: boolean) =>
        finish(
          critical(
            wasConnected ? `HTTP2 ping failed: ${text}` : `Failed to dial to ${address}: ${text}`,
          ),
        );
      return dialHttp2(
        { address, lookup, tls },
        {
          // a PING before the settings were exchanged is cancelled
          connected: (session) =>
            void session.once("remoteSettings", () =>
              session.ping((error) =>
                error === null
                  ? finish({ status: "passing", output: "HTTP2 ping was successful" })
                  : failed(error.message, true),
              ),
            ),
          failed,
        },
      );
    });
  };
}
