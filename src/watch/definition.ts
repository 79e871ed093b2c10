/** One entry of `watches`: what is watched and who is told. Texts as Consul's agent says them. */
import { fail, ok, type Result } from "../base.ts";
import { decodeShape } from "../cluster/decode.ts";
import { parseDuration } from "../duration.ts";
import { parsePlan, type WatchParameters, type WatchPlan } from "./plan.ts";

/** Who is told of a new value. */
export type WatchHandler =
  /** A program and its arguments, without a shell. */
  | { readonly kind: "program"; readonly args: readonly string[] }
  /** The deprecated `handler`: a line for the shell. */
  | { readonly kind: "shell"; readonly line: string }
  | HttpHandler;

/** A request that carries the value as its body. */
export type HttpHandler = {
  readonly kind: "http";
  readonly url: string;
  readonly method: string;
  readonly timeoutMs: number;
  readonly header: Readonly<Record<string, readonly string[]>>;
  readonly tlsSkipVerify: boolean;
};

/** A watch of the agent. Two that are equal as JSON are the same watch. */
export type WatchDefinition = { readonly plan: WatchPlan; readonly handler: WatchHandler };

/** Consul's time limit of an HTTP handler. */
const HTTP_TIMEOUT_MS = 10_000;

/** Parameters of the handler; the others are the plan's. */
const handlerNames = ["handler_type", "handler", "args", "http_handler_config"];

const httpShape = {
  struct: {
    path: "string",
    method: "string",
    timeout: "string",
    header: { map: { list: "string" } },
    tls_skip_verify: "bool",
  },
} as const;

/** Reads one entry. The errors are Consul's sentences; warnings are whole sentences. */
export function parseWatchDefinition(
  parameters: WatchParameters,
): Result<{ watch: WatchDefinition; warnings: string[] }, string> {
  const warnings: string[] = [];
  const type = parameters["type"];
  if (typeof type === "string" && type.startsWith("connect_"))
    return fail(`Watch type ${type} is not allowed in agent config`);
  const rest = Object.entries(parameters).filter(([name]) => !handlerNames.includes(name));
  const plan = parsePlan(Object.fromEntries(rest));
  if (!plan.ok) return fail(`Failed to parse watch: ${plan.error}`);
  const handler = parseHandler(parameters, warnings);
  return handler.ok
    ? ok({ watch: { plan: plan.value, handler: handler.value }, warnings })
    : handler;
}

function parseHandler(
  parameters: WatchParameters,
  warnings: string[],
): Result<WatchHandler, string> {
  const type = parameters["handler_type"] ?? "script";
  if (type !== "http" && type !== "script")
    return fail(`Handler type '${String(type as string)}' not recognized`);
  const line = parameters["handler"] ?? undefined;
  const args = parameters["args"] ?? undefined;
  const http = parameters["http_handler_config"] ?? undefined;
  if (line !== undefined)
    warnings.push(
      "The 'handler' field in watches has been deprecated and replaced with the 'args' field.",
    );
  if (line !== undefined && typeof line !== "string") return fail("Watch handler must be a string");
  const words = args === undefined ? undefined : parseArgs(args);
  if (words?.ok === false) return words;
  if ([line !== undefined, args !== undefined, type === "http"].filter(Boolean).length > 1)
    return fail("Only one watch handler allowed");
  if (type === "http") return parseHttp(http, warnings);
  if (http !== undefined)
    return fail("Failed to parse watch: Invalid parameters: [http_handler_config]");
  if (line !== undefined) return ok({ kind: "shell", line });
  if (words === undefined) return fail("Must define a watch handler");
  return ok({ kind: "program", args: words.value });
}

function parseArgs(args: unknown): Result<readonly string[], string> {
  const words: unknown[] = Array.isArray(args) ? args : [args];
  if (!words.every((each) => typeof each === "string"))
    return fail("Watch args must be a list of strings");
  if (words.length === 0 || words[0] === "") return fail("Watch args must name a program");
  return ok(words);
}

function parseHttp(raw: unknown, warnings: string[]): Result<HttpHandler, string> {
  const problem = (text: string) =>
    fail(`Failed to parse watch: Failed to parse 'http_handler_config': ${text}`);
  if (raw === undefined)
    return fail(
      "Failed to parse watch: Handler type 'http' requires 'http_handler_config' to be set",
    );
  const decoded = decodeShape(httpShape, unblocked(raw), {
    unknown: (path) => `unknown key ${path}`,
  });
  if (!decoded.ok) return problem(decoded.error);
  const { path, method, timeout, header, tls_skip_verify: tlsSkipVerify } = decoded.value;
  if (path === "") return problem("Requires 'path' to be set");
  if (!URL.canParse(path) || !/^https?:$/.test(new URL(path).protocol))
    return problem(`'path' is "${path}", expected an address that begins with http:// or https://`);
  const timeoutMs = timeout === "" ? ok(HTTP_TIMEOUT_MS) : parseDuration(timeout);
  if (!timeoutMs.ok) return problem(`Failed to parse timeout: ${timeoutMs.error}`);
  if (timeoutMs.value <= 0) return problem(`timeout is ${timeout}, expected more than 0`);
  if (!/^[A-Za-z]*$/.test(method)) return problem(`'method' is "${method}", expected a word`);
  const headers: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(header ?? {})) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || (values ?? []).some((each) => /[\r\n\0]/.test(each)))
      return problem(`header "${name}" cannot be sent`);
    headers[name] = values ?? [];
  }
  if (tlsSkipVerify && path.startsWith("http:"))
    warnings.push("watches: tls_skip_verify has no effect on an address without TLS");
  return ok({
    kind: "http",
    url: path,
    method: method === "" ? "POST" : method.toUpperCase(),
    timeoutMs: timeoutMs.value,
    header: headers,
    tlsSkipVerify,
  });
}

/** HCL writes a block as a list of one object. */
function unblocked(raw: unknown): unknown {
  return Array.isArray(raw) && raw.length === 1 ? (raw[0] as unknown) : raw;
}
