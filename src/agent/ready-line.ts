/** The line of the log that says where this agent answers. */
import type { HttpListeners } from "../http/listen.ts";
import type { Log, SocketAddress } from "../ports.ts";
import type { Dns } from "./dns.ts";
import type { SecureDns } from "./secure-dns.ts";

/** Everything listens: written once. */
export function tellReady(
  log: Log,
  {
    dns,
    secureDns,
    http,
    index,
  }: {
    dns: Pick<Dns, "udp">;
    secureDns: Pick<SecureDns, "addresses">;
    http: Pick<HttpListeners, "http" | "https">;
    /** Of the catalog. */
    index: number;
  },
): void {
  log("info", "ready", {
    dns: dns.udp.addresses.map(printed).join(" "),
    http: http.http.map(printed).join(" "),
    ...(http.https.length > 0 ? { https: http.https.map(printed).join(" ") } : {}),
    ...Object.fromEntries(
      Object.entries(secureDns.addresses())
        .filter(([, listening]) => listening.length > 0)
        .map(([name, listening]) => [name, listening.map(printed).join(" ")]),
    ),
    workers: dns.udp.workerCount,
    index,
  });
}

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
const printed = (at: SocketAddress | { path: string }): string =>
  "path" in at ? `unix://${at.path}` : `${bracketed(at.address)}:${at.port}`;
