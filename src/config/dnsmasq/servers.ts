/** `server`, `local`, `rev-server` and `address`: what is asked of whom, and what of nobody. */
import { formatAddress, ipVersion, parseAddress } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { append, nameOf, note, refuse, type Draft, type Handler } from "./draft.ts";
import { shown, splitList, splitOnce } from "./line.ts";
import type { Word } from "./patterns.ts";
import type { Statement } from "./statements.ts";

/** `server` and `local`: `[/[domain/]...][server]`. */
export const readServer: Handler = (draft, statement) => {
  const { patterns, rest } = splitDomains(shown(statement.value));
  setNames(draft, statement, patterns, serverWord(rest));
};

/** `address`: `/[domain/]...[address]`. */
export const readAddress: Handler = (draft, statement) => {
  const { patterns, rest } = splitDomains(shown(statement.value));
  setNames(draft, statement, patterns, addressWord(rest));
};

/** What `server` and `local` say with this behind the names. */
export function serverWord(rest: string): Result<Word, string> {
  return rest === "" ? LOCAL : askedWord(rest);
}

function askedWord(rest: string): Result<Word, string> {
  if (rest === "#") return ok({ kind: "defaults" });
  const server = parseServer(rest);
  return server.ok ? ok({ kind: "server", text: server.value }) : server;
}

/** What `address` says with this behind the names. */
export function addressWord(rest: string): Result<Word, string> {
  if (rest === "") return ok({ kind: "denied" });
  if (rest === "#" || ipVersion(rest) !== 0) return ok({ kind: "address", text: rest });
  return fail(`${JSON.stringify(rest)} is no IP address`);
}

/** `rev-server`: `address[/length][,server]`. */
export const readRevServer: Handler = (draft, statement) => {
  const [network = "", ...more] = splitList(shown(statement.value));
  const [literal, bits] = splitOnce(network, "/");
  const address = parseAddress(literal);
  if (address === undefined)
    return refuse(draft, statement, `${JSON.stringify(literal)} is no IP address`);
  const most = address.length * 8;
  const length = bits !== undefined && /^\d+$/.test(bits) ? Number(bits) : most;
  if (length < 1 || length > most)
    return refuse(draft, statement, `the length of the prefix must be from 1 to ${most}`);
  const pattern = networkText(address, length);
  setNames(draft, statement, [pattern], more.length === 0 ? LOCAL : askedWord(more.join(",")));
};

/** Names below `domain` are never forwarded (`domain=x,network,local`, `auth-zone`). */
export function keepLocal(draft: Draft, statement: Statement, patterns: readonly string[]): void {
  setNames(draft, statement, patterns, LOCAL);
}

/** The network in CIDR form, the bits behind the prefix cleared. */
export function networkText(address: Uint8Array, length: number): string {
  const prefix = address.map((octet, i) => {
    const kept = Math.max(0, Math.min(8, length - i * 8));
    return octet & (0xff00 >> kept) & 0xff;
  });
  return `${formatAddress(prefix)}/${length}`;
}

/** `/a/b/rest` → a, b and rest; without slashes every name. */
function splitDomains(value: string): { patterns: string[]; rest: string } {
  if (!value.startsWith("/")) return { patterns: ["."], rest: value };
  const parts = splitList(value.slice(1), "/");
  const rest = parts.pop() ?? "";
  // `server=/x` has no second slash, so dnsmasq takes x for the server.
  if (parts.length === 0) return { patterns: ["."], rest };
  return { patterns: parts.map((each) => (each === "#" ? "." : each)), rest };
}

const LOCAL: Result<Word, string> = ok({ kind: "local" });

function setNames(
  draft: Draft,
  statement: Statement,
  patterns: readonly string[],
  word: Result<Word, string>,
): void {
  if (!word.ok) return refuse(draft, statement, word.error);
  const { place } = statement;
  const colon = place.lastIndexOf(":");
  const path = place.slice(0, colon);
  const line = Number(place.slice(colon + 1));
  for (const pattern of patterns) {
    const key = patternOf(draft, statement, pattern);
    if (key !== undefined) draft.names.say(key, word.value, path, line);
  }
}

/** The pattern as `forwarder.zones` writes it; undefined: left out. */
function patternOf(draft: Draft, statement: Statement, pattern: string): string | undefined {
  if (pattern === "" || pattern === "." || /^[\da-f.:]+\/\d+$/i.test(pattern)) return pattern;
  const [star, text] = pattern.startsWith("*")
    ? ["*", pattern.slice(1)]
    : ["", pattern.replace(/^\.+/, "")];
  if (text === "") return ".";
  const below = star === "*" && text.startsWith(".") ? "." : "";
  const name = nameOf(text.slice(below.length));
  if (!name.ok) return refuse(draft, statement, name.error);
  if (name.value.usable && name.value.name !== "")
    return star + below + name.value.name.toLowerCase();
  return note(draft, statement, `${JSON.stringify(pattern)} matches no name: left out`);
}

/**
 * `address[%scope][#port][@interface][@source[#port]]` → what `recursors` writes. A host name in place of
 * the address is passed on.
 */
export function parseServer(text: string): Result<string, string> {
  const [target, source] = splitOnce(text, "@");
  const [scoped, port] = splitOnce(target, "#");
  const [address] = splitOnce(scoped, "%");
  if (port !== undefined && !isPort(port)) return fail(`${JSON.stringify(port)} is no port`);
  const version = ipVersion(address);
  if (version === 0 && !/^(?=.*[a-z])[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9.])?$/i.test(address))
    return fail(`${JSON.stringify(address)} is neither an IP address nor a host name`);
  const withPort = port === undefined || Number(port) === 53 ? "" : `:${Number(port)}`;
  const host = version === 6 && withPort !== "" ? `[${scoped}]` : scoped;
  const from = source === undefined ? ok("") : parseSource(source, version);
  return from.ok ? ok(host + withPort + from.value) : from;
}

/** `interface`, `source[#port]` or `interface@source[#port]`, an `@` before each. */
function parseSource(text: string, version: 4 | 6 | 0): Result<string, string> {
  const [before, port] = splitOnce(text, "#");
  const [first, second] = splitOnce(before, "@");
  if (port !== undefined && !isPort(port)) return fail(`${JSON.stringify(port)} is no port`);
  const suffix = port === undefined || Number(port) === 0 ? "" : `#${Number(port)}`;
  const source = second ?? first;
  const family = ipVersion(source);
  if (family === 0 && second !== undefined) return fail("an interface can be given only once");
  if (family !== 0 && version !== 0 && family !== version)
    return fail(`an IPv${version} server cannot be asked from an IPv${family} address`);
  if (second !== undefined) return ok(`@${first}@${source}${suffix}`);
  return ok(`@${source}${suffix}`);
}

function isPort(text: string): boolean {
  return /^\d*$/.test(text) && Number(text) <= 65535;
}

/** `query-port`: the source port of all servers that have no source of their own. */
export function withSourcePort(server: string, port: number): string {
  return port === 0 || server.includes("@") ? server : `${server}@#${port}`;
}

/** `bogus-nxdomain` and `ignore-address`: `address[/length]`. */
export const readNetworks =
  (key: string): Handler =>
  (draft, statement) => {
    const text = shown(statement.value);
    const [literal, bits] = splitOnce(text, "/");
    const version = ipVersion(literal);
    if (version === 0 || (bits !== undefined && !/^\d{0,3}$/.test(bits)))
      return refuse(draft, statement, `${JSON.stringify(text)} is no address or network`);
    if (Number(bits ?? 0) > (version === 4 ? 32 : 128))
      return refuse(draft, statement, `the prefix of ${JSON.stringify(text)} is too long`);
    append(draft, statement, key, bits === undefined ? literal : `${literal}/${Number(bits)}`);
  };
