/** Connections to upstream servers over TLS (RFC 7858) on plain Node. There is no way back to clear text. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  rootCertificates,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { Exchanges, OpenStreamFrom, Upstream } from "../../ports.ts";
import { padQuestion } from "../../dns/padding.ts";
import { createConnections, tcpLimits, type Line } from "../connections.ts";
import { codeOf, failedLine, openFramed, wayTo, type StreamDeps } from "../tcp/driver.ts";

/** Whom servers' certificates are checked against; the texts are PEM. */
export type Trust = {
  /** Authorities beside the system's. Another list takes effect with the next connection. */
  readonly ca: () => readonly string[];
  /** As of StreamDeps. */
  readonly openFrom?: OpenStreamFrom | null;
};

/** Opens TLS connections that are checked: version, chain, validity and name; or says why it cannot. */
export type DialTls = (server: Upstream, alpn: string[]) => TLSSocket | { error: string };

/** Exchanges over TLS, padded; see tcp/driver.ts for the contract. */
export function createTlsExchanges(deps: StreamDeps, dial: DialTls): Exchanges {
  return createConnections({
    ...deps,
    limits: tcpLimits,
    dial(server, on) {
      const socket = dial(server, ["dot"]);
      return "error" in socket
        ? failedLine(socket.error, on)
        : paddedLine(openFramed(socket, "secureConnect", on, deps.random, tlsWord));
    },
  });
}

/** The same line; what is asked is padded. */
export function paddedLine(line: Line): Line {
  return {
    ask: (wire, on) => line.ask(padQuestion(wire), on),
    get capacity() {
      return line.capacity;
    },
    close: () => line.close(),
  };
}

/** Sessions are resumed where the server allows it, which spares it its signature and us a round trip. */
export function createTlsDial({ ca, openFrom }: Trust): DialTls {
  /** By server, and gone with it. */
  let tickets = new WeakMap<Upstream, Buffer>();
  let trusted: readonly string[] | undefined;
  let context: SecureContext | undefined;

  function contextNow(): SecureContext {
    const wanted = ca();
    if (context === undefined || trusted?.join() !== wanted.join()) {
      trusted = wanted;
      context = createSecureContext({
        ca: [...systemAuthorities(), ...wanted],
        minVersion: "TLSv1.2",
      });
      // A session that is resumed is not checked again.
      tickets = new WeakMap();
    }
    return context;
  }

  return (server, alpn) => {
    const name = server.tlsName ?? server.address;
    const secureContext = contextNow();
    const kept = tickets;
    const session = kept.get(server);
    const way = wayTo(server, openFrom);
    if ("error" in way) return way;
    const socket = connect({
      ...("path" in way ? way.path : way),
      secureContext,
      minVersion: "TLSv1.2",
      ALPNProtocols: alpn,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(session === undefined ? {} : { session }),
      checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
        checkServerIdentity(name, certificate),
    });
    // A server that closes at once may not get to send another, so the last one stays in use. What
    // RFC 8446 C.4 has against that, to be recognized, holds for every client with a fixed address.
    socket.on("session", (ticket: Buffer) => {
      if (socket.authorized) kept.set(server, ticket);
    });
    return socket;
  };
}

/** Where systems keep their authorities: Debian and Alpine, Red Hat, SUSE. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
];

/** The system's list, so that what its administrator added counts; without one, the runtime's. */
function systemAuthorities(): readonly string[] {
  for (const file of BUNDLES)
    try {
      return [readFileSync(file, "utf8")];
    } catch {
      // The next one.
    }
  return rootCertificates;
}

/** What is wrong with certificates, in words for operators. */
const certificateWords: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "CERT name mismatch",
  CERT_HAS_EXPIRED: "CERT expired",
  CERT_NOT_YET_VALID: "CERT not yet valid",
  CERT_REVOKED: "CERT revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "CERT self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "CERT unknown authority",
  UNABLE_TO_GET_ISSUER_CERT: "CERT unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "CERT unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "CERT unknown authority",
};

/** A word for an error of a connection or of its certificate. */
export function tlsWord(error: Error): string {
  const code = codeOf(error);
  const word = certificateWords[code];
  if (word !== undefined) return word;
  if (/wrong.version.number|packet.length|http.request/i.test(`${code} ${error.message}`))
    return "TLS not spoken";
  if (/protocol.version|unsupported.protocol/i.test(`${code} ${error.message}`))
    return "TLS version too old";
  return code.startsWith("ERR_SSL_") ? `TLS ${code.slice("ERR_SSL_".length).toLowerCase()}` : code;
}
