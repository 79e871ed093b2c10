/** Probes with real sockets: HTTP requests and TCP connections. Texts as Consul's, which are Go's. */
import { lookup as systemLookup } from "node:dns";
import * as http from "node:http";
import * as https from "node:https";
import { connect, isIP, type LookupFunction } from "node:net";
import { isLinkLocal } from "../../address.ts";
import type { CheckDefinition } from "../definition.ts";
import { lastOctets, timeoutOf, type ProbeResult } from "./check.ts";
import type { Probe } from "./schedule.ts";

/** Go's http.Client gives up at the tenth redirect. */
const MAX_REDIRECTS = 10;

/** What a check may reach. */
export type ProbeOptions = {
  /** `deny_link_local_checks`: neither by address, nor by name, nor after a redirect. */
  denyLinkLocal: boolean;
};

/** Runs HTTP and TCP checks; see Probe. */
export function createProbe({ denyLinkLocal }: ProbeOptions): Probe {
  const lookup = denyLinkLocal ? lookupElsewhere : undefined;
  return (check, outputMaxOctets) => {
    const abort = new AbortController();
    const result =
      check.http === ""
        ? probeTcp(check, abort.signal, lookup)
        : probeHttp(check, { outputMaxOctets, lookup }, abort);
    return { result, cancel: () => abort.abort() };
  };
}

const denied = new Error("link-local addresses are denied (deny_link_local_checks)");

/** Resolves as the system does, but not to link-local addresses: what is looked up is what is connected to. */
const lookupElsewhere: LookupFunction = (host, options, callback) =>
  systemLookup(host, { ...options, all: true }, (error, addresses) => {
    const first = addresses?.[0];
    if (error !== null || first === undefined) callback(error, "", 0);
    else if (addresses.some(({ address }) => isLinkLocal(address))) callback(denied, "", 0);
    else if (options.all === true) callback(null, addresses);
    else callback(null, first.address, first.family);
  });

/** An address is never looked up. */
function isDeniedLiteral(host: string, lookup: LookupFunction | undefined): boolean {
  const literal = host.replace(/^\[|\]$/g, "");
  return lookup !== undefined && isIP(literal) !== 0 && isLinkLocal(literal);
}

function critical(output: string): ProbeResult {
  return { status: "critical", output };
}

/** "host:port" or "[v6]:port"; undefined if it is neither. */
function parseHostPort(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[3]) > 65535) return undefined;
  return { host: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}

function probeTcp(
  check: CheckDefinition,
  signal: AbortSignal,
  lookup: LookupFunction | undefined,
): Promise<ProbeResult> {
  const address = parseHostPort(check.tcp);
  if (address === undefined)
    return Promise.resolve(critical(`dial tcp: address ${check.tcp}: missing port in address`));
  const host = address.host === "" ? "127.0.0.1" : address.host;
  if (isDeniedLiteral(host, lookup)) return Promise.resolve(critical(dialError(check.tcp, denied)));
  return new Promise((resolve) => {
    const socket = connect({ host, port: address.port, ...(lookup ? { lookup } : {}) });
    const finish = (result: ProbeResult) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(result);
    };
    const onAbort = () => finish(critical("check was stopped"));
    const timer = setTimeout(
      () => finish(critical(`dial tcp ${check.tcp}: i/o timeout`)),
      timeoutOf(check),
    );
    signal.addEventListener("abort", onAbort);
    socket.once("connect", () =>
      finish({ status: "passing", output: `TCP connect ${check.tcp}: Success` }),
    );
    // stays for the whole life of the socket: an error after `destroy` must not end the program
    socket.on("error", (error) => finish(critical(dialError(check.tcp, error))));
  });
}

async function probeHttp(
  check: CheckDefinition,
  limits: Limits,
  abort: AbortController,
): Promise<ProbeResult> {
  const method = (check.method === "" ? "GET" : check.method).toUpperCase();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    abort.abort();
  }, timeoutOf(check));
  try {
    const answer = await follow(check, method, limits, abort.signal);
    const reason = answer.reason || http.STATUS_CODES[answer.status] || "";
    const output = `HTTP ${method} ${check.http}: ${answer.status} ${reason} Output: ${answer.body}`;
    return { status: statusOf(answer.status), output };
  } catch (error) {
    const verb = method[0] + method.slice(1).toLowerCase();
    const why = timedOut
      ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
      : dialError(hostOf(check.http), error);
    return critical(`${verb} ${JSON.stringify(check.http)}: ${why}`);
  } finally {
    clearTimeout(timer);
  }
}

function statusOf(code: number): ProbeResult["status"] {
  if (code >= 200 && code <= 299) return "passing";
  return code === 429 ? "warning" : "critical";
}

type Answer = { status: number; reason: string; location: string | undefined; body: string };

type Limits = { outputMaxOctets: number; lookup: LookupFunction | undefined };

async function follow(
  check: CheckDefinition,
  firstMethod: string,
  limits: Limits,
  signal: AbortSignal,
): Promise<Answer> {
  if (!URL.canParse(check.http)) throw new Error('unsupported protocol scheme ""');
  let url = new URL(check.http);
  let method = firstMethod;
  let { body } = check;
  const first = url.host;
  for (let redirects = 0; ; redirects++) {
    if (url.protocol !== "http:" && url.protocol !== "https:")
      throw new Error(`unsupported protocol scheme ${JSON.stringify(url.protocol.slice(0, -1))}`);
    const headers = headersOf(check, url.host === first);
    const answer = await send(check, { url, method, headers, body }, limits, signal);
    const isRedirect = [301, 302, 303, 307, 308].includes(answer.status);
    if (!isRedirect || answer.location === undefined || check.disableRedirects) return answer;
    if (redirects + 1 >= MAX_REDIRECTS) throw new Error("stopped after 10 redirects");
    url = new URL(answer.location, url);
    if (answer.status >= 307) continue; // method and body stay, RFC 9110 sections 15.4.8 and 15.4.9
    if (method !== "HEAD") method = "GET";
    body = "";
  }
}

/** Credentials are for the host that was configured, not for one it redirects to. */
function headersOf(check: CheckDefinition, isFirstHost: boolean): Record<string, string[]> {
  const headers: Record<string, string[]> = {
    "user-agent": ["Consul Health Check"],
    accept: ["text/plain, text/*, */*"],
  };
  for (const [name, values] of Object.entries(check.header ?? {})) {
    const key = name.toLowerCase();
    if (!isFirstHost && ["authorization", "cookie", "host"].includes(key)) continue;
    headers[key] = [...(values ?? [])];
  }
  return headers;
}

function send(
  check: CheckDefinition,
  to: { url: URL; method: string; headers: Record<string, string[]>; body: string },
  { outputMaxOctets, lookup }: Limits,
  signal: AbortSignal,
): Promise<Answer> {
  const { url, method, headers, body } = to;
  if (isDeniedLiteral(url.hostname, lookup)) return Promise.reject(denied);
  // no keep-alive: an idle connection that the service closes would make the next run fail
  const plain = { method, headers: flat(headers), agent: false, signal };
  const options = lookup === undefined ? plain : { ...plain, lookup };
  const tls = {
    rejectUnauthorized: !check.tlsSkipVerify,
    ...(check.tlsServerName === "" ? {} : { servername: check.tlsServerName }),
  };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === "https:"
        ? https.request(url, { ...options, ...tls })
        : http.request(url, options);
    request.on("error", reject);
    request.on("response", (response) => {
      const collected = collectEnd(outputMaxOctets);
      response.on("data", (chunk: Buffer) => collected.add(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? "",
          location: response.headers.location,
          body: collected.text(),
        }),
      );
    });
    request.end(body);
  });
}

function flat(headers: Record<string, string[]>): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [
      name,
      values.length === 1 ? values[0]! : values,
    ]),
  );
}

/** Keeps the end of a body of any length in little memory. */
function collectEnd(maxOctets: number): { add(chunk: Buffer): void; text(): string } {
  const chunks: Buffer[] = [];
  let octets = 0;
  return {
    add(chunk) {
      chunks.push(chunk);
      octets += chunk.length;
      while (octets - chunks[0]!.length > maxOctets) octets -= chunks.shift()!.length;
    },
    text: () => lastOctets(Buffer.concat(chunks), maxOctets),
  };
}

function hostOf(url: string): string {
  try {
    const { protocol, hostname, port } = new URL(url);
    return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
  } catch {
    return url;
  }
}

/** Go's words for what Node and Bun report by code. */
function dialError(address: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ECONNREFUSED" || code === "ConnectionRefused")
    return `dial tcp ${address}: connect: connection refused`;
  if (code === "ENOTFOUND") return `dial tcp: lookup ${address.replace(/:\d+$/, "")}: no such host`;
  if (code === "ENETUNREACH") return `dial tcp ${address}: connect: network is unreachable`;
  if (code === "EHOSTUNREACH") return `dial tcp ${address}: connect: no route to host`;
  return error instanceof Error ? error.message : String(error);
}
