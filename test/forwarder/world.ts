/**
 * A forwarder in a world of its own: virtual time, a network that delivers what scripted servers say,
 * seeded randomness. Messages of the servers are made and read by dns-packet, not by us.
 */
import packet, { type Answer, type Packet } from "dns-packet";
import type { ForwardAnswer, ForwardRequest } from "../../src/dns/answer.ts";
import { formatAddress } from "../../src/address.ts";
import { formatName, parseName } from "../../src/dns/name.ts";
import { TYPE } from "../../src/dns/rr.ts";
import type { UpstreamEvent } from "../../src/forwarder/events.ts";
import { createForwarder, type Forwarder } from "../../src/forwarder/forward.ts";
import {
  forwarderDefaults,
  groupDefaults,
  type ForwarderSettings,
  type GroupSettings,
} from "../../src/forwarder/settings.ts";
import type { Client, Exchanges, Random, SocketAddress } from "../../src/ports.ts";

/** `type` of the message is dropped in favour of QTYPE. */
export type Question = Omit<Packet, "type"> & {
  name: string;
  type: string;
  transport: "udp" | "tcp";
};

/** What a server does with a question: messages, each after a delay, or an error of the transport. */
export type Behaviour = (question: Question, wire: Buffer) => (Said | { error: string })[];
export type Said = { wire: Uint8Array; afterMs?: number };

export type Asked = {
  server: number;
  transport: "udp" | "tcp";
  atMs: number;
  question: Question;
  wire: Buffer;
};

export type World = {
  forwarder: Forwarder;
  nowMs: () => number;
  /** Lets time go on, in the order of what is due. */
  pass(ms: number): void;
  /** The machine is suspended: the clock goes on, timers and messages on their way do not. */
  sleep(ms: number): void;
  /** Until nothing is due any more, at most this long. */
  settle(maxMs?: number): void;
  server(number: number, behaviour: Behaviour): void;
  settings(change: OneGroup): void;
  /** Every question that any server got. */
  readonly asked: Asked[];
  ask(name: string, type?: string, options?: AskOptions): Reply;
  /** "down 1", "all down", ...: what the forwarder told about its servers. */
  readonly events: string[];
  /** The same whole. */
  readonly told: UpstreamEvent[];
  /** What was thrown by mistake. */
  readonly thrown: unknown[];
  later(delayMs: number, run: () => void): void;
  openSockets(): number;
  timersSet(): number;
  /** Of the forwarder's, those that are still to run. */
  timersLeft(): number;
};

/** Settings of a forwarder with a single group, in one record. */
export type OneGroup = Partial<Omit<ForwarderSettings, "groups"> & GroupSettings>;

/**
 * The defaults with these changes. Unless they say otherwise case is kept, so that names can be compared,
 * servers are asked nothing but clients' questions, and any number of these.
 */
export function oneGroup(change: OneGroup): ForwarderSettings {
  const all = { ...forwarderDefaults, probeName: "", loopDetection: false, ...change };
  const { cacheEnabled, cacheOctets, subnet, prefetch, probeName, loopDetection } = all;
  const group = { ...groupDefaults, mixedCase: false, packetsPerSecond: 0, ...change };
  return { groups: [group], cacheEnabled, cacheOctets, subnet, prefetch, probeName, loopDetection };
}

export type AskOptions = Partial<Omit<ForwardRequest, "client">> & {
  transport?: Client["transport"];
  firstReply?: boolean;
  /** Not given: the one of names without a zone. */
  group?: string;
  /** Not given: 127.0.0.1. */
  from?: string;
  /** Hears the answer too. */
  done?: (answer: ForwardAnswer) => void;
};

/** Fills in when the answer comes; `afterMs` without sleep. */
export type Reply = { answer: ForwardAnswer | null; afterMs: number; calls: number };

export function createWorld(
  serverCount: number,
  change: OneGroup = {},
  socketLimit = Infinity,
): World {
  let nowMs = 1000;
  let order = 0;
  let timersSet = 0;
  let sockets = 0;
  let sleptMs = 0;
  const due: {
    atMs: number;
    order: number;
    run: () => void;
    cancelled: boolean;
    isOurs: boolean;
  }[] = [];
  const asked: Asked[] = [];
  const events: string[] = [];
  const told: UpstreamEvent[] = [];
  const thrown: unknown[] = [];
  const servers: SocketAddress[] = [];
  const behaviours: Behaviour[] = [];
  for (let number = 1; number <= serverCount; number++) {
    servers.push({ address: `192.0.2.${number}`, port: 53 });
    behaviours.push(answering());
  }

  /** `isOurs`: a timer of the forwarder, not a message on its way. */
  function after(delayMs: number, run: () => void, isOurs = false): () => void {
    const atMs = nowMs + Math.max(0, delayMs);
    const entry = { atMs, order: order++, run, cancelled: false, isOurs };
    due.push(entry);
    return () => {
      entry.cancelled = true;
    };
  }

  function nextDue(untilMs: number): (typeof due)[number] | undefined {
    let best: (typeof due)[number] | undefined;
    for (let i = due.length - 1; i >= 0; i--) {
      const entry = due[i]!;
      if (entry.cancelled) due.splice(i, 1);
      else if (
        entry.atMs <= untilMs &&
        (best === undefined ||
          entry.atMs < best.atMs ||
          (entry.atMs === best.atMs && entry.order < best.order))
      )
        best = entry;
    }
    if (best !== undefined) due.splice(due.indexOf(best), 1);
    return best;
  }

  function runUntil(untilMs: number): void {
    for (let entry = nextDue(untilMs); entry !== undefined; entry = nextDue(untilMs)) {
      nowMs = Math.max(nowMs, entry.atMs);
      entry.run();
    }
  }

  const network = (transport: "udp" | "tcp"): Exchanges => {
    let openCount = 0;
    return {
      open(address, on) {
        if (sockets >= socketLimit) {
          after(0, () => on.error("EMFILE"));
          return { send() {}, close() {} };
        }
        let open = true;
        openCount++;
        sockets++;
        const server = servers.findIndex((known) => known.address === address.address);
        return {
          send(wire) {
            const sent = Buffer.from(wire);
            const question = readQuestion(sent, transport);
            asked.push({ server: server + 1, transport, atMs: nowMs, question, wire: sent });
            for (const said of behaviours[server]!(question, sent))
              if ("error" in said) after(0, () => open && on.error(said.error));
              else after(said.afterMs ?? 1, () => open && on.datagram(said.wire));
          },
          close() {
            if (!open) throw new Error("a socket is closed twice");
            open = false;
            openCount--;
            sockets--;
          },
        };
      },
      get openCount() {
        return openCount;
      },
      close() {},
    };
  };

  let settings: OneGroup = { servers, ...change };
  const forwarder = createForwarder({
    settings: oneGroup(settings),
    clock: { monotonicMs: () => nowMs, wallMs: () => nowMs },
    timers: {
      after(delayMs, run) {
        timersSet++;
        return after(delayMs, run, true);
      },
    },
    random: seededRandom(1),
    onEvent: (event) => {
      const number = "server" in event ? ` ${event.server.address.address.split(".")[3]}` : "";
      events.push(`${event.type}${number}`);
      told.push(event);
    },
    fault: (error) => void thrown.push(error),
    udp: network("udp"),
    tcp: network("tcp"),
  });

  return {
    forwarder,
    nowMs: () => nowMs,
    pass(ms) {
      const untilMs = nowMs + ms;
      runUntil(untilMs);
      nowMs = untilMs;
    },
    sleep(ms) {
      nowMs += ms;
      sleptMs += ms;
      for (const entry of due) entry.atMs += ms;
    },
    settle(maxMs = 20_000) {
      runUntil(nowMs + maxMs);
    },
    server(number, behaviour) {
      behaviours[number - 1] = behaviour;
    },
    settings(over) {
      settings = { ...settings, ...over };
      forwarder.reload(oneGroup(settings));
    },
    asked,
    ask(name, type = "A", options = {}) {
      const reply: Reply = { answer: null, afterMs: NaN, calls: 0 };
      const startedMs = nowMs - sleptMs;
      const {
        transport = "udp",
        firstReply = false,
        group = "",
        done: hear,
        from,
        ...over
      } = options;
      const request: ForwardRequest = {
        qname: wireName(name),
        qtype: typeNumber(type),
        qclass: 1,
        rd: true,
        cd: false,
        ad: false,
        do: false,
        edns: null,
        ...over,
        client: { address: from ?? "127.0.0.1", port: 5000, transport },
      };
      const done = (answer: ForwardAnswer): void => {
        reply.answer = answer;
        reply.afterMs = nowMs - sleptMs - startedMs;
        reply.calls++;
        hear?.(answer);
      };
      forwarder.forwardTo(group, request, done, firstReply);
      return reply;
    },
    events,
    told,
    thrown,
    later: (delayMs, run) => void after(delayMs, run),
    openSockets: () => sockets,
    timersSet: () => timersSet,
    timersLeft: () => due.filter(({ cancelled, isOurs }) => isOurs && !cancelled).length,
  };
}

/** xorshift32: the same numbers in every run. */
export function seededRandom(seed: number): Random {
  let state = seed;
  return {
    uint32() {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    },
    uuid: () => "",
  };
}

export function wireName(name: string): Uint8Array {
  const parsed = parseName(name);
  if (!parsed.ok) throw new Error(`${name}: ${parsed.error}`);
  return parsed.value;
}

const types: Record<string, number> = {
  ...TYPE,
  NULL: 10,
  HINFO: 13,
  RRSIG: 46,
  DNSKEY: 48,
  NSEC: 47,
  CAA: 257,
};

function typeNumber(type: string): number {
  const number = types[type];
  if (number === undefined) throw new Error(`unknown type ${type}`);
  return number;
}

function readQuestion(wire: Buffer, transport: "udp" | "tcp"): Question {
  const decoded = packet.decode(wire);
  const [asked] = decoded.questions ?? [];
  if (asked === undefined) throw new Error("a question without a question was sent");
  return { ...decoded, name: asked.name, type: asked.type, transport };
}

export type ReplyParts = {
  rcode?: number;
  flags?: number;
  answers?: Answer[];
  authorities?: Answer[];
  additionals?: Answer[];
};

/** The reply to a question, by dns-packet. */
export function reply(question: Question, parts: ReplyParts = {}): Buffer {
  const { rcode = 0, flags = 0, answers = [], authorities = [], additionals = [] } = parts;
  const wire = packet.encode({
    type: "response",
    id: question.id ?? 0,
    flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | flags,
    questions: question.questions ?? [],
    answers,
    authorities,
    additionals,
  });
  wire[3] = (wire[3]! & 0xf0) | rcode;
  return wire;
}

export function a(name: string, data: string, ttl = 60): Answer {
  return { type: "A", class: "IN", name, ttl, data };
}

export function cname(name: string, data: string, ttl = 60): Answer {
  return { type: "CNAME", class: "IN", name, ttl, data };
}

export function soa(name: string, ttl: number, minimum: number): Answer {
  return {
    type: "SOA",
    name,
    ttl,
    data: {
      mname: "ns.test",
      rname: "admin.test",
      serial: 1,
      refresh: 2,
      retry: 3,
      expire: 4,
      minimum,
    },
  };
}

/** Says this to everything, after a round trip of 1 ms. */
export function saying(parts: ReplyParts | ((question: Question) => ReplyParts)): Behaviour {
  return (question) => [
    { wire: reply(question, typeof parts === "function" ? parts(question) : parts) },
  ];
}

/** One address for every name. */
export function answering(address = "198.51.100.1", ttl = 60): Behaviour {
  return saying((question) => ({ answers: [a(question.name, address, ttl)] }));
}

export const silent: Behaviour = () => [];

/** An answer in words: "A 192.0.2.1", "NXDOMAIN", "failed". */
export function inWords({ answer }: Reply): string {
  if (answer === null) return "nothing";
  if (!answer.ok) return answer.reason;
  const rcode = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][answer.rcode];
  const words = answer.answers.map((rr) =>
    rr.type === TYPE.A
      ? `A ${formatAddress(rr.data)}`
      : rr.type === TYPE.CNAME
        ? `CNAME ${formatName(rr.data)}`
        : `TYPE${rr.type}`,
  );
  if (answer.rcode !== 0) words.unshift(rcode ?? `RCODE${answer.rcode}`);
  if (answer.tc) words.push("TC");
  const isStale = answer.ede?.some(({ code }) => code === 3 || code === 19) === true;
  return `${isStale ? "stale " : ""}${words.join(" ") || "NODATA"}`;
}

/** Flushes to the end; how many entries went. */
export function flushAll(slices: Iterator<undefined, number>): number {
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}
