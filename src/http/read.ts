/** Reads of the catalog: consistency, blocking, the answer's X-Consul headers. Consul 1.10 semantics. */
import type { Authorizer } from "../cluster/acl.ts";
import type { Topic } from "../cluster/model.ts";
import { parseDuration } from "../duration.ts";
import type { Woken } from "./blocking.ts";
import type { HeaderSet } from "./header-stock.ts";
import { HttpError, type Call, type Reply } from "./call.ts";

/** Up to 1/16 of the wait is added, so that waits started together do not end together. */
const jitterFraction = 16;

/** Consul's consistency modes; `leader` is the default one. */
export type Consistency = "leader" | "stale" | "consistent";

/** What the parameters of a read ask for. */
export type ReadOptions = {
  consistency: Consistency;
  /** `?cached`, if `http_config.use_cache` allows it. */
  cached: boolean;
  /** `?index`; 0: answer at once. */
  minIndex: number;
  /** `?wait`; 0: not given. */
  waitMs: number;
};

/** Greatest `?index`: it has 64 bits. */
const maxIndex = 2n ** 64n - 1n;

/** Query parameters of a read. Throws 400 with Consul's texts, in Consul's order of checks. */
export function parseReadOptions(call: Call): ReadOptions {
  const options = parseConsistency(call);
  const wait = call.query("wait");
  if (wait !== "") options.waitMs = readDuration(wait, "Invalid wait time");
  const index = call.query("index");
  if (index !== "") {
    if (!/^\d{1,20}$/.test(index) || BigInt(index) > maxIndex)
      throw new HttpError(400, "Invalid index");
    options.minIndex = Number(index);
  }
  return options;
}

/** The same of a read that never blocks: `index` and `wait` are not looked at. */
export function parseConsistency(call: Call): ReadOptions {
  const options: ReadOptions = { consistency: "leader", cached: false, minIndex: 0, waitMs: 0 };
  const { discoveryMaxStaleMs, useCache } = call.settings;
  const mayBeStale = discoveryMaxStaleMs > 0 && isDiscovery(call.path);
  if (call.parameters.length === 0) {
    if (mayBeStale) options.consistency = "stale";
    parseCacheControl(call);
    return options;
  }
  const maxStale = call.query("max_stale");
  const maxStaleMs =
    maxStale === ""
      ? 0
      : readDuration(maxStale, `Invalid max_stale value ${JSON.stringify(maxStale)}`);
  const consistent = call.has("consistent");
  options.cached = useCache && call.has("cached");
  const explicit = consistent || options.cached || call.has("leader");
  const stale = call.has("stale") || maxStaleMs > 0 || (!explicit && mayBeStale);
  if (stale && consistent) throw conflict("stale");
  if (options.cached && consistent) throw conflict("cached");
  if (consistent) options.consistency = "consistent";
  if (stale) options.consistency = "stale";
  parseCacheControl(call);
  return options;
}

const isDiscovery = (path: string): boolean =>
  path.startsWith("/v1/catalog") || path.startsWith("/v1/health");

function readDuration(text: string, problem: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new HttpError(400, problem);
  return parsed.value;
}

function conflict(other: string): HttpError {
  return new HttpError(400, `Cannot specify ?${other} with ?consistent, conflicting semantics.`);
}

/** The header is only checked: what we hold is never older than a cache that refreshes itself. */
function parseCacheControl(call: Call): void {
  const header = call.header("Cache-Control");
  if (!header) return;
  for (const directive of header.split(",")) {
    const [name = "", value = ""] = directive.trim().toLowerCase().split("=");
    if ((name === "max-age" || name === "stale-if-error") && !/^\d+$/.test(value))
      throw new HttpError(400, "Invalid Cache-Control header.");
  }
}

/** Monotonic time at which a hold of `waitMs` (0 or less: `default_query_time`) ends, jitter included. */
export function holdUntilMs(call: Call, waitMs: number): number {
  const { clock, random } = call.deps;
  const { defaultQueryTimeMs, maxQueryTimeMs } = call.settings;
  const holdMs = Math.min(waitMs > 0 ? waitMs : defaultQueryTimeMs, maxQueryTimeMs);
  const jitterMs = ((random.uint32() / 2 ** 32) * holdMs) / jitterFraction;
  return clock.monotonicMs() + holdMs + jitterMs;
}

/**
 * Waits for a topic on behalf of `call`, whose rights have to be asked for anew afterwards; throws
 * 503 when too many wait already.
 */
export async function hold(
  call: Call,
  topics: readonly Topic[],
  untilMs: number,
): Promise<Exclude<Woken, "full">> {
  call.env.keepOpen();
  const woken = await call.deps.waiters.wait(topics, untilMs, call.request.signal);
  call.env.letIdle();
  call.forgetAuthorizer();
  if (woken === "full")
    throw new HttpError(
      503,
      "Too many blocking queries are waiting on this agent, try again later",
    );
  return woken;
}

/** One look at the data. `absent`: what was asked for does not exist; while that lasts it is no answer for a waiter. */
export type Look = {
  value: unknown;
  absent?: boolean;
  /** What `indexOf` of the topics is, where the look has found it on its way. */
  index?: number;
};

/** How a read is answered. */
export type Read = {
  /** What the look depends on; the answer's index is the largest of theirs. */
  topics: readonly Topic[];
  /**
   * Synchronous: its value may hold live lists of the catalog. `rights` are the caller's at this
   * moment; throws 403 where they do not reach.
   */
  look(rights: Authorizer): Look;
  /** Makes the answer of the value, when that is not simply its JSON; the headers of reads are set. */
  answer?(value: unknown): Reply;
  /** Sends X-Consul-Effective-Consistency (catalog, health and query reads do). */
  showsConsistency: boolean;
  /** `?cached` is understood (four endpoints). */
  cacheable?: boolean;
  /** Consul 1.10 serves this one from its event stream when it blocks or is cached, and then says KnownLeader false. */
  streamed?: boolean;
};

/**
 * Answers a read: barrier, look, hold until something changed, look again. Without a promise where
 * nothing has to be waited for: that is most reads, and a promise would be a good part of their cost.
 */
export function answerRead(call: Call, options: ReadOptions, read: Read): Reply {
  const barrier = passBarrier(call, options.consistency);
  return barrier === undefined
    ? answerPassed(call, options, read)
    : barrier.then(() => answerPassed(call, options, read));
}

function answerPassed(call: Call, options: ReadOptions, read: Read): Reply {
  const { topics } = read;
  if (options.minIndex > 0 && indexOf(call, topics) <= options.minIndex)
    return answerLater(call, options, read);
  const look = read.look(call.authorizer());
  return respond(call, options, read, look.index ?? indexOf(call, topics), look);
}

async function answerLater(call: Call, options: ReadOptions, read: Read): Promise<Response> {
  const untilMs = holdUntilMs(call, options.waitMs);
  let { minIndex } = options;
  let wasAbsent = false;
  for (;;) {
    const index = indexOf(call, read.topics);
    const look = read.look(call.authorizer());
    if (look.absent === true) {
      if (wasAbsent) minIndex = Math.max(minIndex, index);
      wasAbsent = true;
    }
    if (index > minIndex) return respond(call, options, read, index, look);
    const woken = await hold(call, read.topics, untilMs);
    if (woken !== "changed") {
      const now = woken === "gone" ? look : read.look(call.authorizer());
      return respond(call, options, read, indexOf(call, read.topics), now);
    }
  }
}

/** Resolves once the mode's freshness holds, undefined if it does already; 500 `No cluster leader`. */
export function passBarrier(call: Call, consistency: Consistency): Promise<void> | undefined {
  if (consistency === "stale") return undefined;
  const mode = consistency === "consistent" ? "index" : "lease";
  const passed = call.deps.barrier(mode);
  if (passed instanceof Promise) return passed.then(requireLeader);
  requireLeader(passed);
  return undefined;
}

function requireLeader(passed: "ok" | "no leader"): void {
  if (passed === "no leader") throw new HttpError(500, "No cluster leader");
}

function indexOf(call: Call, topics: readonly Topic[]): number {
  let index = 1; // 0 would make a client spin: Consul never sends it
  for (const topic of topics) index = Math.max(index, call.deps.reader.indexOf(topic));
  return index;
}

function respond(call: Call, options: ReadOptions, read: Read, index: number, look: Look): Reply {
  const cached = options.cached && read.cacheable === true;
  const streamed = read.streamed === true && (cached || options.minIndex > 0);
  const shown = read.showsConsistency ? options.consistency : undefined;
  setReadHeaders(call, index, streamed ? false : undefined, shown);
  if (cached) setCacheHeaders(call);
  return read.answer === undefined ? call.json(look.value) : read.answer(look.value);
}

/** X-Consul-Index (never below 1), -KnownLeader, -LastContact and -Effective-Consistency, if it is `shown`. */
export function setReadHeaders(
  call: Call,
  index: number,
  knownLeader?: boolean,
  shown?: Consistency,
): void {
  call.setIndex(Math.max(1, index));
  setLeaderHeaders(call, knownLeader, shown);
}

/** The same without X-Consul-Index. */
export function setLeaderHeaders(call: Call, knownLeader?: boolean, shown?: Consistency): void {
  const known = knownLeader ?? call.deps.leadership().leader !== undefined;
  call.setHeaders((known ? withLeader : withoutLeader)[shown ?? "hidden"]);
}

/** One constant set per consistency, so that answers can share them. */
function leaderHeaders(known: boolean): Record<Consistency | "hidden", HeaderSet> {
  const hidden = { "X-Consul-KnownLeader": String(known), "X-Consul-LastContact": "0" };
  const showing = (mode: Consistency) => ({ ...hidden, "X-Consul-Effective-Consistency": mode });
  return {
    hidden,
    leader: showing("leader"),
    stale: showing("stale"),
    consistent: showing("consistent"),
  };
}

const withLeader = leaderHeaders(true);
const withoutLeader = leaderHeaders(false);

/**
 * Consul's agent cache is a subscription that keeps an answer current. Local state is that already,
 * so only the headers remain: MISS for the first request, HIT with age 0 for later ones.
 */
export function setCacheHeaders(call: Call): void {
  const key = `${call.path}?${call.parameters
    .filter(([name]) => !["index", "wait", "token", "cached", "pretty"].includes(name))
    .map((pair) => pair.join("="))
    .join("&")}`;
  const hit = call.markSeen(key);
  call.setHeader("X-Cache", hit ? "HIT" : "MISS");
  if (hit) call.setHeader("Age", "0");
}
