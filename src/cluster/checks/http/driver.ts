/** HTTP checks: the status code says it. Texts as Consul's, which are Go's. */
import * as http from "node:http";
import * as https from "node:https";
import type { CheckDefinition } from "../../definition.ts";
import { lastOctets, timeoutOf, type ProbeResult } from "../check.ts";
import {
  denied,
  dialError,
  isDeniedLiteral,
  lookupOf,
  type DialOptions,
  type Lookup,
} from "../dial/driver.ts";
import { critical, type Prober } from "../run/driver.ts";

/** Go's http.Client gives up at the tenth redirect. */
const MAX_REDIRECTS = 10;

/** Runs checks with `http`. */
export function createHttpProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, { outputMaxOctets }, signal) =>
    probeHttp(check, { outputMaxOctets, lookup }, signal);
}

async function probeHttp(
  check: CheckDefinition,
  limits: Limits,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const abort = new AbortController();
  const stop = () => abort.abort();
  signal.addEventListener("abort", stop);
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
    signal.removeEventListener("abort", stop);
  }
}

function statusOf(code: number): ProbeResult["status"] {
  if (code >= 200 && code <= 299) return "passing";
  return code === 429 ? "warning" : "critical";
}

type Answer = { status: number; reason: string; location: string | undefined; body: string };

type Limits = { outputMaxOctets: number; lookup: Lookup };

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
