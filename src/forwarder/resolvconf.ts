/** The system's list of resolvers, resolv.conf(5), as upstream servers. */
import { equalOctets } from "../dns/name.ts";
import { parseAddress, unmapped } from "../address.ts";
import type { SocketAddress } from "../ports.ts";
import { MAX_SERVERS } from "./settings.ts";

export type ResolvConf = {
  /** In the order of the file, without repetitions, at most MAX_SERVERS. */
  servers: SocketAddress[];
  /** `options timeout:n`, cut to 30 s as the C library does; null if not given. */
  timeoutMs: number | null;
  /** `options attempts:n`, cut to 5; null if not given. */
  attempts: number | null;
  rotate: boolean;
  /** `options trust-ad`: AD of these servers may be believed. */
  trustAd: boolean;
  /** `nameserver` lines that are not understood or too many, with their numbers from 1 on. */
  ignored: { line: number; text: string }[];
};

const DNS_PORT = 53;
const MAX_TIMEOUT_SECONDS = 30;
const MAX_ATTEMPTS = 5;
/** Characters of the file that are looked at; a longer one is no resolv.conf. */
const MAX_CHARACTERS = 64 * 1024;

/** Never fails: lines that are not understood are skipped, as every resolver does. */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = {
    servers: [],
    timeoutMs: null,
    attempts: null,
    rotate: false,
    trustAd: false,
    ignored: [],
  };
  const lines = text.slice(0, MAX_CHARACTERS).split("\n");
  for (const [index, line] of lines.entries()) {
    const [keyword, ...words] = line.trim().split(/[ \t\r]+/);
    if (keyword === "nameserver") addServer(conf, words[0] ?? "", { line: index + 1, text: line });
    else if (keyword === "options") for (const word of words) applyOption(conf, word);
  }
  return conf;
}

function addServer(conf: ResolvConf, word: string, where: { line: number; text: string }): void {
  const server = parseServer(word);
  if (server === undefined || conf.servers.length === MAX_SERVERS) conf.ignored.push(where);
  else if (
    !conf.servers.some((other) => other.address === server.address && other.port === server.port)
  )
    conf.servers.push(server);
}

/** "192.0.2.1", "2001:db8::1", "fe80::1%eth0", and with a port "[192.0.2.1]:5353" as OpenBSD writes it. */
function parseServer(word: string): SocketAddress | undefined {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(word);
  const literal = bracketed?.[1] ?? word;
  const port = Number(bracketed?.[2] ?? DNS_PORT);
  const scope = literal.indexOf("%");
  const octets = parseAddress(scope < 0 ? literal : literal.slice(0, scope));
  if (octets === undefined || port < 1 || port > 65535) return undefined;
  // A scope needs a name, and has a meaning for IPv6 only (RFC 4007 11).
  if (scope >= 0 && (scope === literal.length - 1 || octets.length === 4)) return undefined;
  return { address: literal, port };
}

function applyOption(conf: ResolvConf, word: string): void {
  if (word === "rotate") conf.rotate = true;
  else if (word === "trust-ad") conf.trustAd = true;
  const number = /^(timeout|attempts):(\d{1,6})$/.exec(word);
  if (number === null) return;
  const value = Number(number[2]);
  if (value === 0) return;
  if (number[1] === "timeout") conf.timeoutMs = Math.min(value, MAX_TIMEOUT_SECONDS) * 1000;
  else conf.attempts = Math.min(value, MAX_ATTEMPTS);
}

export type OwnAddresses = {
  /** Where we listen for DNS; wildcards allowed. */
  listening: readonly SocketAddress[];
  /** Addresses of this host's interfaces, for wildcards. */
  host: readonly string[];
};

/** The servers that are not ourselves: a resolver that asks itself never gets an answer. */
export function withoutOwn(servers: readonly SocketAddress[], own: OwnAddresses): SocketAddress[] {
  const hosts = own.host.map(octetsOf);
  return servers.filter((server) => {
    const octets = octetsOf(server.address);
    return !own.listening.some((listener) => {
      if (listener.port !== server.port) return false;
      const at = octetsOf(listener.address);
      if (equalOctets(at, octets)) return true;
      if (at.some((octet) => octet !== 0)) return false;
      // A wildcard: every address of this host, and all of 127/8 (:: takes IPv4 as well).
      const covered = at.length === 16 || octets.length === 4;
      return covered && (isLoopback(octets) || hosts.some((host) => equalOctets(host, octets)));
    });
  });
}

/** An address that is not a literal equals nothing. */
function octetsOf(literal: string): Uint8Array {
  const scope = literal.indexOf("%");
  const octets = parseAddress(scope < 0 ? literal : literal.slice(0, scope));
  return octets === undefined ? new Uint8Array(0) : unmapped(octets);
}

function isLoopback(octets: Uint8Array): boolean {
  if (octets.length === 4) return octets[0] === 127 || octets.every((octet) => octet === 0);
  return octets.every((octet, index) => octet === 0 || (index === 15 && octet === 1));
}
