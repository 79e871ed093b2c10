/** TCP checks: passing if a connection is accepted. Texts as Consul's. */
import { connect } from "node:net";
import { timeoutOf } from "../check.ts";
import {
  denied,
  dialError,
  isDeniedLiteral,
  lookupOf,
  parseHostPort,
  type DialOptions,
} from "../dial/driver.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";

/** Runs checks with `tcp`. */
export function createTcpProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const address = parseHostPort(check.tcp);
    if (address === undefined)
      return Promise.resolve(critical(`dial tcp: address ${check.tcp}: missing port in address`));
    const host = address.host === "" ? "127.0.0.1" : address.host;
    if (isDeniedLiteral(host, lookup))
      return Promise.resolve(critical(dialError(check.tcp, denied)));
    const timedOut = critical(`dial tcp ${check.tcp}: i/o timeout`);
    return runOnce({ timeoutMs: timeoutOf(check), timedOut, signal }, (finish) => {
      const socket = connect({ host, port: address.port, ...(lookup ? { lookup } : {}) });
      socket.once("connect", () =>
        finish({ status: "passing", output: `TCP connect ${check.tcp}: Success` }),
      );
      // stays for the whole life of the socket: an error after `destroy` must not end the program
      socket.on("error", (error) => finish(critical(dialError(check.tcp, error))));
      return () => socket.destroy();
    });
  };
}
