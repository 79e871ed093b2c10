/** What probes over the network share: where they may go, addresses, Go's words for failures. */
import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { readFileSync } from "node:fs";
import { connect, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { formatAddress, ipVersion, isLinkLocal, parseAddress } from "../../../address.ts";
import { fail, ok, type Result } from "../../../base.ts";
import type { CheckDefinition } from "../../definition.ts";
import type { ProxyEnvironment } from "../proxy/driver.ts";
import { portOf } from "../ports/driver.ts";
import { MAX_RUNNING } from "../schedule.ts";

/** What a check may reach. */
export type DialOptions = {
  /** `deny_link_local_checks`: neither by address, nor by name, nor after a redirect. */
  denyLinkLocal: boolean;
  /** Asked for the addresses of a name before the system is; empty: the system has to know. Never rejects. */
  findAddresses?: (host: string) => Promise<readonly string[]>;
  /** Of `enable_agent_tls_for_checks`; gives undefined while that is off. Asked at every run. */
  agentTls?: () => AgentTls | undefined;
  /** What names the proxies of HTTP checks; absent: there are none. */
  environment?: () => ProxyEnvironment;
};

/** What this agent shows and trusts when it speaks TLS itself; all texts are PEM. */
export type AgentTls = {
  /** Shown to servers that ask for one. */
  readonly identity: { readonly cert: string; readonly key: string } | undefined;
  /** Authorities in place of the system's; empty: the system's. */
  readonly ca: readonly string[];
  /** Name that certificates must be for when the check names none. */
  readonly serverName: string;
};

/** The share of this process's descriptors that checks may hold: the rest is for clients and files. */
const DESCRIPTOR_SHARE = 1 / 4;

/** Sockets that checks may use at the same time; undefined where the system does not tell its limit. */
export function socketBudget(): number | undefined {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    if (soft === undefined) return undefined;
    return Math.min(MAX_RUNNING.socket, Math.max(1, Math.floor(Number(soft) * DESCRIPTOR_SHARE)));
  } catch {
    return undefined;
  }
}

/** How a probe finds the address of a name. */
export type Lookup = {
  readonly denyLinkLocal: boolean;
  /** undefined: as the system does. */
  readonly resolve: LookupFunction | undefined;
};

/** The way to addresses that these options leave. */
export function lookupOf({ denyLinkLocal, findAddresses }: DialOptions): Lookup {
  if (!denyLinkLocal && findAddresses === undefined) return { denyLinkLocal, resolve: undefined };
  const find = findAddresses ?? (() => Promise.resolve([]));
  return {
    denyLinkLocal,
    resolve: (host, options, callback) =>
      void find(host).then((found) => {
        const told = (error: Error | null, addresses: LookupAddress[] = []) => {
          const first = addresses[0];
          if (error !== null || first === undefined) callback(error, "", 0);
          else if (denyLinkLocal && addresses.some(({ address }) => isMetadata(address)))
            callback(denied, "", 0);
          else if (options.all === true) callback(null, addresses);
          else callback(null, first.address, first.family);
        };
        if (found.length === 0) systemLookup(host, { ...options, all: true }, told);
        else
          told(
            null,
            found.map((address) => ({ address, family: ipVersion(address) })),
          );
      }),
  };
}

/** Why a link-local address is not connected to. */
export const denied = new Error("link-local addresses are denied (deny_link_local_checks)");

/** An address is never looked up, so `resolve` alone does not see it. */
export function isDeniedLiteral(host: string, { denyLinkLocal }: Lookup): boolean {
  const literal = host.replace(/^\[|\]$/g, "");
  return denyLinkLocal && isIP(literal) !== 0 && isMetadata(literal);
}

/** Link-local, or where EC2 has its metadata for IPv6. */
function isMetadata(literal: string): boolean {
  if (isLinkLocal(literal)) return true;
  const octets = parseAddress(literal.split("%", 1)[0]!);
  return octets !== undefined && formatAddress(octets) === "fd00:ec2::254";
}

/** How a check speaks TLS; see node:tls. Consul: OutgoingTLSConfigForCheck. */
export function tlsOptions(
  check: Pick<CheckDefinition, "tlsServerName" | "tlsSkipVerify">,
  { agentTls }: DialOptions,
) {
  const agent = agentTls?.();
  const servername = check.tlsServerName || (agent?.serverName ?? "");
  return {
    rejectUnauthorized: !check.tlsSkipVerify,
    ...(servername === "" ? {} : { servername }),
    ...(agent === undefined || agent.ca.length === 0 ? {} : { ca: [...agent.ca] }),
    ...agent?.identity,
  };
}

/** Where a stream goes and how: `tls` undefined means plain. */
export type StreamTarget = {
  /** "host:port". */
  address: string;
  lookup: Lookup;
  tls: (ReturnType<typeof tlsOptions> & { ALPNProtocols?: string[] }) | undefined;
};

/**
 * Opens a stream. Calls `connected` once when it stands, with TLS agreed if there is any, or `failed`
 * with Go's words; `failed` may also come later, when the stream breaks. The caller destroys it.
 */
export function dialStream(
  { address, lookup, tls }: StreamTarget,
  on: { connected(socket: Socket): void; failed(text: string): void },
): Socket | undefined {
  const parsed = parseHostPort(address, "tcp");
  if (!parsed.ok) {
    on.failed(`dial tcp: ${parsed.error}`);
    return undefined;
  }
  const to = parsed.value;
  const host = to.host === "" ? "127.0.0.1" : to.host;
  if (isDeniedLiteral(host, lookup)) {
    on.failed(dialError(address, denied));
    return undefined;
  }
  const options = { host, port: to.port, ...(lookup.resolve ? { lookup: lookup.resolve } : {}) };
  const socket = tls === undefined ? connect(options) : connectTls({ ...options, ...tls });
  socket.once(tls === undefined ? "connect" : "secureConnect", () => on.connected(socket));
  // stays for the whole life of the socket: an error after `destroy` must not end the program
  socket.on("error", (error: Error) => on.failed(dialError(address, error)));
  return socket;
}

/** "host:port" or "[v6]:port"; the port may be the name of a service, as in /etc/services. Errors are Go's. */
export function parseHostPort(
  address: string,
  network: "tcp" | "udp",
): Result<{ host: string; port: number }, string> {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(address);
  const [, bracketed, plain, word = ""] = match ?? [];
  if (word === "") return fail(`address ${address}: missing port in address`);
  const host = bracketed ?? plain ?? "";
  const isNumber = /^\d+$/.test(word);
  if (isNumber && Number(word) > 65_535) return fail(`address ${word}: invalid port`);
  const port = isNumber ? Number(word) : portOf(word, network);
  return port === undefined ? fail(`lookup ${network}/${word}: unknown port`) : ok({ host, port });
}

/** Go's words for what Node and Bun report by code; `network` is `tcp` or `udp`. */
export function dialError(address: string, error: unknown, network = "tcp"): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ECONNREFUSED" || code === "ConnectionRefused")
    return `dial ${network} ${address}: connect: connection refused`;
  if (code === "ENOTFOUND")
    return `dial ${network}: lookup ${address.replace(/:\d+$/, "")}: no such host`;
  if (code === "ENETUNREACH") return `dial ${network} ${address}: connect: network is unreachable`;
  if (code === "EHOSTUNREACH") return `dial ${network} ${address}: connect: no route to host`;
  if (code === "ECONNRESET")
    return String(error).includes("socket hang up") ? "EOF" : "read: connection reset by peer";
  if (UNKNOWN_AUTHORITY.has(code)) return "x509: certificate signed by unknown authority";
  if (code === "CERT_HAS_EXPIRED") return "x509: certificate has expired or is not yet valid";
  const text = error instanceof Error ? error.message : String(error);
  return /wrong.version.number/i.test(text)
    ? "tls: first record does not look like a TLS handshake"
    : text;
}

/** OpenSSL's words for a certificate that no trusted authority signed. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
