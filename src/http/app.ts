/** The HTTP application: all route groups on one hono router that behaves like Consul's. */
import { Hono, type Context } from "hono";
import { aclRoutes } from "./acl.ts";
import { catalogRoutes } from "./catalog.ts";
import { coordinateRoutes } from "./coordinate.ts";
import { eventRoutes } from "./event.ts";
import { healthRoutes } from "./health.ts";
import { kvRoutes } from "./kv.ts";
import { queryRoutes } from "./query.ts";
import { sessionRoutes } from "./session.ts";
import { statusRoutes } from "./status.ts";
import { txnRoutes } from "./txn.ts";
import {
  Call,
  HttpError,
  route,
  type HttpDeps,
  type HttpEnv,
  type RequestEnv,
  type Reply,
  type Route,
} from "./call.ts";
import { createEdge, type Edge } from "./edge.ts";
import { decodePercent, parseQuery } from "./query-string.ts";
import { ServeMux } from "./serve-mux.ts";

/** Paths that no route can have; the not-found handler tells them apart. */
const uncleanPath = "\u0000unclean";
const badPath = "\u0000bad";

/** Go's unicode.IsPrint, negated: neither letter, mark, number, punctuation, symbol nor blank. */
const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

const writing = new Set(["PUT", "POST", "DELETE", "PATCH"]);
/** For callers that hand no environment in: nobody's address, so `allow_write_http_from` refuses it. */
const noEnv: RequestEnv = { client: { address: "", port: 0 }, keepOpen() {}, letIdle() {} };

/**
 * `app.fetch(request, env)` for a listener, `app.request(path)` for tests. `more` are the routes of
 * other parts (/v1/agent).
 */
export function createHttpApp(deps: HttpDeps, more: readonly Route[]): Hono<HttpEnv> {
  const edge = createEdge(deps);
  const app = new Hono<HttpEnv>({
    router: new ServeMux(),
    getPath: (request, options) =>
      options?.env?.hadDotSegments === true ? uncleanPath : pathOf(request.url, edge),
  });
  const routes = [
    ...statusRoutes(),
    ...catalogRoutes(),
    ...healthRoutes(),
    ...queryRoutes(),
    ...sessionRoutes(),
    ...txnRoutes(),
    ...kvRoutes(),
    ...aclRoutes(),
    ...coordinateRoutes(),
    ...eventRoutes(),
    route(["GET"], "/metrics", answerMetrics),
    ...more,
  ];
  for (const row of routes) {
    const isSubtree = row.path.endsWith("/");
    app.all(isSubtree ? `${row.path}*` : row.path, (c) => serve(deps, edge(), row, c));
  }
  app.all("/", () => answerRoot(edge()));
  app.notFound((c) => answerUnrouted(edge(), c));
  app.onError((error, c) => {
    deps.log("error", "request failed", { path: c.req.path, error: error.stack ?? error.message });
    return new Response("Internal server error", { status: 500, headers: edge().bareHeaders });
  });
  return app;
}

function serve(deps: HttpDeps, edge: Edge, row: Route, c: Context<HttpEnv>): Reply {
  const { clock } = deps;
  const startMs = clock.monotonicMs();
  const request = c.req.raw;
  const { path } = c.req;
  if (path.length < row.path.length) return redirect(edge, request.url, row.path); // subtree without its slash
  const parameters = parseQuery(request.url);
  const argument = row.path.endsWith("/") ? path.slice(row.path.length) : "";
  const env = c.env?.keepOpen === undefined ? noEnv : c.env;
  const call = new Call(deps, edge, request, { path, argument }, env, parameters ?? []);
  const reply = parameters === undefined ? call.empty(500) : admit(row, call, edge);
  if (!(reply instanceof Promise)) {
    deps.onAnswer(row.path, call.method, reply.status, clock.monotonicMs() - startMs);
    return reply;
  }
  return reply.then((response) => {
    deps.onAnswer(row.path, call.method, response.status, clock.monotonicMs() - startMs);
    return response;
  });
}

/** Checks: whose page asks; then in Consul's order: blocked endpoint, OPTIONS, method, write access; then the handler. */
function admit(row: Route, call: Call, edge: Edge): Reply {
  const refusal = edge.guard(call);
  if (refusal !== undefined) return call.text(refusal.status, refusal.text);
  if (edge.isBlocked(call.path))
    return call.text(403, "Endpoint is blocked by agent configuration");
  const methods: readonly string[] = row.methodsOf?.(call.argument) ?? row.methods;
  const { method } = call;
  if (method === "OPTIONS") {
    call.setHeader("Allow", ["OPTIONS", ...methods].join(","));
    return call.empty();
  }
  if (!methods.includes(method)) {
    call.setHeader("Allow", row.methodsOf ? methods.join(",") : ["OPTIONS", ...methods].join(","));
    return call.text(405, `method ${method} not allowed`);
  }
  if (edge.mayWrite && writing.has(method) && !edge.mayWrite(call.env.client.address))
    return call.text(403, "Access is restricted");
  try {
    const reply = row.handle(call);
    return reply instanceof Promise ? reply.catch((error) => answerError(call, error)) : reply;
  } catch (error) {
    return answerError(call, error);
  }
}

function answerError(call: Call, error: unknown): Reply {
  if (!(error instanceof HttpError)) throw error;
  return call.text(isRefusal(error) ? 403 : error.status, error.message);
}

/** ACL refusals travel as texts, as they do in Consul's RPC. */
function isRefusal({ message }: HttpError): boolean {
  return message.includes("Permission denied") || message.includes("ACL not found");
}

async function answerMetrics(call: Call): Promise<Response> {
  return call.text(200, await call.deps.exposition(), "text/plain; version=0.0.4; charset=utf-8");
}

function answerRoot(edge: Edge): Response {
  return new Response("waypost agent\n", {
    headers: { "Content-Type": "text/plain; charset=utf-8", ...edge.bareHeaders },
  });
}

function answerUnrouted(edge: Edge, c: Context<HttpEnv>): Response {
  const { path } = c.req;
  if (path === badPath) return new Response(null, { status: 400, headers: edge.bareHeaders });
  if (path === uncleanPath)
    return redirect(edge, c.req.raw.url, cleanPath(rawPathOf(c.req.raw.url)));
  return new Response(null, { status: 404, headers: edge.bareHeaders });
}

function redirect(edge: Edge, url: string, path: string): Response {
  const mark = url.indexOf("?");
  const location = mark < 0 ? path : path + url.slice(mark);
  return new Response(null, { status: 301, headers: { Location: location, ...edge.bareHeaders } });
}

/** The decoded path to route by. Cleaning looks at the path before decoding: `%2F` is not a separator there. */
function pathOf(url: string, edge: () => Edge): string {
  const raw = rawPathOf(url);
  if (raw.includes("//") || (raw.includes("/.") && cleanPath(raw) !== raw)) return uncleanPath;
  if (!raw.includes("%")) return raw;
  const path = decodePercent(raw);
  if (path === undefined) return badPath;
  return unprintable.test(path) && !edge().settings.disableUnprintableCharFilter ? badPath : path;
}

function rawPathOf(url: string): string {
  // Without a usable Host header the URL is only the path.
  const start = url.startsWith("/") ? 0 : url.indexOf("/", 8); // after http:// or https://
  if (start < 0) return "/";
  const end = url.indexOf("?", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** Without empty, `.` and `..` segments; a slash at the end stays. Go's http.cleanPath. */
function cleanPath(raw: string): string {
  const kept: string[] = [];
  for (const segment of raw.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") kept.pop();
    else kept.push(segment);
  }
  const path = `/${kept.join("/")}`;
  return raw.endsWith("/") && path !== "/" ? `${path}/` : path;
}
