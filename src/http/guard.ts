/** Requests that a page in somebody's browser makes behind their back: DNS rebinding and cross-site writes. */
import { isIP } from "node:net";
import { isLoopback } from "../address.ts";

/** Hosts judged before, with the verdict; when full, all are forgotten. Longer ones are no names of anybody. */
const maxJudged = 1024;
const maxHostCharacters = 300;

/** What the guard goes by. */
export type GuardOptions = {
  /** `http_config.allowed_hosts`: names, `*.name` for what is below one, `*` for all. */
  allowedHosts: readonly string[];
  /** `http_config.allowed_origins` and what `Access-Control-Allow-Origin` of the answers names; `*`: all. */
  allowedOrigins: readonly string[];
  /** Names of this agent, lower case. */
  ownNames: readonly string[];
  /** Domains of the discovery names with their final dot; names in them are ours. "" is none. */
  domains: readonly string[];
  /** Whether an IP literal is an address of this machine; asked only when the Host is a foreign name. */
  isOwnAddress: (literal: string) => boolean;
};

/** The parts of a request that the guard looks at. */
export type Guarded = {
  readonly method: string;
  header(name: string): string | null;
  /** Address of the client; looked at only when the Host is a foreign name. "": a Unix socket. */
  readonly env: { readonly client: { readonly address: string } };
};

/** Why a request is refused: a sentence for the client, for a 400 or a 403. */
export type Refusal = { status: 400 | 403; text: string };

/** A judge of requests; undefined: nothing speaks against this one. */
export type Guard = (request: Guarded) => Refusal | undefined;

/** `foreign`: a name that anybody may have registered. `bad`: no host at all. */
type HostVerdict = "ours" | "foreign" | "bad";

/**
 * Refuses a foreign Host from a client on this machine (from everybody once `allowed_hosts` is given),
 * and writes that a page of another origin makes, or a page of a foreign Host. Programs send neither
 * `Origin` nor `Sec-Fetch-Site`.
 */
export function createGuard(options: GuardOptions): Guard {
  const judged = new Map<string, HostVerdict>();
  const anyHost = options.allowedHosts.includes("*");
  const everybody = options.allowedHosts.length > 0;
  const judge = (host: string): HostVerdict => {
    const verdict = judgeHost(host, options);
    if (host.length > maxHostCharacters) return verdict;
    if (judged.size >= maxJudged) judged.clear();
    judged.set(host, verdict);
    return verdict;
  };
  const isHere = (address: string): boolean => isLoopback(address) || options.isOwnAddress(address);
  return (request) => {
    const host = request.header("Host");
    let isForeign = false;
    // Only a browser can be led astray by a name, and browsers always send one.
    if (host !== null && host !== "" && !anyHost) {
      const verdict = judged.get(host) ?? judge(host);
      if (verdict === "bad") return { status: 400, text: "malformed Host header" };
      isForeign = verdict === "foreign";
      if (isForeign && (everybody || isHere(request.env.client.address)))
        return { status: 403, text: foreignHost(host) };
    }
    const { method } = request;
    if (method === "GET" || method === "HEAD" || method === "OPTIONS") return undefined;
    return judgeOrigin(request, isForeign ? null : host, options.allowedOrigins);
  };
}

function foreignHost(host: string): string {
  return `Host ${JSON.stringify(nameOf(host))} is not a name of this agent; http_config.allowed_hosts can allow it`;
}

function judgeHost(host: string, options: GuardOptions): HostVerdict {
  if (!/^(?:\[[0-9a-f:.]+(?:%[\w.-]+)?\]|[^\s,/?#@\\[\]:]+)(?::\d*)?$/i.test(host)) return "bad";
  const name = nameOf(host);
  if (isIP(name) !== 0) return "ours";
  // One label cannot be registered by a stranger; search domains are the operator's own.
  if (!name.includes(".") || name.endsWith(".localhost")) return "ours";
  const { ownNames, domains, allowedHosts } = options;
  if (ownNames.includes(name)) return "ours";
  if (domains.some((domain) => domain !== "" && `${name}.`.endsWith(`.${domain}`))) return "ours";
  return allowedHosts.some((allowed) => isAllowed(name, allowed.toLowerCase()))
    ? "ours"
    : "foreign";
}

/** Without port, brackets and final dot, in lower case. */
function nameOf(host: string): string {
  const name = /^\[([^\]]*)\]/.exec(host)?.[1] ?? host.replace(/:\d*$/, "");
  return name.replace(/\.$/, "").toLowerCase();
}

function isAllowed(name: string, allowed: string): boolean {
  return allowed.startsWith("*.") ? name.endsWith(allowed.slice(1)) : name === nameOf(allowed);
}

/** `host`: one whose pages may write, for it is ours. */
function judgeOrigin(
  request: Guarded,
  host: string | null,
  allowed: readonly string[],
): Refusal | undefined {
  const origin = request.header("Origin");
  if (origin !== null) {
    if (isSameOrigin(origin, host) || isListed(origin, allowed)) return undefined;
    return {
      status: 403,
      text: `Writes from pages of ${JSON.stringify(origin)} are refused; http_config.allowed_origins can allow them`,
    };
  }
  const site = request.header("Sec-Fetch-Site");
  if (site === null || !/^(?:cross|same)-site$/i.test(site) || allowed.includes("*"))
    return undefined;
  return { status: 403, text: "Writes from pages of other sites are refused" };
}

/** Same host and port; the scheme may differ, since TLS may end before us. */
function isSameOrigin(origin: string, host: string | null): boolean {
  const named = /^https?:\/\/([^/]+)$/i.exec(origin)?.[1];
  return named !== undefined && host !== null && named.toLowerCase() === host.toLowerCase();
}

function isListed(origin: string, allowed: readonly string[]): boolean {
  return allowed.some((each) => each === "*" || each.toLowerCase() === origin.toLowerCase());
}
