/** Questions over TCP, TLS and HTTPS by the forwarder's own drivers, on Node and (test/platform) on Bun. */
import { createHttpsExchanges } from "../../src/forwarder/https/driver.ts";
import { createStreamExchanges } from "../../src/forwarder/streams.ts";
import { createTcpExchanges } from "../../src/forwarder/tcp/driver.ts";
import { createTlsDial, createTlsExchanges } from "../../src/forwarder/tls/driver.ts";
import type { OpenStreamFrom, Upstream } from "../../src/ports.ts";
import { live } from "./live.ts";

/** What comes of one question: octets in hexadecimal, or a word; "silence" after the time. */
export type StreamClient = {
  /** One after the other, or all at once; in the order of `wires`. */
  ask(
    server: Upstream,
    wires: readonly string[],
    options?: { atOnce?: boolean; timeoutMs?: number },
  ): Promise<string[]>;
  openCount(): Promise<number>;
  close(): Promise<void>;
};

/** On this runtime. `ca` is one more authority, in PEM. */
export function createStreamClient(
  ca: string,
  openFrom: OpenStreamFrom | null = null,
): StreamClient {
  const dial = createTlsDial({ ca: () => [ca], openFrom });
  const streams = { ...live, openFrom };
  const exchanges = createStreamExchanges({
    tcp: createTcpExchanges(streams),
    tls: createTlsExchanges(streams, dial),
    https: createHttpsExchanges(streams, dial),
  });
  /** Connections are kept by server object, which a caller in another process cannot keep. */
  const servers = new Map<string, Upstream>();

  function known(server: Upstream): Upstream {
    const key = JSON.stringify(server);
    if (!servers.has(key)) servers.set(key, server);
    return servers.get(key)!;
  }

  const one = (server: Upstream, wire: string, timeoutMs: number): Promise<string> =>
    new Promise((done) => {
      const finish = (what: string): void => {
        clearTimeout(timer);
        exchange.close();
        done(what);
      };
      const timer = setTimeout(() => finish("silence"), timeoutMs);
      const exchange = exchanges.open(known(server), {
        datagram: (reply) => finish(Buffer.from(reply).toString("hex")),
        error: finish,
      });
      exchange.send(Buffer.from(wire, "hex"));
    });

  return {
    async ask(server, wires, { atOnce = false, timeoutMs = 5_000 } = {}) {
      if (atOnce) return Promise.all(wires.map((wire) => one(server, wire, timeoutMs)));
      const replies: string[] = [];
      for (const wire of wires) replies.push(await one(server, wire, timeoutMs));
      return replies;
    },
    openCount: () => Promise.resolve(exchanges.openCount),
    close: () => Promise.resolve(exchanges.close()),
  };
}
