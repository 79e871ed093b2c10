/** The server's side of TLS for connections of DNS clients (RFC 7858), with a certificate that can be renewed. */
import type { Socket } from "node:net";
import { createServer, type TlsOptions } from "node:tls";
import type { HttpsIdentity } from "../../ports.ts";
import type { Securing } from "../driver.ts";

/** What `renew` gets holds for new connections; those that stand keep their own. */
export type TlsSide = Securing & { renew(identity: HttpsIdentity): void };

/** Speaks TLS with clients that name "dot" as their protocol, or none (RFC 7858 does not ask for it). */
export function createTlsSide(identity: HttpsIdentity): TlsSide {
  /** Connections whose handshake is under way, by the client's end of them. */
  const opening = new Map<string, (secured: Socket) => void>();
  const server = createServer(
    { ...tlsServerOptions(identity), ALPNProtocols: ["dot"], allowHalfOpen: true } as TlsOptions,
    (secured) => opening.get(endOf(secured))?.(secured),
  );
  // The connection is closed by then.
  server.on("tlsClientError", () => undefined);
  return {
    begin(raw, opened) {
      const end = endOf(raw);
      opening.set(end, opened);
      raw.once("close", () => {
        if (opening.get(end) === opened) opening.delete(end);
      });
      server.emit("connection", raw);
    },
    renew: (next) => server.setSecureContext(tlsServerOptions(next)),
  };
}

/** Address and port of both ends: what a socket and the TLS in it have in common. */
export const endOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

const versions: Readonly<Record<number, "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3">> = {
  0x0301: "TLSv1",
  0x0302: "TLSv1.1",
  0x0303: "TLSv1.2",
  0x0304: "TLSv1.3",
};

/** The identity in the words of node:tls. */
export function tlsServerOptions(identity: HttpsIdentity) {
  const { cert, key, ca, verifyIncoming, minVersion, ciphers } = identity;
  return {
    cert,
    key,
    minVersion: versions[minVersion] ?? "TLSv1.2",
    ...(verifyIncoming ? { ca: [...ca], requestCert: true, rejectUnauthorized: true } : {}),
    ...(ciphers === undefined ? {} : { ciphers }),
  };
}
