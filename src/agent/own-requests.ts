/** Requests of this agent to its own HTTP API: no address, no connection, the same rights and the same answers. */
import type { RequestEnv } from "../http/call.ts";

/** One request. */
export type OwnRequest = {
  method?: "GET" | "PUT" | "DELETE";
  path: string;
  query?: Readonly<Record<string, string | readonly string[]>>;
  /** ACL token; "" for none. */
  token: string;
  body?: string | Uint8Array<ArrayBuffer>;
  signal?: AbortSignal;
};

/** Rejects when `signal` ends it before it is answered. */
export type AskSelf = (
  request: OwnRequest,
) => Promise<{ status: number; header(name: string): string | null; text: string }>;

/** What the listener tells of a connection; there is none, so nothing has to be kept open. */
const env: RequestEnv = {
  client: { address: "127.0.0.1", port: 0 },
  keepOpen() {},
  letIdle() {},
};

/** Requests that the HTTP app answers. */
export function createAskSelf(
  fetch: (request: Request, env: RequestEnv) => Response | Promise<Response>,
): AskSelf {
  return async ({ method = "GET", path, query = {}, token, body, signal }) => {
    const parameters = Object.entries(query).flatMap(([name, value]) =>
      (typeof value === "string" ? [value] : value).map((each) => [name, each] as const),
    );
    const search = parameters
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      .join("&");
    const request = new Request(`http://localhost${path}${search === "" ? "" : `?${search}`}`, {
      method,
      headers: token === "" ? {} : { "X-Consul-Token": token },
      ...(body === undefined ? {} : { body }),
      ...(signal === undefined ? {} : { signal }),
    });
    const response = await fetch(request, env);
    signal?.throwIfAborted();
    const text = await response.text();
    return { status: response.status, header: (name) => response.headers.get(name), text };
  };
}
