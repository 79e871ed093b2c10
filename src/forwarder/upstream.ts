/** What distinguishes one upstream server from another, and how it is shown. */
import type { Upstream } from "../ports.ts";

/** Ports that a server has when none is given. */
const usualPorts: Record<NonNullable<Upstream["transport"]>, number> = {
  udp: 53,
  tcp: 53,
  tls: 853,
  https: 443,
};

/** Port for a transport where none is given. */
export const usualPort = (transport: Upstream["transport"]): number =>
  usualPorts[transport ?? "udp"];

/** Path of a DoH server where none is given (RFC 8484 itself names no other). */
export const USUAL_PATH = "/dns-query";

/** Never asked over UDP: every question goes through a connection. */
export const isStreamOnly = ({ transport = "udp" }: Upstream): boolean => transport !== "udp";

/**
 * For metrics and logs: "192.0.2.1:53", "[2001:db8::1]:53", "tcp://192.0.2.1:53", "tls://192.0.2.1:853",
 * "https://192.0.2.1:443/dns-query", those with "#name" if their certificate must hold another name than
 * the address, each with "@address", "@interface" or "@address#port" where its questions come from, if
 * that is given. What differs in it is another server.
 */
export function upstreamLabel(upstream: Upstream): string {
  const { address, port, transport = "udp", path = USUAL_PATH, source, tlsName } = upstream;
  const host = address.includes(":") ? `[${address}]` : address;
  const scheme = transport === "udp" ? "" : `${transport}://`;
  const name = tlsName === undefined || tlsName === address ? "" : `#${tlsName}`;
  const label = `${scheme}${host}:${port}${transport === "https" ? path : ""}${name}`;
  if (source === undefined) return label;
  const from = [source.interface, source.address].filter((each) => each !== undefined).join("@");
  return `${label}@${from}${source.port === undefined ? "" : `#${source.port}`}`;
}

/** Is it the same server, asked in the same manner? */
export const isSameUpstream = (a: Upstream, b: Upstream): boolean =>
  upstreamLabel(a) === upstreamLabel(b);
