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
  const rows = new ServeMux<Route>();
  for (const row of routes) {
    const path = row.path.endsWith("/") ? `${row.path}*` : row.path;
    rows.add("ALL", path, row);
    app.all(path, (c) =>
      serve(deps, edge(), row, { request: c.req.raw, path: c.req.path, env: c.env }),
    );
  }
  app.all("/", () => answerRoot(edge()));
  app.notFound((c) => answerUnrouted(edge(), c));
  app.onError((error, c) => answerFailure(deps, edge(), c.req.path, error));
  // hono makes a context with some twenty functions for each request: a third of the cost of a KV
  // read, and of the memory of a blocked one. What has a route goes there directly.
  const whole = app.fetch;
  app.fetch = (request, env: Partial<RequestEnv> = {}, context) => {
    if (request.method === "HEAD" || env.hadDotSegments === true)
      return whole(request, env, context);
    const path = pathOf(request.url, edge);
    const [[found]] = rows.match("ALL", path);
    return found === undefined
      ? whole(request, env, context)
      : serve(deps, edge(), found[0], { request, path, env });
  };
  return app;
}

/** A request whose route was found. */
type Routed = { request: Request; path: string; env: Partial<RequestEnv> | undefined };

function serve(
  deps: HttpDeps,
  edge: Edge,
  row: Route,
  { request, path, env: given }: Routed,
): Reply {
  const { clock } = deps;
  const startMs = clock.monotonicMs();
  if (path.length < row.path.length) return redirect(edge, request.url, row.path); // subtree without its slash
  const parameters = parseQuery(request.url);
  const argument = row.path.endsWith("/") ? path.slice(row.path.length) : "";
  const env = given?.keepOpen === undefined ? noEnv : (given as RequestEnv);
  const call = new Call(deps, edge, request, { path, argument }, env, parameters ?? []);
  const done = (response: Response): Response => {
    deps.onAnswer(row.path, call.method, response.status, clock.monotonicMs() - startMs);
    return response;
  };
  const failed = (error: unknown): Reply =>
    error instanceof HttpError ? answerError(call, error) : answerFailure(deps, edge, path, error);
  let reply: Reply;
  try {
    reply = parameters === undefined ? call.empty(500) : admit(row, call, edge);
  } catch (error) {
    reply = failed(error);
  }
  if (!(reply instanceof Promise)) return done(reply);
  return reply.then(done, async (error) => done(await failed(error)));
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
  return row.handle(call);
}

function answerError(call: Call, error: HttpError): Reply {
  return call.text(isRefusal(error) ? 403 : error.status, error.message);
}

/** ACL refusals travel as texts, as they do in Consul's RPC. */
function isRefusal({ message }: HttpError): boolean {
  return message.includes("Permission denied") || message.includes("ACL not found");
}

/** A mistake of ours. */
function answerFailure(deps: HttpDeps, edge: Edge, path: string, error: unknown): Response {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  deps.log("error", "request failed", { path, error: text });
  return new Response("Internal server error", { status: 500, headers: edge.bareHeaders });
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
