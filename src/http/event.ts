/** /v1/event: user events are fired and listed. Consul 1.10; spec/http.md section 13. */
import { filterProblem, type UserEvent } from "../cluster/events.ts";
import { HttpError, route, type Call, type Route } from "./call.ts";
import { hold, parseReadOptions } from "./read.ts";
import { requireRight } from "./rights.ts";

/** PUT /v1/event/fire/<name> and GET /v1/event/list. */
export function eventRoutes(): readonly Route[] {
  return [route(["PUT"], "/v1/event/fire/", fire), route(["GET"], "/v1/event/list", answerList)];
}

/** Waiters for the list wait on this. */
const topics = ["events"];

async function fire(call: Call): Promise<Response> {
  const name = call.argument;
  if (name === "") throw new HttpError(400, "Missing name");
  const fields = {
    name,
    payload: await call.readOctets(),
    nodeFilter: call.query("node"),
    serviceFilter: call.query("service"),
    tagFilter: call.query("tag"),
  };
  const problem = filterProblem(fields);
  if (problem !== undefined) throw new HttpError(500, problem);
  call.requireDatacenter();
  requireRight(call.authorizer().eventWrite(name));
  const fired = call.deps.events.fire(fields);
  if (!fired.ok) throw new HttpError(500, fired.error);
  // The time is that of delivery, which Consul does not wait for.
  return call.json({ ...toEvent(fired.value), LTime: 0 });
}

/** Index and hold differ from other reads: the index names the last event, so only equality means anything. */
async function answerList(call: Call): Promise<Response> {
  const { waitMs } = parseReadOptions(call);
  const wanted = BigInt(call.query("index") || 0);
  const name = call.query("name");
  const look = () => {
    const rights = call.authorizer();
    return call.deps.events
      .list()
      .filter((event) => rights.eventRead(event.name) && (name === "" || event.name === name));
  };
  const { maxQueryTimeMs } = call.settings;
  const holdMs = waitMs > 0 ? Math.min(waitMs, maxQueryTimeMs) : maxQueryTimeMs;
  const untilMs = call.deps.clock.monotonicMs() + holdMs;
  let events = look();
  while (wanted > 0n && indexOf(events) === wanted) {
    const woken = await hold(call, topics, untilMs);
    events = look();
    if (woken !== "changed") break;
  }
  call.setHeader("X-Consul-Index", String(indexOf(events)));
  return call.json(events.map(toEvent));
}

/** The halves of the last event's id, one over the other; 1 for no event, which 0 would make a client spin on. */
function indexOf(events: readonly UserEvent[]): bigint {
  const last = events.at(-1);
  if (last === undefined) return 1n;
  const digits = last.id.replaceAll("-", "");
  return BigInt(`0x${digits.slice(0, 16)}`) ^ BigInt(`0x${digits.slice(16)}`);
}

function toEvent(event: UserEvent) {
  const { id, name, payload, nodeFilter, serviceFilter, tagFilter, version, lamportTime } = event;
  return {
    ID: id,
    Name: name,
    Payload: payload.length === 0 ? null : Buffer.from(payload).toString("base64"),
    NodeFilter: nodeFilter,
    ServiceFilter: serviceFilter,
    TagFilter: tagFilter,
    Version: version,
    LTime: lamportTime,
  };
}
