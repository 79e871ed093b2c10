/** The HTTP client of the commands: one request each, JSON or octets, errors in the words of Go's client. */
import * as http from "node:http";
import * as https from "node:https";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

/** Octets that are kept of an answer that is a refusal; a message is not longer. */
const REFUSAL_OCTETS = 64 * 1024;

/** As Go's client. */
const MAX_REDIRECTS = 10;

/** A request that got no answer (status 0) or one that is no success. */
export class HttpFailure extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What came back, read whole. */
export type Answer = {
  status: number;
  headers: IncomingHttpHeaders;
  octets: Uint8Array;
  text: string;
  /** The body as JSON; rejects the answer with HttpFailure if it is none. */
  json(): unknown;
};

/** Parameters by name: undefined is left out, "" gives a bare name, a list the name once per member. */
export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** One request. */
export type Ask = {
  query?: Query;
  headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON. */
  body?: string | Uint8Array | AsyncIterable<Uint8Array> | object;
  /** No answer within this time fails; undefined: wait for ever. */
  timeoutMs?: number;
  signal?: AbortSignal;
};

/** The agent that the command talks to. */
export type HttpClient = {
  /** Where it is, for messages. */
  readonly address: string;
  /** Any status but 2xx rejects with HttpFailure: `Unexpected response code: 500 (text)`. */
  request(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** The same with every status as an answer. */
  requestAny(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** The body as it comes; the caller reads it to its end or aborts. Not 2xx: HttpFailure. */
  stream(
    method: string,
    path: string,
    ask?: Ask,
  ): Promise<{ status: number; headers: IncomingHttpHeaders; body: AsyncIterable<Uint8Array> }>;
};

/** Where and as whom. */
export type ClientOptions = {
  /** HOST:PORT, http://…, https://… (both may have a path) or unix://PATH. */
  address: string;
  token: string;
  /** USER or USER:PASSWORD; "" for none. */
  basicAuth: string;
  datacenter: string;
  stale: boolean;
  tls: {
    ca?: string[];
    cert?: string;
    key?: string;
    servername: string;
    rejectUnauthorized: boolean;
  };
};

/** A client; nothing is connected before the first request. Throws HttpFailure for a bad address. */
export function openClient(options: ClientOptions): HttpClient {
  const to = parseAddress(options.address);
  const headers = {
    ...(options.token === "" ? {} : { "X-Consul-Token": headerText(options.token) }),
    ...(options.basicAuth === ""
      ? {}
      : { Authorization: `Basic ${Buffer.from(options.basicAuth).toString("base64")}` }),
  };
  const send = to.isTls ? https.request : http.request;
  const tls = to.isTls ? tlsOptions(options.tls) : {};
  const agent = to.isTls
    ? new https.Agent({ keepAlive: true })
    : new http.Agent({ keepAlive: true });

  function start(method: string, target: string, ask: Ask): Promise<IncomingMessage> {
    const url = `${to.shown}${target}`;
    return new Promise((resolve, reject) => {
      const body = bodyOf(ask.body);
      const request = send({
        ...tls,
        ...to.socket,
        agent,
        method,
        path: target,
        headers: {
          ...headers,
          ...(body.type === undefined ? {} : { "Content-Type": body.type }),
          ...(body.octets === undefined ? {} : { "Content-Length": body.octets.length }),
          ...ask.headers,
        },
        ...(ask.signal === undefined ? {} : { signal: ask.signal }),
      });
      const timer =
        ask.timeoutMs === undefined
          ? undefined
          : setTimeout(() => request.destroy(new Error("request timed out")), ask.timeoutMs);
      request.on("error", (error) => {
        clearTimeout(timer);
        reject(new HttpFailure(0, `${verb(method)} "${url}": ${reason(error, to.dialled)}`));
      });
      request.on("response", (response) => {
        clearTimeout(timer);
        // Answered before all of the body was sent: nobody wants the rest.
        response.once("end", () => {
          if (!request.writableFinished) request.destroy();
        });
        resolve(response);
      });
      if (body.stream === undefined) request.end(body.octets);
      else void pump(body.stream, request);
    });
  }

  /** What is only read may be elsewhere on the same agent: another address is not given the token. */
  async function follow(method: string, path: string, ask: Ask): Promise<IncomingMessage> {
    let target = to.prefix + path + queryText(options, ask.query ?? {});
    for (let hops = 0; ; hops++) {
      // oxlint-disable-next-line no-await-in-loop -- one leads to the next
      const response = await start(method, target, ask);
      const { statusCode: status = 0, headers: told } = response;
      const isMoved = [301, 302, 303, 307, 308].includes(status) && /^(GET|HEAD)$/.test(method);
      const next = isMoved ? movedTo(told.location ?? "", target, to.shown) : undefined;
      if (next === undefined) return response;
      response.resume();
      if (hops + 1 >= MAX_REDIRECTS)
        throw new HttpFailure(0, `${verb(method)} "${next}": stopped after 10 redirects`);
      target = next;
    }
  }

  async function requestAny(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    const response = await follow(method, path, ask);
    return whole(response, `${verb(method)} ${path}`);
  }

  return {
    address: to.shown,
    requestAny,
    async request(method, path, ask) {
      const answer = await requestAny(method, path, ask);
      if (answer.status >= 200 && answer.status <= 299) return answer;
      throw refusal(answer);
    },
    async stream(method, path, ask = {}) {
      const response = await follow(method, path, ask);
      const { statusCode: status = 0, headers } = response;
      if (status >= 200 && status <= 299) return { status, headers, body: response };
      throw refusal(await whole(response, `${verb(method)} ${path}`));
    },
  };
}

/** Path and query on the same agent; undefined for another one, and for no address at all. */
function movedTo(location: string, target: string, shown: string): string | undefined {
  const base = shown.startsWith("http") ? shown : "http://localhost";
  if (location === "" || !URL.canParse(target, base)) return undefined;
  const from = new URL(target, base);
  if (!URL.canParse(location, from.href)) return undefined;
  const next = new URL(location, from);
  return next.origin === from.origin ? next.pathname + next.search : undefined;
}

function refusal({ status, text, headers: { location } }: Answer): HttpFailure {
  const said = text.trim() || (location === undefined ? "" : `moved to ${location}`);
  return new HttpFailure(status, `Unexpected response code: ${status} (${said})`);
}

/** A token as the octets of a header. Throws HttpFailure if it can be none, as a file of two lines. */
function headerText(token: string): string {
  if (/(?!\t)\p{Cc}/u.test(token))
    throw new HttpFailure(0, 'net/http: invalid header field value for "X-Consul-Token"');
  return Buffer.from(token).toString("latin1");
}

async function whole(response: IncomingMessage, what: string): Promise<Answer> {
  const { statusCode: status = 0 } = response;
  const limit = status >= 200 && status <= 299 ? Infinity : REFUSAL_OCTETS;
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk as Uint8Array);
      length += (chunk as Uint8Array).length;
      if (length >= limit) break; // which closes the connection
    }
  } catch (error) {
    throw new HttpFailure(0, `${what}: the answer broke off: ${brokenOff(error)}`);
  }
  const octets = Buffer.concat(chunks).subarray(0, limit);
  const text = octets.toString("utf8");
  return {
    status,
    headers: response.headers,
    octets,
    text,
    json() {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new HttpFailure(0, `${what}: the answer is not JSON`);
      }
    },
  };
}

/** The other side went away: Go's words. */
function brokenOff(error: unknown): string {
  const { code = "", message } = error as Error & { code?: string };
  return code === "ECONNRESET" || message === "aborted" ? "unexpected EOF" : message;
}

/** A body that breaks off ends the request with the reason. */
async function pump(from: AsyncIterable<Uint8Array>, to: http.ClientRequest): Promise<void> {
  try {
    for await (const chunk of from) {
      if (to.destroyed) return;
      if (!to.write(chunk)) await drained(to);
    }
    to.end();
  } catch (error) {
    to.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Resolves when more may be written, or when it is over. */
function drained(to: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      to.off("drain", go).off("close", go);
      resolve();
    };
    to.on("drain", go).on("close", go);
  });
}

function bodyOf(body: Ask["body"]): {
  octets?: Uint8Array;
  stream?: AsyncIterable<Uint8Array>;
  type?: string;
} {
  if (body === undefined) return {};
  if (typeof body === "string") return { octets: Buffer.from(body) };
  if (body instanceof Uint8Array) return { octets: body };
  if (Symbol.asyncIterator in body) return { stream: body };
  return { octets: Buffer.from(JSON.stringify(body)), type: "application/json" };
}

function queryText({ datacenter, stale }: ClientOptions, query: Query): string {
  const parts = Object.entries({
    ...(datacenter === "" ? {} : { dc: datacenter }),
    ...(stale ? { stale: "" } : {}),
    ...query,
  }).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const texts = typeof value === "object" ? value : [String(value)];
    return texts.map(
      (text) => encodeURIComponent(name) + (text === "" ? "" : `=${encodeURIComponent(text)}`),
    );
  });
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

type Target = {
  shown: string;
  /** Before all paths: "" or what follows the host, for an agent behind a proxy. */
  prefix: string;
  dialled: string;
  isTls: boolean;
  socket: { socketPath: string } | { host: string; port: number };
};

function parseAddress(address: string): Target {
  if (address.startsWith("unix://")) {
    const path = address.slice("unix://".length);
    return {
      shown: "http://localhost",
      prefix: "",
      dialled: `unix ${path}`,
      isTls: false,
      socket: { socketPath: path },
    };
  }
  const text = /^https?:\/\//i.test(address) ? address : `http://${address}`;
  if (!URL.canParse(text) || /^[a-z]+:\/\/[^/]*:\/\//i.test(text))
    throw new HttpFailure(
      0,
      `-http-addr: expected HOST:PORT, http://…, https://… or unix://PATH, got "${address}"`,
    );
  const { protocol, hostname, port, pathname } = new URL(text);
  const isTls = protocol === "https:";
  const number = port === "" ? (isTls ? 443 : 80) : Number(port);
  return {
    shown: `${protocol}//${hostname}${port === "" ? "" : `:${port}`}`,
    prefix: pathname.replace(/\/+$/, ""),
    dialled: `tcp ${hostname}:${number}`,
    isTls,
    socket: { host: hostname.replace(/^\[|\]$/g, ""), port: number },
  };
}

function tlsOptions({ servername, ...tls }: ClientOptions["tls"]): https.RequestOptions {
  return servername === "" ? tls : { ...tls, servername };
}

function verb(method: string): string {
  return method[0] + method.slice(1).toLowerCase();
}

const UNKNOWN_AUTHORITY = "x509: certificate signed by unknown authority";

const goWords: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: "x509: certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "x509: certificate has expired or is not yet valid",
  ECONNREFUSED: "connect: connection refused",
  ENOENT: "connect: no such file or directory",
  EACCES: "connect: permission denied",
  EHOSTUNREACH: "connect: no route to host",
  ENETUNREACH: "connect: network is unreachable",
  ETIMEDOUT: "connect: connection timed out",
  ECONNRESET: "connection reset by peer",
};

function reason(error: Error & { code?: string; hostname?: string }, dialled: string): string {
  const code = error.code === "ConnectionRefused" ? "ECONNREFUSED" : (error.code ?? "");
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `dial tcp: lookup ${error.hostname ?? dialled}: no such host`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `x509: ${error.message}`;
  if (error.message.includes("WRONG_VERSION_NUMBER"))
    return "http: server gave HTTP response to HTTPS client";
  const words = goWords[code];
  if (words === undefined) return error.message || code;
  return words.startsWith("connect:") ? `dial ${dialled}: ${words}` : words;
}
