/**
 * The way of a question that is not for the catalog: what is known here of the name, else the group of
 * servers that its rule names, then what is to be done with their answers. CNAMEs that lead into other
 * zones are followed there, so that no server speaks for names of another one's.
 */
import type { ExtendedError, Forward, ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { isElsewhere } from "../dns/chain.ts";
import { EDE } from "../dns/edns.ts";
import { equalNames, formatName, isWithin } from "../dns/name.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../dns/rr.ts";
import type { Trace } from "../dns/trace.ts";
import type { Client, Random } from "../ports.ts";
import type { Forwarder } from "./forward.ts";
import { ownAnswer, type Good } from "./local/answers.ts";
import {
  createDecider,
  type Decider,
  type Decision,
  type LocalSources,
  type Source,
} from "./local/decide.ts";
import type { SearchCounts } from "./local/search-list.ts";
import type { LocalSettings } from "./local/settings.ts";
import { mayBeSpecial } from "./local/special.ts";
import type { HashKey } from "./local/suffix-hash.ts";
import { createRuleTables } from "./rules.ts";
import type { Slices } from "../slices.ts";

/** CNAMEs that are followed for one question, and questions that may come of it; beyond, SERVFAIL. */
const MAX_LINKS = 10;

/**
 * Puts something around the asking of servers: changes their answers, or answers instead of them.
 * `askElsewhere`: for names that other servers, or nobody, may be asked for. `afterChain`: what is told of
 * a name that a server's CNAME has led on to other data.
 */
export type Wrap = ((ask: Forward, askElsewhere: Forward) => Forward) & {
  readonly afterChain?: (request: ForwardRequest, answer: Good) => Good;
};

export type PipelineDeps = {
  forwarder: Pick<Forwarder, "forwardTo">;
  settings: LocalSettings;
  /** null: the servers' answers are taken as they are. */
  filter: Wrap | null;
  random: Random;
};

/** Counts since the start. */
export type PipelineStats = {
  /** Answered here, by what answered; those that workers answer are not counted. */
  answers: Readonly<Record<Source, number>>;
  /** Chains that went on in another zone. */
  followed: number;
  /** Ended with SERVFAIL: a loop of CNAMEs, or too many. */
  brokenChains: number;
  searchLists: readonly SearchCounts[];
  /** Names of records, hosts files and leases. */
  names: number;
};

export type Pipeline = {
  /** As those of Forwarder, for clients and for host names of the catalog. */
  forward: Forward;
  forwardFirstReply: Forward;
  reload(settings: LocalSettings, filter: Wrap | null): void;
  /** What a reload with these settings takes long for; questions are answered by the former ones meanwhile. */
  prepare(settings: LocalSettings): Slices<void>;
  /** Files have changed. What workers serve is for the caller to withdraw. */
  replace(sources: LocalSources): void;
  /** What names are hashed with in the sets of `replace`. */
  readonly hashKey: HashKey;
  /** The name of the view that a client sees; "" for none. */
  viewOf: (client: Client) => string;
  stats(): PipelineStats;
};

export function createPipeline(deps: PipelineDeps): Pipeline {
  const { forwarder, random } = deps;
  const key = { low: random.uint32(), high: random.uint32() };
  let { settings, filter } = deps;
  let sources: LocalSources = { records: [], blocklists: [] };
  const tables = createRuleTables(key);
  let decider = createDecider(settings, sources, key, tables);
  /** Counts changes of what answers are made of. */
  let generation = 0;
  const answers: Record<Source, number> = {
    records: 0,
    addresses: 0,
    "local zone": 0,
    blocklist: 0,
    "special name": 0,
    "private reverse": 0,
    "search list": 0,
    "short name": 0,
    "domain needed": 0,
  };
  const counts = { followed: 0, brokenChains: 0 };

  /** One way per group, made when it is first used; anew after a reload. */
  let ways = new Map<string, { usual: Forward; firstReply: Forward }>();
  let usual = wayTo("");

  function wayTo(group: string): { usual: Forward; firstReply: Forward } {
    const known = ways.get(group);
    if (known !== undefined) return known;
    const ask =
      (firstReplyFinal: boolean): Forward =>
      (request, done) =>
        forwarder.forwardTo(group, request, done, firstReplyFinal);
    const wrap = filter ?? ((plain: Forward): Forward => plain);
    // The second is for hosts of the catalog, which may lead anywhere.
    const way = { usual: wrap(ask(false), forward), firstReply: ask(true) };
    ways.set(group, way);
    return way;
  }

  function forward(request: ForwardRequest, done: (answer: ForwardAnswer) => void): void {
    accept(request, done, false);
  }

  function accept(
    request: ForwardRequest,
    done: (answer: ForwardAnswer) => void,
    firstReplyFinal: boolean,
  ): void {
    const isDecided =
      decider.isNeeded || request.short !== undefined || mayBeSpecial(request.qname);
    if (isDecided && request.qclass !== CLASS_IN) acceptOther(request, done, firstReplyFinal);
    else if (isDecided)
      follow({
        request,
        done,
        firstReplyFinal,
        decider,
        generation,
        links: [],
        isOwn: true,
        asked: 0,
        general: true,
      });
    else if (firstReplyFinal) usual.firstReply(request, done);
    else usual.usual(request, done);
  }

  /** Of another class: data of ours says nothing, but where its name may be asked, and whether, is the same. */
  function acceptOther(
    request: ForwardRequest,
    done: (answer: ForwardAnswer) => void,
    firstReplyFinal: boolean,
  ): void {
    // No record has this type.
    const found = decider.decide(request.qname, 0, request.client);
    if (found.kind === "answer") {
      answers[found.source]++;
      done({ ...ownAnswer([], found.answer.rcode), constant: false });
      return;
    }
    const way = found.kind === "forward" ? wayTo(found.group) : usual;
    (firstReplyFinal ? way.firstReply : way.usual)(request, done);
  }

  /** A question, and the CNAMEs that have led away from its name so far. */
  type Work = {
    readonly request: ForwardRequest;
    readonly done: (answer: ForwardAnswer) => void;
    readonly firstReplyFinal: boolean;
    /** The same to the end, whatever is reloaded meanwhile. */
    readonly decider: Decider;
    readonly generation: number;
    readonly links: Rr[];
    /** No server has said any of the links. */
    isOwn: boolean;
    /** What is to be said of the answers that the links are from. */
    ede?: readonly ExtendedError[] | undefined;
    asked: number;
    general: boolean;
  };

  /** Goes on at the name that the links lead to. */
  function follow(work: Work): void {
    const { request, links } = work;
    for (;;) {
      const name = nameOf(work);
      if (links.length > 0 && isOurs(work, name)) {
        // The resolver asks the catalog for it.
        finish(work, ownAnswer([], RCODE.NOERROR));
        return;
      }
      const short = links.length === 0 ? request.short : undefined;
      const found = work.decider.decide(name, request.qtype, request.client, short);
      work.general &&= found.general;
      if (found.kind === "chain") {
        request.trace?.add({ step: "link", target: formatName(found.link.data) });
        if (!addLinks(work, [found.link])) return;
        continue;
      }
      if (found.kind === "answer") {
        answers[found.source]++;
        if (found.source === "search list") work.decider.searchList?.noteDenied(name);
        if (request.trace !== undefined) noteLocal(request.trace, work, found);
        finish(work, found.answer);
      } else ask(work, found);
      return;
    }
  }

  function noteLocal(
    trace: Trace,
    { request, general, decider: deciding }: Work,
    { source, by = "" }: Extract<Decision, { kind: "answer" }>,
  ): void {
    const detail = typeof by === "string" ? by : formatName(by);
    const view = general ? "" : deciding.viewOf(request.client);
    trace.add({ step: "local", source, detail, view });
  }

  function ask(
    work: Work,
    { group, isKnown = false }: Extract<Decision, { kind: "forward" }>,
  ): void {
    const { request, firstReplyFinal } = work;
    const name = nameOf(work);
    const asking = work.links.length === 0 ? request : { ...request, qname: name };
    if (++work.asked > MAX_LINKS) {
      broken(work);
      return;
    }
    if (group !== "") request.trace?.add({ step: "zone", group });
    const way = group === "" ? usual : wayTo(group);
    const askServers = firstReplyFinal ? way.firstReply : way.usual;
    askServers(asking, (answer) => {
      request.sinceMs ??= asking.sinceMs;
      if (!answer.ok) {
        work.done(answer);
        return;
      }
      if (answer.rcode === RCODE.NXDOMAIN) work.decider.searchList?.noteMissed(name);
      const crossing = crossesOver(work, name, group, answer.answers);
      if (crossing === undefined) finish(work, withoutDenial(work, name, answer, isKnown));
      else if (addLinks(work, crossing)) {
        counts.followed++;
        work.isOwn = false;
        work.ede ??= answer.ede;
        follow(work);
      }
    });
  }

  /** What exists here is not denied by servers that do not know it: there is no data of this type (as dnsmasq). */
  function withoutDenial(work: Work, name: Uint8Array, answer: Good, isKnown: boolean): Good {
    const isDenied = answer.rcode === RCODE.NXDOMAIN && answer.answers.length === 0;
    if (!isDenied || !(isKnown || work.decider.exists(name, work.request.client))) return answer;
    return { ...answer, rcode: RCODE.NOERROR };
  }

  /** Links of a server's answer up to the one that leads to where something else holds; undefined if none does. */
  function crossesOver(
    work: Work,
    qname: Uint8Array,
    group: string,
    records: readonly Rr[],
  ): Rr[] | undefined {
    const { decider: deciding, request } = work;
    const { qtype, client } = request;
    if (!deciding.isNeeded || qtype === TYPE.CNAME || qtype === TYPE.ANY) return undefined;
    if (!records.some(({ type }) => type === TYPE.CNAME)) return undefined;
    const links: Rr[] = [];
    let name = qname;
    while (links.length <= records.length) {
      const at = name;
      const link = records.find((rr) => rr.type === TYPE.CNAME && equalNames(rr.owner, at));
      if (link === undefined || isOurs(work, link.data)) return undefined;
      links.push(link);
      name = link.data;
      const found = deciding.decide(name, qtype, client);
      if (found.kind !== "forward" || found.group !== group) return links;
    }
    return undefined;
  }

  /** false: the chain is a loop, or too long, and the question is answered. */
  function addLinks(work: Work, added: readonly Rr[]): boolean {
    const { links, request } = work;
    for (const link of added) {
      const isLoop =
        equalNames(link.data, request.qname) ||
        links.some(({ data }) => equalNames(data, link.data));
      if (isLoop || links.length >= MAX_LINKS) {
        broken(work);
        return false;
      }
      links.push(link);
    }
    return true;
  }

  function broken({ done }: Work): void {
    counts.brokenChains++;
    const error = { code: EDE.OTHER, text: "the chain of CNAMEs is a loop or too long" };
    done({ ok: false, reason: "failed", ede: [error] });
  }

  function nameOf({ request, links }: Work): Uint8Array {
    return links.at(-1)?.data ?? request.qname;
  }

  function finish(work: Work, answer: Good): void {
    const { request, links, done, general, isOwn, ede } = work;
    // What one view is told is nothing for the clients of another.
    const kept = general && generation === work.generation;
    if (links.length === 0) {
      done(kept ? answer : { ...answer, cacheableSeconds: 0, constant: false });
      return;
    }
    // Links that a server gave have a TTL, and are its word.
    const isOurs = isOwn && answer.constant === true;
    const whole = {
      ...answer,
      aa: answer.aa && isOurs,
      ad: false,
      answers: [...links, ...answer.answers],
      cacheableSeconds: 0,
      constant: kept && isOurs,
      ede: answer.ede ?? ede,
    };
    done(isOwn ? whole : (filter?.afterChain?.(request, whole) ?? whole));
  }

  function isOurs({ decider: deciding, request }: Work, name: Uint8Array): boolean {
    const { domains, elsewhere, viewElsewhere } = settings;
    if (!domains.some((domain) => isWithin(name, domain)) || isElsewhere(name, elsewhere))
      return false;
    if (viewElsewhere.size === 0) return true;
    return !isElsewhere(name, viewElsewhere.get(deciding.viewOf(request.client)) ?? []);
  }

  return {
    forward,
    forwardFirstReply: (request, done) => accept(request, done, true),
    reload(nextSettings, nextFilter) {
      settings = nextSettings;
      filter = nextFilter;
      generation++;
      ways = new Map();
      usual = wayTo("");
      decider = createDecider(settings, sources, key, tables);
    },
    *prepare({ rules, views }) {
      for (const each of [rules, ...views.map((view) => view.rules)]) yield* tables.prepare(each);
    },
    replace(next) {
      sources = next;
      generation++;
      decider.use(sources);
    },
    hashKey: key,
    viewOf: (client) => decider.viewOf(client),
    stats: () => ({
      answers: { ...answers },
      ...counts,
      searchLists: decider.searchList?.counts ?? [],
      names: sources.records.reduce(
        (sum, { nameCount }) => sum + nameCount,
        settings.records.length,
      ),
    }),
  };
}
