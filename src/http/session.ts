/** /v1/session. Consul 1.10; spec/http.md section 9. */
import type { SessionFields } from "../cluster/command.ts";
import { decodeShape, type Decoded } from "../cluster/decode.ts";
import type { SessionRecord } from "../cluster/model.ts";
import { compareText } from "../cluster/sorted.ts";
import { formatDuration, parseDuration } from "../duration.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { answerRead, parseReadOptions, passBarrier } from "./read.ts";
import { requireRight } from "./rights.ts";
import { beginRead } from "./select.ts";
import { toSession } from "./shapes.ts";
import { requireUuid } from "./uuid.ts";

/** PUT create, destroy/<id>, renew/<id>; GET info/<id>, node/<name>, list. */
export function sessionRoutes(): readonly Route[] {
  return [
    route(["PUT"], "/v1/session/create", create),
    route(["PUT"], "/v1/session/destroy/", destroy),
    route(["PUT"], "/v1/session/renew/", renew),
    route(["GET"], "/v1/session/info/", answerInfo),
    route(["GET"], "/v1/session/node/", answerNode),
    route(["GET"], "/v1/session/list", answerList),
  ];
}

const serfCheck = "serfHealth";
const defaultLockDelayMs = 15_000;
/** Consul's `SessionTTLMax`. */
const maxTtlMs = 24 * 3_600_000;
/** A LockDelay of less counts seconds, else nanoseconds. */
const leastNanoseconds = 1000;
/** A LockDelay that is longer is stored as this: clients read 64 bits, and 285 years will do. */
const mostNanoseconds = 9e18;

const sessionShape = {
  struct: {
    ID: "string",
    Name: "string",
    Node: { pointer: "string" },
    LockDelay: "raw",
    Behavior: "string",
    TTL: "string",
    NodeChecks: { list: "string" },
    ServiceChecks: { list: { struct: { ID: "string", Namespace: "string" } } },
    Checks: { list: "string" },
  },
} as const;

type SessionBody = Decoded<typeof sessionShape>;

async function create(call: Call): Promise<Response> {
  const body = await readSession(call);
  const lockDelayMs = parseLockDelay(body.LockDelay);
  call.requireDatacenter();
  const node = body.Node ?? call.deps.info.nodeName;
  if (node === "") throw new HttpError(500, "Must provide Node");
  requireRight(call.authorizer().sessionWrite(node));
  const behavior = body.Behavior === "" ? "release" : body.Behavior;
  if (behavior !== "release" && behavior !== "delete")
    throw new HttpError(500, `Invalid Behavior setting '${behavior}'`);
  requireTtl(body.TTL, call.settings.sessionTtlMinMs);
  const session: SessionFields = {
    id: call.deps.random.uuid(),
    name: body.Name,
    node,
    lockDelayMs,
    behavior,
    ttl: body.TTL,
    ...checksOf(body),
  };
  await call.propose({ type: "session-create", session });
  return call.json({ ID: session.id });
}

async function readSession(call: Call): Promise<SessionBody> {
  const value = await call.readJson({ whenEmpty: "zero" });
  const decoded = decodeShape(sessionShape, withoutNullLists(value), { unknown: undefined });
  if (!decoded.ok) throw new HttpError(400, `Request decode failed: ${decoded.error}`);
  return decoded.value;
}

/** Go's decoder begins with the defaults: a list that is null takes them away, one that is absent does not. */
function withoutNullLists(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const members = Object.entries(value).map(([key, member]): [string, unknown] => [
    key,
    member === null && /^(node)?checks$/i.test(key) ? [] : member,
  ]);
  return Object.fromEntries(members);
}

/** A text below the threshold counts seconds too: Consul looks at it after parsing. */
function parseLockDelay(given: unknown): number {
  if (given === null) return defaultLockDelayMs;
  let nanoseconds: number;
  if (typeof given === "number") nanoseconds = Math.trunc(given);
  else {
    const parsed = typeof given === "string" ? parseDuration(given) : undefined;
    if (!parsed?.ok)
      throw new HttpError(400, `Request decode failed: ${parsed?.error ?? "invalid LockDelay"}`);
    nanoseconds = Math.round(parsed.value * 1e6);
  }
  if (nanoseconds < leastNanoseconds) nanoseconds *= 1e9;
  return Math.max(-mostNanoseconds, Math.min(nanoseconds, mostNanoseconds)) / 1e6;
}

/** Throws 500 for a TTL that Consul refuses. */
function requireTtl(ttl: string, leastMs: number): void {
  if (ttl === "") return;
  const parsed = parseDuration(ttl);
  if (!parsed.ok) throw new HttpError(500, `Session TTL '${ttl}' invalid: ${parsed.error}`);
  if (parsed.value === 0) return;
  if (parsed.value < leastMs || parsed.value > maxTtlMs) {
    const range = `${formatDuration(leastMs)}=${formatDuration(maxTtlMs)}`;
    throw new HttpError(
      500,
      `Invalid Session TTL '${Math.round(parsed.value * 1e6)}', must be between [${range}]`,
    );
  }
}

/** Consul's fixupEmptySessionChecks: what the three lists mean together. */
function checksOf(
  body: SessionBody,
): Pick<SessionFields, "nodeChecks" | "serviceChecks" | "checks"> {
  const serviceChecks =
    body.ServiceChecks?.map(({ ID, Namespace }) => ({ id: ID, namespace: Namespace })) ?? null;
  const checks = body.Checks ?? [serfCheck];
  const nodeChecks = body.NodeChecks ?? [serfCheck];
  if (checks.length === 0) return { nodeChecks: [], serviceChecks, checks: null };
  if (nodeChecks.length === 0) return { nodeChecks, serviceChecks, checks: null };
  const isDefault = checks.length === 1 && checks[0] === serfCheck;
  return { nodeChecks, serviceChecks, checks: isDefault ? null : checks };
}

function requireSession(call: Call): string {
  if (call.argument === "") throw new HttpError(400, "Missing session");
  requireUuid(call.argument, "session");
  call.requireDatacenter();
  return call.argument.toLowerCase();
}

function requireWrite(call: Call, session: SessionRecord): void {
  requireRight(call.authorizer().sessionWrite(session.node));
}

async function destroy(call: Call): Promise<Response> {
  const id = requireSession(call);
  call.authorizer();
  await passBarrier(call, "leader");
  const session = call.deps.reader.session(id);
  if (session !== undefined) requireWrite(call, session);
  await call.propose({ type: "session-destroy", id });
  return call.json(true);
}

async function renew(call: Call): Promise<Response> {
  const id = requireSession(call);
  call.authorizer();
  await passBarrier(call, "leader");
  const session = call.deps.reader.session(id);
  if (session === undefined) return call.text(404, `Session id '${call.argument}' not found`);
  requireWrite(call, session);
  call.deps.sessionExpiry.renew(id, call.deps.clock.monotonicMs());
  return call.json([toSession(session)]);
}

function answerInfo(call: Call): Reply {
  const options = parseReadOptions(call);
  const id = requireSession(call);
  const { reader } = call.deps;
  return answerRead(call, options, {
    topics: ["sessions"],
    showsConsistency: false,
    look(rights) {
      const session = reader.session(id);
      if (session === undefined) return { value: [], absent: true };
      return { value: rights.sessionRead(session.node) ? [toSession(session)] : [] };
    },
  });
}

function answerNode(call: Call): Reply {
  const name = call.argument.toLowerCase();
  return answerSessions(call, (session) => session.node.toLowerCase() === name, "node name");
}

function answerList(call: Call): Reply {
  return answerSessions(call, () => true);
}

/** `what` names an argument that must be there. */
function answerSessions(
  call: Call,
  isWanted: (session: SessionRecord) => boolean,
  what?: string,
): Reply {
  const options = beginRead(call, what);
  const { reader } = call.deps;
  return answerRead(call, options, {
    topics: ["sessions"],
    showsConsistency: false,
    look: (rights) => ({
      value: [...reader.sessions()]
        .filter((session) => isWanted(session) && rights.sessionRead(session.node))
        .sort((a, b) => compareText(a.id, b.id)) // as Consul's table has them
        .map(toSession),
    }),
  });
}
