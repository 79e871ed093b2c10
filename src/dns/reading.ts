/** One question's view of the world, and what it looked at on the way to its answer. */
import type { Acl, Authorizer } from "../cluster/acl.ts";
import type { CatalogReader, Topic } from "../cluster/model.ts";
import type { ForeignNames } from "./chain.ts";
import { nameKey } from "./name.ts";
import type { Prepared, Zone } from "./settings.ts";
import type { Rr } from "./rr.ts";
import type { Trace } from "./trace.ts";

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

/** What one resolver has for all its questions. */
export type World = {
  catalog: CatalogReader;
  acl: Acl;
  wallMs: () => number;
  /** Answers a question for a name in one of our domains (records.ts). */
  answer: (reading: Reading, asked: Asked) => Answer;
};

/** What a reading of the catalog depends on besides the catalog. */
export type ReadingOptions = {
  settings: Prepared;
  foreign: ForeignNames;
  /** What `near=_ip` of a prepared query stands for. */
  clientAddress: () => string;
  /** The same seed gives the same random choices. */
  seed: number;
  /** Where to tell what is decided; undefined: nobody asks. */
  trace: Trace | undefined;
};

/** A class because one is made per question, and most of what it can tell is not asked for. */
export class Reading {
  readonly catalog: CatalogReader;
  readonly acl: Acl;
  readonly settings: Prepared;
  readonly foreign: ForeignNames;
  readonly trace: Trace | undefined;
  /** A change of any of these may change the answer. May name one twice. */
  readonly topics: Topic[] = [];
  readonly #world: World;
  readonly #options: ReadingOptions;
  #authorizer: Authorizer | undefined;
  #random: number;
  #inner: Map<string, Answer> | undefined;

  constructor(world: World, options: ReadingOptions) {
    this.catalog = world.catalog;
    this.acl = world.acl;
    this.settings = options.settings;
    this.foreign = options.foreign;
    this.trace = options.trace;
    this.#world = world;
    this.#options = options;
    this.#random = options.seed >>> 0 || 0x9e3779b9;
  }

  /** Rights of the agent's DNS token. */
  get authorizer(): Authorizer {
    this.#authorizer ??= this.acl.dnsAuthorizer();
    return this.#authorizer;
  }

  /** Client subnet's address if one was sent, else the client's. */
  get clientAddress(): string {
    return this.#options.clientAddress();
  }

  /** Seconds since 1970, for the SOA serial. */
  get wallSeconds(): number {
    return Math.floor(this.#world.wallMs() / 1000);
  }

  /** Integers from 0 to 2^32 - 1 (xorshift): spreads load, keeps no secret. */
  random(): number {
    let state = this.#random;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state >>> 0;
    return this.#random;
  }

  /** Fisher and Yates, in place. */
  shuffle(list: unknown[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.random() % (i + 1);
      const held = list[i];
      list[i] = list[j];
      list[j] = held;
    }
  }

  /** Answers a question of another name inside our domains, each once; see chain.ts. */
  ask(asked: Asked): Answer {
    this.#inner ??= new Map();
    const key = `${asked.levels} ${nameKey(asked.qname)}`;
    const held = this.#inner.get(key);
    if (held !== undefined) return held;
    const answer = this.#world.answer(this, asked);
    this.#inner.set(key, answer);
    return answer;
  }
}
