/** HTTP checks: the status code says it. Texts as Consul's, which are Go's. */
import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { CheckDefinition } from "../../definition.ts";
import { timeoutOf, type ProbeResult } from "../check.ts";
import {
  denied,
  dialError,
  isDeniedLiteral,
  lookupOf,
  tlsOptions,
  type DialOptions,
  type Lookup,
} from "../dial/driver.ts";
import { createOutputEnd, type OutputEnd } from "../output.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";
import { proxyFor } from "../proxy/driver.ts";

/** Go's http.Client gives up at the tenth redirect. */
const MAX_REDIRECTS = 10;
/** The rest of a longer body is not waited for: one without end would take a processor till the timeout. */
const MAX_BODY_OCTETS = 1_048_576;
/** Go's transport too fails with the sixth: a target that sends nothing else would take a processor. */
const MAX_INFORMATIONAL = 5;
const HAS_SCHEME = /^[a-z][a-z0-9+.-]*:/i;

// No keep-alive: an idle connection that the service closes would make the next run fail. No TLS
// session is taken up again, so that every run sees the certificate.
const plainAgent = new http.Agent({ keepAlive: false });
const tlsAgent = new https.Agent({ keepAlive: false, maxCachedSessions: 0 });

/** One request of a run; redirects make further ones. */
type Target = { url: URL; method: string; body: string; redirects: number };

/** Head of an answer and the end of its body so far. */
type Answer = { status: number; reason: string; body: OutputEnd };

/** Runs checks with `http`. */
export function createHttpProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, { outputMaxOctets }, signal) => {
    const method = check.method === "" ? "GET" : check.method.toUpperCase();
    const failure = (why: string) =>
      critical(
        `${method[0]}${method.slice(1).toLowerCase()} ${JSON.stringify(check.http)}: ${why}`,
      );
    if (!URL.canParse(check.http))
      return Promise.resolve(
        failure(HAS_SCHEME.test(check.http) ? "invalid URL" : 'unsupported protocol scheme ""'),
      );
    const first = new URL(check.http);
    let answer: Answer | undefined;
    // Once the head is there it counts, whatever becomes of the body: as in Consul.
    const ended = (why: string): ProbeResult =>
      answer === undefined ? failure(why) : resultOf(check, method, answer);
    const timedOut = () =>
      ended("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
    return runOnce({ timeoutMs: timeoutOf(check), timedOut, signal }, (finish) => {
      let request: http.ClientRequest | undefined;
      let held: Duplex | undefined;
      let isOver = false;
      const go = (to: Target): void => {
        const { url } = to;
        const why = problemOf(url) ?? (isDeniedLiteral(url.hostname, lookup) ? denied.message : "");
        if (why !== "") return finish(failure(why));
        const proxy = proxyFor(url, options.environment?.() ?? {});
        if (!proxy.ok) return finish(failure(`proxyconnect tcp: ${proxy.error}`));
        const tls = () => tlsOptions(check, options);
        if (proxy.value === null) return ask(to, { lookup, tls });
        const by = proxy.value;
        whetherAllowed(url, lookup, (problem) => {
          if (isOver) return;
          if (problem !== "") finish(failure(problem));
          else if (url.protocol === "http:") ask(to, { proxy: by, lookup, tls });
          else tunnel(to, by, tls);
        });
      };
      /** A secure request goes through a connection that the proxy opens. */
      const tunnel = (to: Target, proxy: URL, tls: Tls): void => {
        const sent = connectBy(proxy, addressOf(to.url));
        request = sent;
        const failed = (why: string) => finish(failure(`proxyconnect tcp: ${why}`));
        sent.on("error", (error) => failed(dialError(addressOf(proxy), error)));
        sent.on("response", (response) => failed(response.statusMessage ?? ""));
        sent.on("connect", (response, socket) => {
          held = socket;
          if (response.statusCode === 200) ask(to, { socket, lookup, tls });
          else finish(failure(response.statusMessage ?? String(response.statusCode)));
        });
        sent.end();
      };
      const ask = (to: Target, way: Way): void => {
        const { url } = to;
        try {
          const headers = headersOf(check, url.host === first.host);
          const sent = send(to, headers, way);
          request = sent;
          const at = way.proxy ?? url;
          const by = way.proxy === undefined ? "" : "proxyconnect tcp: ";
          sent.on("error", (error) => finish(ended(by + dialError(addressOf(at), error))));
          sent.on("response", (response) => read(sent, response, to));
          let informational = 0;
          sent.on("information", () => {
            if (++informational > MAX_INFORMATIONAL)
              finish(failure("too many 1xx informational responses"));
          });
          sent.end(to.body);
        } catch (error) {
          finish(failure(dialError(addressOf(url), error))); // a header or method that HTTP forbids
        }
      };
      const read = (sent: http.ClientRequest, response: http.IncomingMessage, to: Target): void => {
        const status = response.statusCode ?? 0;
        const { location } = response.headers;
        if (isRedirect(status) && location !== undefined && !check.disableRedirects) {
          sent.on("error", () => {});
          sent.destroy();
          if (to.redirects + 1 >= MAX_REDIRECTS)
            return finish(failure("stopped after 10 redirects"));
          if (!URL.canParse(location, to.url.href))
            return finish(failure(`failed to parse Location header ${JSON.stringify(location)}`));
          return go(redirected(to, status, new URL(location, to.url)));
        }
        const body = createOutputEnd(outputMaxOctets);
        answer = { status, reason: response.statusMessage ?? "", body };
        response.on("data", (chunk: Buffer) => {
          body.add(chunk);
          if (body.totalOctets > MAX_BODY_OCTETS) finish(ended(""));
        });
        response.on("error", () => finish(ended("")));
        response.on("close", () => finish(ended("")));
        response.on("end", () => finish(ended("")));
      };
      go({ url: first, method, body: check.body, redirects: 0 });
      return () => {
        isOver = true;
        request?.destroy();
        held?.destroy();
      };
    });
  };
}

function resultOf(check: CheckDefinition, method: string, answer: Answer): ProbeResult {
  const reason = answer.reason || http.STATUS_CODES[answer.status] || "";
  const output = `HTTP ${method} ${check.http}: ${answer.status} ${reason} Output: ${answer.body.text()}`;
  return { status: statusOf(answer.status), output };
}

function statusOf(code: number): ProbeResult["status"] {
  if (code >= 200 && code <= 299) return "passing";
  return code === 429 ? "warning" : "critical";
}

function problemOf({ protocol }: URL): string | undefined {
  if (protocol === "http:" || protocol === "https:") return undefined;
  return `unsupported protocol scheme ${JSON.stringify(protocol.slice(0, -1))}`;
}

const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status);

/** Method and body stay with 307 and 308, RFC 9110 sections 15.4.8 and 15.4.9. */
function redirected({ method, body, redirects }: Target, status: number, url: URL): Target {
  const next = { url, redirects: redirects + 1 };
  if (status >= 307) return { ...next, method, body };
  return { ...next, method: method === "HEAD" ? method : "GET", body: "" };
}

/** Credentials are for the host that was configured, not for one it redirects to. */
function headersOf(check: CheckDefinition, isFirstHost: boolean): http.OutgoingHttpHeaders {
  const headers = new Map<string, string | string[]>([
    ["user-agent", "Consul Health Check"],
    ["accept", "text/plain, text/*, */*"],
  ]);
  for (const [name, values] of Object.entries(check.header ?? {})) {
    const key = name.toLowerCase();
    if (!isFirstHost && ["authorization", "cookie", "host"].includes(key)) continue;
    headers.set(key, values?.length === 1 ? values[0]! : [...(values ?? [])]);
  }
  return Object.fromEntries(headers); // so that a name "__proto__" stays a name
}

type Tls = () => ReturnType<typeof tlsOptions>;

/** How a request gets there: by a proxy that is told the whole URL, over a connection that stands, or directly. */
type Way = { proxy?: URL; socket?: Duplex; lookup: Lookup; tls: Tls };

function send(
  { url, method }: Target,
  headers: http.OutgoingHttpHeaders,
  { proxy, socket, lookup, tls }: Way,
): http.ClientRequest {
  if (proxy !== undefined) {
    const named = "host" in headers ? headers : { ...headers, host: url.host };
    const auth = url.username === "" ? {} : { authorization: basic(url) };
    const path = `${url.protocol}//${url.host}${url.pathname}${url.search}`;
    return byProxy(proxy, { method, path, headers: { ...auth, ...named } });
  }
  const options: http.RequestOptions = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port,
    path: url.pathname + url.search,
    method,
    headers,
    ...(url.username === "" ? {} : { auth: userOf(url) }),
    ...(lookup.resolve === undefined ? {} : { lookup: lookup.resolve }),
  };
  if (url.protocol !== "https:") return http.request({ ...options, agent: plainAgent });
  if (socket === undefined) return https.request({ ...options, ...tls(), agent: tlsAgent });
  const name = isIP(options.host!) === 0 ? { servername: options.host! } : {};
  return https.request({
    ...options,
    headers: { host: url.host, ...headers },
    createConnection: () => connectTls({ host: options.host!, ...name, ...tls(), socket }),
  });
}

function byProxy(proxy: URL, options: http.RequestOptions): http.ClientRequest {
  const to = { host: proxy.hostname.replace(/^\[|\]$/g, ""), port: proxy.port };
  const auth = proxy.username === "" ? {} : { "proxy-authorization": basic(proxy) };
  const headers = { ...(options.headers as http.OutgoingHttpHeaders), ...auth };
  return proxy.protocol === "https:"
    ? https.request({ ...options, ...to, headers, agent: tlsAgent })
    : http.request({ ...options, ...to, headers, agent: plainAgent });
}

const connectBy = (proxy: URL, address: string): http.ClientRequest =>
  byProxy(proxy, { method: "CONNECT", path: address, headers: { host: address } });

/** The proxy finds the address: where some are denied the name is looked up here first. */
function whetherAllowed(
  { hostname, protocol, port }: URL,
  { denyLinkLocal, resolve }: Lookup,
  done: (problem: string) => void,
): void {
  if (!denyLinkLocal || resolve === undefined || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0)
    done("");
  else
    resolve(hostname, { all: true }, (error) =>
      done(error === null ? "" : dialError(addressOf({ hostname, protocol, port }), error)),
    );
}

const basic = (url: URL): string => `Basic ${Buffer.from(userOf(url)).toString("base64")}`;

const userOf = (url: URL): string =>
  `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;

function addressOf({
  protocol,
  hostname,
  port,
}: Pick<URL, "hostname" | "port" | "protocol">): string {
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}
