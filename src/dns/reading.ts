/** One question's view of the world, and what it looked at on the way to its answer. */
import type { Acl, Authorizer } from "../cluster/acl.ts";
import type { CatalogReader, Topic } from "../cluster/model.ts";
import type { ForeignNames } from "./chain.ts";
import type { Prepared, Zone } from "./settings.ts";
import type { Rr } from "./rr.ts";

/** The records that answer a question, before anything is cut for size. */
export type Answer = {
  rcode: number;
  answers: Rr[];
  authority: Rr[];
  additional: Rr[];
  /** The answers are in random order, and should be in another one the next time. */
  shuffled: boolean;
  /** After shuffling, no more than this many answers (`a_record_limit`); 0: all. */
  answerLimit: number;
  /** The choice of records is different for another client, or cannot be repeated from this answer. */
  oneOff: boolean;
  /** Client-subnet scope: the source prefix (prepared queries), else 0. */
  dependsOnClient: boolean;
};

/** Empty answer; the caller fills it. */
export function emptyAnswer(rcode: number): Answer {
  return {
    rcode,
    answers: [],
    authority: [],
    additional: [],
    shuffled: false,
    answerLimit: 0,
    oneOff: false,
    dependsOnClient: false,
  };
}

/** What is asked, once it is known to lie in `zone`. */
export type Asked = {
  /** Owner of the records that answer; spelled as asked. */
  qname: Uint8Array;
  qtype: number;
  /** With an OPT: then chains to other names are not cut to five records. */
  edns: boolean;
  zone: Zone;
  /** Lookups inside our domains that a CNAME may still cause. */
  levels: number;
};

export type Reading = {
  readonly catalog: CatalogReader;
  readonly acl: Acl;
  readonly authorizer: Authorizer;
  readonly settings: Prepared;
  /** What `near=_ip` of a prepared query stands for: client subnet if sent, else the client's address. */
  readonly clientAddress: string;
  /** Seconds since 1970, for the SOA serial. */
  readonly wallSeconds: number;
  readonly foreign: ForeignNames;
  /** A change of any of these may change the answer. May name one twice. */
  readonly topics: Topic[];
  /** Integers from 0 to 2^32 - 1; the same seed gives the same row of them. */
  random: () => number;
  /** Answers a question of another name inside our domains; see chain.ts. */
  ask(asked: Asked): Answer;
};

/** A small generator (xorshift): spreads load, keeps no secret. */
export function createSeeded(seed: number): () => number {
  let state = seed >>> 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** Fisher and Yates, in place. */
export function shuffle(list: unknown[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const held = list[i];
    list[i] = list[j];
    list[j] = held;
  }
}
