/** All ways of asking through a connection behind one contract: the server says which it is. */
import type { Exchanges } from "../ports.ts";

/** Exchanges over each kind of connection as one; servers without a transport of their own are asked over TCP. */
export function createStreamExchanges(kinds: {
  tcp: Exchanges;
  tls: Exchanges;
  https: Exchanges;
}): Exchanges {
  const { tcp, tls, https } = kinds;
  return {
    open(server, on) {
      const { transport } = server;
      const exchanges = transport === "tls" ? tls : transport === "https" ? https : tcp;
      return exchanges.open(server, on);
    },
    get openCount() {
      return tcp.openCount + tls.openCount + https.openCount;
    },
    close() {
      for (const each of [tcp, tls, https]) each.close();
    },
  };
}
