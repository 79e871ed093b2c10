/** What travels between the parts of the DNS front: types only. */
import type { Client } from "../ports.ts";
import type { Trace } from "./trace.ts";

/**
 * An answer prepared for the shared table; workers serve it without the main thread.
 * A worker sends it to a question that is equal (QNAME without ASCII case, QTYPE, QCLASS octets),
 * opcode QUERY, exactly one question, no other record but at most one OPT without a client-subnet
 * option, and whose effective payload p (no EDNS: 512; else max(512, size in OPT), at most 65467)
 * lies in minPayload..maxPayload. It copies id, RD and CD and the spelling of the QNAME from the question,
 * and appends an OPT (payload as asked, version 0, no flags but DO where `copiesDo`, no options) if and only if one was sent.
 */
export type PublishedAnswer = {
  /** Question section: QNAME in lower case, QTYPE, QCLASS. */
  question: Uint8Array;
  /** Complete messages without OPT, id 0, RD and CD clear, question in lower case; one is picked at random. Owner names equal to the QNAME must be pointers to offset 12. */
  variants: readonly Uint8Array[];
  minPayload: number;
  maxPayload: number;
  /** May it answer a question without / with OPT? (An OPT takes 11 octets of the payload.) */
  withoutEdns: boolean;
  withEdns: boolean;
  /**
   * Only with one variant: `count` answer records of `stride` octets each from `offset` on, last in the message.
   * The worker sends a uniformly random choice in random order: `smallCount` of them if p is 512, else as many
   * as fit into p - 8 octets (OPT included), at least one; TC is set if fewer than all and `truncateBit`.
   */
  shuffle: {
    offset: number;
    stride: number;
    count: number;
    smallCount: number;
    truncateBit: boolean;
  } | null;
  /**
   * Forwarded data: offsets of the TTL fields, each counted down by the whole seconds since `storedAtMs`;
   * not for questions with CD, DO or AD set. null: catalog data, constant TTLs, DO and AD are ignored.
   */
  countdown: { ttlOffsets: readonly number[]; storedAtMs: number } | null;
  /** DO of the question is set in the reply as well (RFC 3225 section 3); absent: it is clear, as Consul has it. */
  copiesDo?: boolean;
  /** Monotonic ms of the shared clock (SharedClock) after which it is a miss; Infinity: until withdrawn. */
  expiresAtMs: number;
  /** Where it is counted when a worker gives it: tableOrigin of origins.ts. Absent: 0. */
  origin?: number;
  /** The service whose replies it is counted among: service-counts.ts. Absent: 0, none. */
  service?: number;
};

/** Handle of a published answer for withdrawal; 0 means: not published (too large, table full of hotter names). */
export type AnswerHandle = number;

/** Writer's side of the answer table; main thread only. */
export type AnswerTable = {
  publish(answer: PublishedAnswer): AnswerHandle;
  /** After it returns no worker starts to serve the answer. Unknown or evicted handles do nothing. */
  withdraw(handle: AnswerHandle): void;
  withdrawAll(): void;
  /**
   * How often workers sent the answers to this question (QNAME, QTYPE, QCLASS) of late, those that have
   * expired included: each counts up to 3, and anew when it had to be moved.
   */
  hitsOf(question: Uint8Array): number;
  /** Called when an entry leaves by eviction or replacement, so that the owner forgets its handle. */
  onEvict(listener: (handle: AnswerHandle) => void): void;
  stats(): {
    entries: number;
    octets: number;
    capacityOctets: number;
    evictions: number;
    rejected: number;
    /** Age of the answer that was published longest ago, to the second; 0 if there is none. */
    oldestAgeSeconds: number;
  };
};

/** The clock that main thread and workers share: monotonic ms since the process started. */
export type SharedClock = () => number;

/**
 * A question that the workers could not answer. `query` is the message as received; it may be kept.
 * `trace`: somebody wants to know how the answer comes about. `isSampled`: whether it was drawn for the
 * query log; undefined: nobody has drawn.
 */
export type Question = {
  query: Uint8Array;
  client: Client;
  trace?: Trace | undefined;
  isSampled?: boolean | undefined;
  /** Where it arrived, and when (shared clock): it is counted there. Absent: it is not counted. */
  server?: ServerNumber | undefined;
  arrivedMs?: number | undefined;
};

/** A listener as `Meter` numbers it (meter.ts). */
export type ServerNumber = number;

/**
 * Sends the reply (complete message) or, with null, nothing. To be called exactly once. `origin`: zone and
 * part of the program that the answer is of (origins.ts), for who counts; absent: the server's own.
 */
export type Reply = (wire: Uint8Array | null, origin?: number) => void;

/** Answers one question: from the catalog at once, from upstreams later. Never throws. */
export type Resolve = (question: Question, reply: Reply) => void;

/** What the domain side asks of the forwarder. */
export type ForwardRequest = {
  /** QNAME as asked (case kept), uncompressed wire. */
  qname: Uint8Array;
  qtype: number;
  qclass: number;
  rd: boolean;
  cd: boolean;
  ad: boolean;
  do: boolean;
  /** The client's EDNS, if any: payload size and raw options. */
  edns: { payload: number; options: Uint8Array } | null;
  client: Client;
  trace?: Trace | undefined;
  /**
   * When the forwarder was first asked on the way to this answer (monotonic ms), which it notes itself:
   * who asks for something else behind that, for the same client, passes it on.
   */
  sinceMs?: number | undefined;
  /** The CNAME by which the name, of one label, leads to a service of the catalog, if nothing else is known of it. */
  short?: import("./rr.ts").Rr | undefined;
};

/** What an RCODE leaves unsaid (RFC 8914): INFO-CODE 0..65535 (`EDE` in edns.ts) and a text, "" for none. */
export type ExtendedError = { code: number; text: string };

/**
 * Answer of the forwarder: a message in parts (question spelled as asked), flags without QR/RD/CD/id.
 * `failed`: every upstream failed or none is configured. `ede` goes to clients that sent an OPT; an
 * answer with one is prepared for clients without OPT only, since workers send no options.
 */
export type ForwardAnswer =
  | {
      ok: true;
      rcode: number;
      aa: boolean;
      ad: boolean;
      ra: boolean;
      /** TTLs already counted down. */
      answers: import("./rr.ts").Rr[];
      authority: import("./rr.ts").Rr[];
      additional: import("./rr.ts").Rr[];
      /** Seconds for which this answer may be served again with TTLs counting down; 0: not at all. */
      cacheableSeconds: number;
      /** 0..999: how long the TTLs have been as they are shown; they lose the next second at 1000. */
      spentMs: number;
      /** The forwarder held it already: the question was asked before, so the next one is worth preparing for. */
      fromCache: boolean;
      /** OPT of the upstream's reply, to be passed on when nothing was cached (payload, flags, options); null if none. */
      edns: { payload: number; flags: number; options: Uint8Array } | null;
      tc: boolean;
      /** Records of our own: TTLs never count down, and the answer holds until what is kept is flushed. */
      constant?: boolean;
      /** How long after its end whoever keeps it may give it; absent: the server that was asked sets no limit. */
      staleSeconds?: number;
      ede?: readonly ExtendedError[] | undefined;
    }
  | {
      ok: false;
      reason: "no upstream" | "failed" | "refused";
      ede?: readonly ExtendedError[] | undefined;
    };

/** Asks the upstreams or the cache; `done` is called exactly once, perhaps before `forward` returns. */
export type Forward = (request: ForwardRequest, done: (answer: ForwardAnswer) => void) => void;
