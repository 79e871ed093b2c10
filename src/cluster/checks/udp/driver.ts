/**
 * UDP checks: an empty datagram is sent; an answer and silence are passing, a refusal (ICMP port
 * unreachable) is critical. Texts as Consul's.
 */
import { createSocket } from "node:dgram";
import { lookup as systemLookup } from "node:dns";
import { intervalOf, timeoutOf } from "../check.ts";
import {
  denied,
  dialError,
  isDeniedLiteral,
  lookupOf,
  parseHostPort,
  type DialOptions,
} from "../dial/driver.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";

/** Runs checks with `udp`. */
export function createUdpProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const { udp } = check;
    const parsed = parseHostPort(udp, "udp");
    if (!parsed.ok) return Promise.resolve(critical(`dial udp: ${parsed.error}`));
    const to = parsed.value;
    const host = to.host === "" ? "127.0.0.1" : to.host;
    if (isDeniedLiteral(host, lookup))
      return Promise.resolve(critical(dialError(udp, denied, "udp")));
    const success = { status: "passing", output: `UDP connect ${udp}: Success` } as const;
    // Silence is the usual answer: without a timeout of its own a run must not last an interval.
    const timeoutMs =
      check.timeoutMs > 0 ? check.timeoutMs : Math.min(timeoutOf(check), intervalOf(check) / 2);
    let isSent = false;
    // Silence says something only of a datagram that was sent: the name may not have been found yet.
    const timedOut = () => (isSent ? success : critical(`dial udp ${udp}: i/o timeout`));
    return runOnce({ timeoutMs, timedOut, signal }, (finish) => {
      let free = () => {};
      let isFreed = false;
      const resolve = lookup.resolve ?? systemLookup;
      resolve(host, { all: false }, (error, address, family) => {
        if (isFreed) return;
        if (error !== null || typeof address !== "string")
          return finish(critical(dialError(udp, error ?? denied, "udp")));
        const socket = createSocket(family === 6 ? "udp6" : "udp4");
        free = () => socket.close();
        // Go's text names the local port too: another one each time, and so a new output each run.
        socket.on("error", (failure: NodeJS.ErrnoException) =>
          finish(
            critical(
              failure.code === "ECONNREFUSED"
                ? `read udp ${udp}: read: connection refused`
                : dialError(udp, failure, "udp"),
            ),
          ),
        );
        socket.on("message", () => finish(success));
        socket.connect(to.port, address, () => {
          if (isFreed) return;
          isSent = true;
          socket.send(new Uint8Array(0));
        });
      });
      return () => {
        isFreed = true;
        free();
      };
    });
  };
}
