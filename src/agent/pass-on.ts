/** Requests that came to the agent that leaves are answered by its successor, over a Unix socket in data_dir. */
import { rmSync } from "node:fs";
import { request as send, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { RequestEnv } from "../http/call.ts";
import type { HttpListeners, StartHttp } from "../http/listen.ts";
import type { Log } from "../ports.ts";

/** What a listener calls with each request. */
export type Fetch = (request: Request, env: RequestEnv) => Response | Promise<Response>;

/** Who asked, and how: rights depend on it, and the socket's other end is always the agent before. */
const FROM = "x-waypost-passed-on";
/** In data_dir; there while an agent takes the place of another. */
const SOCKET = "handover-requests.sock";
/** RFC 9110 7.6.1: of one connection, not of the message; and what is counted anew. */
const ofConnection = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

type From = Pick<RequestEnv, "client"> & { hadDotSegments: boolean };

/**
 * Answers what the agent before passes on; only this user can reach it. undefined, with a line in the
 * log, where it cannot listen: requests that wait are refused then.
 */
export async function listenForPassedOn(options: {
  dataDir: string;
  fetch: Fetch;
  startHttp: StartHttp;
  maxHeaderOctets: number;
  log: Log;
}): Promise<{ path: string; stop: HttpListeners["stop"] } | undefined> {
  const { dataDir, fetch, startHttp, maxHeaderOctets, log } = options;
  const path = join(dataDir, SOCKET);
  try {
    const listeners = await startHttp({
      http: [{ path }],
      https: [],
      identity: undefined,
      sockets: { mode: "600", user: "", group: "" },
      maxHeaderOctets,
      maxConnectionsPerClient: () => 0,
      fetch: (request, env) => fetch(request, asItCame(request, env)),
      log,
    });
    return { path, stop: () => listeners.stop() };
  } catch (error) {
    log("warn", "requests that wait cannot be taken over", { reason: String(error) });
    return undefined;
  }
}

/** A successor that was killed has left its socket. To be called when no other agent runs here. */
export function forgetPassedOn(dataDir: string): void {
  rmSync(join(dataDir, SOCKET), { force: true });
}

function asItCame(request: Request, env: RequestEnv): RequestEnv {
  // Written by passOn below, the only one that can reach the socket.
  const { client, hadDotSegments } = JSON.parse(request.headers.get(FROM) ?? "") as From;
  return {
    client,
    hadDotSegments,
    keepOpen: () => env.keepOpen(),
    letIdle: () => env.letIdle(),
  };
}

/**
 * The successor's answer. Rejects if it cannot be had; `isUnheard` then says whether the successor has
 * certainly not heard of the request.
 */
export async function passOn(path: string, request: Request, env: RequestEnv): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const from: From = { client: env.client, hadDotSegments: env.hadDotSegments ?? false };
  const headers: Record<string, string> = {};
  for (const [name, value] of request.headers) if (!ofConnection.has(name)) headers[name] = value;
  headers[FROM] = JSON.stringify(from);
  const outgoing = send({
    socketPath: path,
    path: pathname + search,
    method: request.method,
    headers,
    agent: false,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    // More than one may come; without a listener they would end the process.
    outgoing.on("error", reject);
  });
  if (request.body === null) outgoing.end();
  // An answer may come before the end of the body, and then says what is wrong with it.
  else pipeline(Readable.from(request.body), outgoing).catch(() => {});
  return responseOf(await answered);
}

/** After a rejection of `passOn`. */
export function isUnheard(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ECONNREFUSED" || code === "ENOENT";
}

function responseOf(incoming: IncomingMessage): Response {
  const { statusCode: status = 500, headers: given } = incoming;
  const headers = new Headers();
  for (const [name, value] of Object.entries(given))
    if (!ofConnection.has(name) && name !== "content-length")
      for (const each of [value ?? []].flat()) headers.append(name, each);
  const isEmpty = status === 204 || status === 304;
  return new Response(isEmpty ? null : streamOf(incoming), { status, headers });
}

function streamOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel() {
      incoming.destroy();
    },
  });
}
