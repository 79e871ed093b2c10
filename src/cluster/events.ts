/**
 * User events: fired once, seen by the agents whose node and services pass the filters, kept in
 * memory only. Consul 1.10 agent/user_event.go; sizes and Lamport time as in serf 0.9.5.
 */
import { fail, ok, type Result } from "../base.ts";
import type { Cancel } from "../ports.ts";
import { compileRegexp } from "./regexp.ts";

/** What somebody fires; filters are regular expressions, "" lets everybody pass. */
export type EventFields = {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly nodeFilter: string;
  readonly serviceFilter: string;
  /** For a tag of a service that `serviceFilter` matches. */
  readonly tagFilter: string;
};

/** An event as it was accepted. */
export type UserEvent = EventFields & {
  /** UUID, drawn where it was fired. */
  readonly id: string;
  readonly version: number;
  /** Lamport time, 1 or more. */
  readonly lamportTime: number;
};

/** Where events are fired and seen. */
export type EventBus = {
  /** The event as it was sent, whether or not this agent's own filters take it. The error is a text for the client. */
  fire(fields: EventFields): Result<UserEvent, string>;
  /** Accepted events, oldest first; at most EVENTS_MAX. */
  list(): readonly UserEvent[];
  /** Called after each accepted event. */
  onChange(listener: () => void): Cancel;
  /** Called with each order to run a command that the filters let pass; such events are not listed. */
  onRemoteExec(listener: (event: UserEvent) => void): Cancel;
};

/** Accepted events kept; the oldest is forgotten. Consul: the same. */
const EVENTS_MAX = 256;
/** Version of the payload that Consul agents exchange. */
const VERSION = 1;
/** Serf's default limit of a user event, before and after encoding, in octets. */
const SIZE_MAX = 512;
/** Begins the name of Consul's events among those of Serf. */
const NAME_PREFIX = "consul:event:";
/** Consul's order to run a command, which is not listed. */
const REMOTE_EXEC = "_rexec";

const encoder = new TextEncoder();

/** What is wrong with the filters of an event, in Consul's words; undefined: nothing. */
export function filterProblem(fields: EventFields): string | undefined {
  const { nodeFilter, serviceFilter, tagFilter } = fields;
  if (tagFilter !== "" && serviceFilter === "")
    return "Cannot provide tag filter without service filter";
  for (const [kind, filter] of [
    ["node", nodeFilter],
    ["service", serviceFilter],
    ["tag", tagFilter],
  ] as const) {
    const compiled = compileRegexp(filter);
    if (!compiled.ok) return `Invalid ${kind} filter: ${compiled.error}`;
  }
  return undefined;
}

/** Events of a pool whose only member is this agent. */
export function createEventBus(agent: {
  nodeName: string;
  /** Services of this agent. */
  services(): Iterable<{ readonly service: string; readonly tags: readonly string[] }>;
  newId(): string;
}): EventBus {
  const accepted: UserEvent[] = [];
  const listeners = new Set<() => void>();
  const executors = new Set<(event: UserEvent) => void>();
  let clock = 1;

  function passes({ nodeFilter, serviceFilter, tagFilter }: UserEvent): boolean {
    if (!matcher(nodeFilter)(agent.nodeName)) return false;
    if (serviceFilter === "") return true;
    const [isService, isTag] = [matcher(serviceFilter), matcher(tagFilter)];
    for (const { service, tags } of agent.services())
      if (isService(service) && (tagFilter === "" || tags.some(isTag))) return true;
    return false;
  }

  return {
    fire(fields) {
      const event = { ...fields, id: agent.newId(), version: VERSION, lamportTime: clock };
      const problem = sizeProblem(event);
      if (problem !== undefined) return fail(problem);
      clock++;
      if (!passes(event)) return ok(event);
      if (event.name === REMOTE_EXEC) for (const execute of executors) execute(event);
      else {
        accepted.push(event);
        if (accepted.length > EVENTS_MAX) accepted.shift();
        for (const listener of listeners) listener();
      }
      return ok(event);
    },
    list: () => accepted,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onRemoteExec(listener) {
      executors.add(listener);
      return () => void executors.delete(listener);
    },
  };
}

/** An expression that does not compile matches nothing, as with Consul's receivers. */
function matcher(filter: string): (text: string) => boolean {
  if (filter === "") return () => true;
  const compiled = compileRegexp(filter);
  return (text) => compiled.ok && compiled.value.test(text);
}

function sizeProblem(event: UserEvent): string | undefined {
  const { plain, encoded } = sizeOf(event);
  const problem =
    plain > SIZE_MAX
      ? `user event exceeds configured limit of ${SIZE_MAX} bytes before encoding`
      : encoded > SIZE_MAX
        ? `encoded user event exceeds configured limit of ${SIZE_MAX} bytes after encoding`
        : undefined;
  // A list of errors, one per network segment, as hashicorp/go-multierror prints it.
  return problem && `1 error occurred:\n\t* error broadcasting event to segment "": ${problem}\n\n`;
}

/**
 * Octets of the event in gossip: name and payload of the Serf message, and that message as a whole,
 * type octet included. Both layers are MessagePack maps.
 */
export function sizeOf(event: UserEvent): { plain: number; encoded: number } {
  const name = encoder.encode(event.name).length;
  let payload = 1 + 3 + text(encoder.encode(event.id).length) + 2 + text(name) + 2 + 1;
  if (event.payload.length > 0) payload += 2 + binary(event.payload.length);
  for (const filter of [event.nodeFilter, event.serviceFilter, event.tagFilter])
    if (filter !== "") payload += 3 + text(encoder.encode(filter).length);
  const fullName = NAME_PREFIX.length + name;
  const keys =
    1 + 1 + ("CC".length + 1) + ("LTime".length + 1) + ("Name".length + 1) + ("Payload".length + 1);
  const encoded = keys + 1 + unsigned(event.lamportTime) + raw(fullName) + raw(payload);
  return { plain: fullName + payload, encoded };
}

/** A string of the present MessagePack specification. */
const text = (octets: number): number =>
  octets + (octets < 32 ? 1 : octets < 2 ** 8 ? 2 : octets < 2 ** 16 ? 3 : 5);
const binary = (octets: number): number =>
  octets + (octets < 2 ** 8 ? 2 : octets < 2 ** 16 ? 3 : 5);
/** Text or octets of the old specification, which Serf speaks. */
const raw = (octets: number): number => octets + (octets < 32 ? 1 : octets < 2 ** 16 ? 3 : 5);
const unsigned = (value: number): number =>
  value < 128 ? 1 : value < 2 ** 8 ? 2 : value < 2 ** 16 ? 3 : value < 2 ** 32 ? 5 : 9;
