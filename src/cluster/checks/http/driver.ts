/** HTTP checks: the status code says it. Texts as Consul's, which are Go's. */
import * as http from "node:http";
import * as https from "node:https";
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
      const go = (to: Target): void => {
        const { url } = to;
        const why = problemOf(url) ?? (isDeniedLiteral(url.hostname, lookup) ? denied.message : "");
        if (why !== "") return finish(failure(why));
        try {
          const headers = headersOf(check, url.host === first.host);
          const sent = send(to, { headers, lookup }, () => tlsOptions(check, options));
          request = sent;
          sent.on("error", (error) => finish(ended(dialError(addressOf(url), error))));
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
      return () => request?.destroy();
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

function send(
  { url, method }: Target,
  given: { headers: http.OutgoingHttpHeaders; lookup: Lookup },
  tls: () => ReturnType<typeof tlsOptions>,
): http.ClientRequest {
  const { headers, lookup } = given;
  const options: http.RequestOptions = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port,
    path: url.pathname + url.search,
    method,
    headers,
    ...(url.username === "" ? {} : { auth: userOf(url) }),
    ...(lookup.resolve === undefined ? {} : { lookup: lookup.resolve }),
  };
  return url.protocol === "https:"
    ? https.request({ ...options, ...tls(), agent: tlsAgent })
    : http.request({ ...options, agent: plainAgent });
}

const userOf = (url: URL): string =>
  `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;

function addressOf({ protocol, hostname, port }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}
