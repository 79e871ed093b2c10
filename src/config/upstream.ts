/**
 * Upstream servers as `recursors` and the servers of zones write them:
 *
 *   address, address:port, [v6]:port, host name, host name:port; the port also behind # as in dnsmasq
 *   udp://, tcp:// before these
 *   tls://server:port#name        port 853; name that its certificate must hold, else the server itself
 *   https://server:port/path#name port 443, path /dns-query
 *
 * and behind any of them @interface, @source, @source#port, @#port, or @interface@source#port. Where the
 * server of tls:// or https:// is a host name, a first @address says where it is.
 */
import { isIP } from "node:net";
import { isUnspecified } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import { isSameUpstream, USUAL_PATH, usualPort } from "../forwarder/upstream.ts";
import type { Upstream } from "../ports.ts";

type Transport = NonNullable<Upstream["transport"]>;
type Source = { address?: string; interface?: string; port?: number };

/** One server; its address may still be a host name. The error is a sentence without the key. */
export function parseUpstream(text: string): Result<Upstream, string> {
  const parsed = parse(text.trim());
  return parsed.ok ? parsed : fail(`"${text}" ${parsed.error}`);
}

function parse(text: string): Result<Upstream, string> {
  const [target = "", ...tails] = text.split("@");
  const match = /^([a-z]+):\/\/(.*)$/i.exec(target);
  const transport = match === null ? "udp" : transportOf(match[1]!);
  if (transport === undefined)
    return fail("has an unknown scheme: expected udp, tcp, tls or https");
  const isSecure = transport === "tls" || transport === "https";
  const server = isSecure
    ? parseSecure(match![2]!, transport)
    : parsePlain(match === null ? target : match[2]!, transport);
  if (!server.ok) return server;
  const { tlsName } = server.value;
  const isNamed = isSecure && isIP(server.value.address) === 0;
  const bootstrap = isNamed && isIP(tails[0] ?? "") !== 0 ? tails.shift() : undefined;
  const address = bootstrap ?? server.value.address;
  if (isUnspecified(address)) return fail("is the unspecified address");
  const source = parseSource(tails, address);
  if (!source.ok) return source;
  return ok({
    ...server.value,
    address,
    ...(isNamed && tlsName === undefined ? { tlsName: server.value.address } : {}),
    ...(source.value === undefined ? {} : { source: source.value }),
  });
}

function transportOf(scheme: string): Transport | undefined {
  const lower = scheme.toLowerCase();
  return lower === "udp" || lower === "tcp" || lower === "tls" || lower === "https"
    ? lower
    : undefined;
}

/** Host and port; # before the port as dnsmasq writes it. */
function parsePlain(text: string, transport: Transport): Result<Upstream, string> {
  const [host = "", dnsmasqPort, more] = text.split("#");
  if (more !== undefined) return fail("has two ports");
  const server = splitPort(host);
  if (server === undefined) return fail("is not an address such as 192.0.2.1 or 192.0.2.1:53");
  if (dnsmasqPort !== undefined && server.port !== undefined) return fail("has two ports");
  return parseServer({ ...server, port: dnsmasqPort ?? server.port }, transport);
}

function parseSecure(text: string, transport: Transport): Result<Upstream, string> {
  const match = /^([^/#]*)(\/[^#]*)?(?:#(.*))?$/.exec(text);
  const [, host = "", path, name] = match ?? [];
  const port = usualPort(transport);
  const server = splitPort(host);
  if (match === null || server === undefined)
    return fail(`is not a server such as ${transport}://192.0.2.1:${port}#dns.example`);
  if (path !== undefined && transport === "tls") return fail("has a path, which is for https://");
  if (path !== undefined && !/^[!-~]{1,1024}$/.test(path))
    return fail("has a path with characters that a URL escapes");
  if (path?.includes("{") === true)
    return fail(`has a template in its path: give the path alone, such as ${USUAL_PATH}`);
  if (name !== undefined && !isName(name) && isIP(name) === 0)
    return fail(`has "${name}" behind #, which is not the name of a certificate`);
  const parsed = parseServer(server, transport);
  if (!parsed.ok) return parsed;
  return ok({
    ...parsed.value,
    ...(path === undefined || path === "/" || path === USUAL_PATH ? {} : { path }),
    ...(name === undefined ? {} : { tlsName: name }),
  });
}

function parseServer(
  { address, port = "" }: { address: string; port: string | undefined },
  transport: Transport,
): Result<Upstream, string> {
  if (port !== "" && !isPort(port)) return fail("has a port that is not from 1 to 65535");
  if (isIP(address) === 0 && !isName(address))
    return fail("is neither an IP address nor a host name");
  if (isIP(address) === 0 && /^[\d.]+$/.test(address)) return fail("is not an IP address");
  return ok({
    address: isIP(address) === 0 ? address : address.toLowerCase(),
    port: port === "" ? usualPort(transport) : Number(port),
    ...(transport === "udp" ? {} : { transport }),
  });
}

const isName = (text: string): boolean => /^(?!-)[A-Za-z0-9_.-]{1,253}$/.test(text);
const isPort = (text: string): boolean =>
  /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;

/** Host, and what stands behind the colon if there is one. */
function splitPort(text: string): { address: string; port: string | undefined } | undefined {
  if (isIP(text) !== 0) return { address: text, port: undefined };
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const [, address = "", port] = bracketed;
    return isIP(address) === 6 ? { address, port } : undefined;
  }
  const [address = "", port, more] = text.split(":");
  return address === "" || more !== undefined ? undefined : { address, port };
}

/** An interface, an address with or without a port, or both in this order; undefined for none. */
function parseSource(tails: string[], server: string): Result<Source | undefined, string> {
  if (tails.length === 0) return ok(undefined);
  const last = tails.at(-1)!;
  const [host = "", port, more] = last.split("#");
  const names = tails.length === 1 ? [] : tails.slice(0, -1);
  const source: Source = {};
  if (isIP(host) !== 0) source.address = host;
  else if (host !== "") names.push(host);
  if (more !== undefined || (port !== undefined && !isPort(port)))
    return fail(`has a source port that is not from 1 to 65535 in "@${last}"`);
  if (port !== undefined) source.port = Number(port);
  if (names.length > 1 || (host === "" && port === undefined))
    return fail(`has "@${tails.join("@")}": expected @interface, @source#port or both`);
  const [name] = names;
  if (name !== undefined) {
    if (!/^[^\s/#:]{1,15}$/.test(name) || isIP(name) !== 0)
      return fail(`has "@${name}", which is neither an interface nor an address`);
    source.interface = name;
  }
  const isOtherFamily =
    source.address !== undefined && isIP(server) !== 0 && isIP(source.address) !== isIP(server);
  if (isOtherFamily)
    return fail(`cannot be asked from ${source.address}: one is IPv4, one is IPv6`);
  return ok(source);
}

/** What a list of servers needs of its surroundings. */
export type UpstreamReading = {
  /** Begins every sentence: `recursors`, `forwarder.zones[2].servers`. */
  key: string;
  /** Addresses of a host name; rejects if it has none. */
  lookup: (host: string) => Promise<string[]>;
  errors: string[];
};

/** The servers of a list, host names by their addresses, each server once, in order. */
export async function resolveUpstreams(
  texts: readonly string[],
  { key, lookup, errors }: UpstreamReading,
): Promise<Upstream[]> {
  const servers: Upstream[] = [];
  for (const text of texts) {
    const parsed = parseUpstream(text);
    if (!parsed.ok) errors.push(`${key}: ${parsed.error}`);
    else if (isIP(parsed.value.address) !== 0) servers.push(parsed.value);
    else {
      const { address: name } = parsed.value;
      try {
        // oxlint-disable-next-line no-await-in-loop -- in the order of the list, and there are few
        const found = await lookup(name);
        servers.push(...found.map((address) => ({ ...parsed.value, address })));
      } catch {
        errors.push(`${key}: the host name "${name}" cannot be resolved`);
      }
    }
  }
  return withoutDuplicates(servers);
}

/** The same servers, each once, in order. */
export function withoutDuplicates(servers: readonly Upstream[]): Upstream[] {
  return servers.filter(
    (server, i) => servers.findIndex((other) => isSameUpstream(other, server)) === i,
  );
}
