/** HTTP/2 ping checks: passing if a PING frame is answered. Texts as Consul's. */
import { connect as connectHttp2 } from "node:http2";
import { timeoutOf } from "../check.ts";
import { dialStream, lookupOf, tlsOptions, type DialOptions } from "../dial/driver.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";

/** Runs checks with `h2ping`. */
export function createH2pingProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const address = check.h2ping;
    const scheme = check.h2pingUseTls ? "https" : "http";
    const tls = check.h2pingUseTls
      ? { ...tlsOptions(check, options), ALPNProtocols: ["h2"] }
      : undefined;
    const timedOut = () => critical("HTTP2 ping failed: context deadline exceeded");
    return runOnce({ timeoutMs: timeoutOf(check), timedOut, signal }, (finish) => {
      let isConnected = false;
      let destroySession = () => {};
      const fail = (text: string) =>
        finish(
          critical(
            isConnected ? `HTTP2 ping failed: ${text}` : `Failed to dial to ${address}: ${text}`,
          ),
        );
      const socket = dialStream(
        { address, lookup, tls },
        {
          connected(connection) {
            isConnected = true;
            const session = connectHttp2(`${scheme}://${address}`, {
              createConnection: () => connection,
            });
            destroySession = () => session.destroy();
            session.on("error", (error: Error) => fail(error.message));
            session.on("close", () => fail("connection closed"));
            // a PING before the settings were exchanged is cancelled
            session.once("remoteSettings", () =>
              session.ping((error) =>
                error === null
                  ? finish({ status: "passing", output: "HTTP2 ping was successful" })
                  : fail(error.message),
              ),
            );
          },
          failed: fail,
        },
      );
      return () => {
        destroySession();
        socket?.destroy();
      };
    });
  };
}
