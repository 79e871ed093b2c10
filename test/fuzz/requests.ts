/** Random requests to a list of routes: any method, argument, parameters, headers and body. */
import { bodyFor } from "./bodies.ts";
import { changedJson, changedText, oddText, type Source } from "./random.ts";

export type FuzzRequest = {
  method: string;
  /** Path and query, escaped as a client would, or not. */
  path: string;
  headers: Record<string, string>;
  body?: string;
};

const methods = ["GET", "PUT", "DELETE", "POST", "HEAD", "OPTIONS", "PATCH"];
const parameters = [
  [
    "index",
    "wait",
    "stale",
    "consistent",
    "cached",
    "max_stale",
    "leader",
    "pretty",
    "token",
    "dc",
  ],
  [
    "filter",
    "near",
    "node-meta",
    "tag",
    "passing",
    "hash",
    "note",
    "enable",
    "reason",
    "name",
    "service",
  ],
  ["recurse", "keys", "separator", "raw", "cas", "flags", "acquire", "release", "node", "limit"],
  [
    "replace-existing-checks",
    "format",
    "id",
    "address",
    "relay-factor",
    "local-only",
    "policy",
    "role",
  ],
];
const filters = [
  'ServiceName == "web"',
  "Meta.rack != `1` or Node matches `^n`",
  "Checks.Status == passing",
  "Service.Tags is empty and not (Port == 80)",
];

/** A route, and the methods it answers; one that ends in "/" takes an argument. */
export type FuzzRoute = { path: string; methods: readonly string[] };

/** The requests of one source to `routes`, two in three with a token, nine in ten with a good method. */
export function createRequests(
  source: Source,
  routes: readonly FuzzRoute[],
  secrets: readonly string[],
): () => FuzzRequest {
  const escape = (text: string): string =>
    source.once(12)
      ? text.replace(/[\ud800-\udfff]/g, "")
      : encodeURIComponent(text.toWellFormed());
  const parameter = (): string => {
    const name = source.once(20) ? escape(oddText(source)) : source.pick(source.pick(parameters));
    if (source.once(6)) return name;
    const text =
      name === "filter" ? changedText(source, source.pick(filters), '()"`. =') : oddText(source);
    return `${name}=${source.once(25) ? "%zz" : escape(text)}`;
  };
  return () => {
    const route = source.pick(routes);
    let { path } = route;
    if (path.endsWith("/") && !source.once(20)) path += escape(oddText(source));
    if (source.once(60)) path += escape(oddText(source));
    const query = Array.from({ length: source.pick([0, 0, 1, 1, 2, 3, 6]) }, parameter);
    // A URL for any client: no blanks, no controls, no fragment.
    const text = `${path}${query.length > 0 ? `?${query.join("&")}` : ""}`.replace(
      /[^!$%-;=?-[\]_a-z~]/g,
      (octets) => encodeURIComponent(octets.toWellFormed()),
    );
    const method = source.pick(source.once(10) ? methods : route.methods);
    const headers: Record<string, string> = {};
    if (!source.once(3)) headers["X-Consul-Token"] = source.pick(secrets);
    if (source.once(30))
      headers["Cache-Control"] = source.pick(["max-age=0", "max-age=x", "must-revalidate", ","]);
    if (source.once(30))
      headers["Accept"] = source.pick(["text/plain", "*/*", "application/openmetrics-text", ""]);
    const takesBody = ["PUT", "POST", "PATCH", "DELETE"].includes(method) && !source.once(12);
    return {
      method,
      path: text,
      headers,
      ...(takesBody ? { body: changedJson(source, bodyFor(path)).toWellFormed() } : {}),
    };
  };
}

/** Broken escapes are the one thing that Consul answers with 500 and no text. */
export const hasBrokenEscape = (path: string): boolean =>
  /%(?![0-9a-fA-F]{2})/.test(path.split("?").slice(1).join("?"));
