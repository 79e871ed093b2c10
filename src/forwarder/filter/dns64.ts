/**
 * AAAA records made of A records, for clients that reach IPv4 through a translator (DNS64, RFC 6147).
 * Nothing is validated here, so what is signed is left alone for clients that look at signatures.
 */
import { covers, parseAddress, unmapped, type Network } from "../../address.ts";
import type { Forward, ForwardAnswer, ForwardRequest } from "../../dns/answer.ts";
import { readUint32 } from "../../dns/message.ts";
import { equalNames, parseName, parseReverseName } from "../../dns/name.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../../dns/rr.ts";
import { ownAnswer } from "../local/answers.ts";
import type { Answered } from "../reply.ts";
import type { Client } from "../../ports.ts";
import { embed, extract, mayEmbed } from "./dns64-address.ts";

export type Dns64Settings = {
  /** IPv6 networks of a length that RFC 6052 allows; each A record gives one AAAA record under each. */
  readonly prefixes: readonly Network[];
  /** Who gets them; empty: everybody. */
  readonly clients: readonly Network[];
  /** AAAA records with these addresses count as absent (RFC 6147 5.1.4). */
  readonly exclude: readonly Network[];
};

const RRSIG = 46;
/** RFC 6147 5.1.7: the longest TTL if the denial came without SOA. */
const TTL_WITHOUT_SOA_SECONDS = 600;
/** TTL of the records about our own prefixes. */
const OWN_TTL_SECONDS = 3600;

/** By this name hosts find out the prefixes (RFC 7050 2.2, RFC 8880 7.2). */
const IPV4ONLY = wireName("ipv4only.arpa");
const ipv4OnlyAddresses = [new Uint8Array([192, 0, 0, 170]), new Uint8Array([192, 0, 0, 171])];

/**
 * Asks for both families where needed: `askA` where records of IPv4 are only wanted for what is made of
 * them, `askElsewhere` for names that others may know. `onSynthesis` hears of every answer that was made here.
 */
export function withDns64(
  { ask, askA: askIpv4, askElsewhere }: { ask: Forward; askA: Forward; askElsewhere: Forward },
  settings: Dns64Settings,
  onSynthesis: () => void,
): Forward {
  const { clients, exclude } = settings;
  const isOneOfThem = clientCheck(settings);
  const isExcluded = (rr: Rr): boolean => exclude.some((each) => covers(each, rr.data));
  const isClient = ({ client }: ForwardRequest): boolean => isOneOfThem(client);
  /** Others are told otherwise: no worker may repeat this. */
  const kept = (answer: ForwardAnswer): ForwardAnswer =>
    answer.ok && clients.length > 0 ? { ...answer, cacheableSeconds: 0 } : answer;

  function askAaaa(request: ForwardRequest, done: (answer: ForwardAnswer) => void): void {
    ask(request, (first) => {
      if (isFinal(first)) done(first);
      else if (!isWanted(request) || !isClient(request)) done(answeredAsIs(first));
      else askA(request, first, done);
    });
  }

  /** NXDOMAIN and usable AAAA records end it (RFC 6147 5.1.1, 5.1.2); any other error does not. */
  function isFinal(first: ForwardAnswer): boolean {
    if (!first.ok) return first.reason !== "failed";
    if (first.rcode === RCODE.NXDOMAIN || first.tc) return true;
    const found = first.answers.filter(({ type }) => type === TYPE.AAAA);
    return found.length > 0 && !found.some(isExcluded);
  }

  function answeredAsIs(first: ForwardAnswer): ForwardAnswer {
    return first.ok ? { ...first, cacheableSeconds: 0 } : first;
  }

  function askA(
    request: ForwardRequest,
    first: ForwardAnswer,
    done: (answer: ForwardAnswer) => void,
  ): void {
    const usable = first.ok && first.answers.some((rr) => rr.type === TYPE.AAAA && !isExcluded(rr));
    if (first.ok && usable) {
      const answers = first.answers.filter((rr) => rr.type !== TYPE.AAAA || !isExcluded(rr));
      done(kept({ ...first, ad: false, answers }));
      return;
    }
    if (first.ok && request.do && isSigned(first)) {
      done(answeredAsIs(first));
      return;
    }
    askIpv4({ ...request, qtype: TYPE.A }, (second) => {
      const made = second.ok ? synthesized(first, second, settings.prefixes) : undefined;
      if (made === undefined) done(kept(withoutExcluded(first)));
      else {
        onSynthesis();
        done(kept(made));
      }
    });
  }

  function withoutExcluded(first: ForwardAnswer): ForwardAnswer {
    if (!first.ok || !first.answers.some(({ type }) => type === TYPE.AAAA)) return first;
    return { ...first, ad: false, answers: first.answers.filter(({ type }) => type !== TYPE.AAAA) };
  }

  /** The name of a translated address is an alias of the name of the address itself (RFC 6147 5.3.1). */
  function askReverse(request: ForwardRequest, done: (answer: ForwardAnswer) => void): void {
    const ipv4 = translatedAddress(settings, request.qname);
    if (ipv4 === undefined) {
      ask(request, done);
      return;
    }
    if (!isClient(request)) {
      ask(request, (answer) => done(answeredAsIs(answer)));
      return;
    }
    const target = wireName(`${ipv4.toReversed().join(".")}.in-addr.arpa`);
    const link: Rr = {
      owner: request.qname,
      type: TYPE.CNAME,
      class: CLASS_IN,
      ttl: OWN_TTL_SECONDS,
      data: target,
    };
    askElsewhere({ ...request, qname: target }, (answer) => {
      if (answer.ok) onSynthesis();
      if (!answer.ok) done(answer);
      // Records of our own may be behind it, but not everybody is led to them.
      else
        done(kept({ ...answer, ad: false, constant: false, answers: [link, ...answer.answers] }));
    });
  }

  return (request, done) => {
    const { qtype, qclass } = request;
    if ((qtype !== TYPE.AAAA && qtype !== TYPE.PTR) || qclass !== CLASS_IN) ask(request, done);
    else if (qtype === TYPE.PTR) askReverse(request, done);
    else if (equalNames(request.qname, IPV4ONLY) && isWanted(request) && isClient(request)) {
      onSynthesis();
      done(ownPrefixes(request, settings.prefixes));
    } else askAaaa(request, done);
  };
}

function clientCheck({ clients }: Dns64Settings): (client: Client) => boolean {
  return ({ address }) => {
    if (clients.length === 0) return true;
    const octets = parseAddress(address.split("%", 1)[0]!);
    return octets !== undefined && clients.some((each) => covers(each, unmapped(octets)));
  };
}

/** The IPv4 address in the address that this is the reverse name of; undefined if it is under no prefix. */
function translatedAddress({ prefixes }: Dns64Settings, qname: Uint8Array): Uint8Array | undefined {
  const address = parseReverseName(qname);
  if (address?.length !== 16) return undefined;
  return prefixes.map((prefix) => extract(prefix, address)).find((each) => each !== undefined);
}

/** As LocalSettings.isTranslated has it. */
export function translatedNames(
  settings: Dns64Settings,
): (qname: Uint8Array, client: Client) => boolean | undefined {
  const isClient = clientCheck(settings);
  return (qname, client) =>
    translatedAddress(settings, qname) === undefined ? undefined : isClient(client);
}

/** A client that sets DO and CD checks signatures itself: it must get what is signed (RFC 6147 5.5). */
function isWanted(request: ForwardRequest): boolean {
  return !(request.do && request.cd);
}

function isSigned({ answers, authority }: Answered): boolean {
  return [...answers, ...authority].some(({ type }) => type === RRSIG);
}

/** The A records as AAAA records behind their chain; undefined if there is none that may be translated. */
function synthesized(
  first: ForwardAnswer,
  second: Answered,
  prefixes: readonly Network[],
): Answered | undefined {
  let found = false;
  const maxTtlSeconds = denialTtlSeconds(first);
  const answers: Rr[] = [];
  for (const rr of second.answers) {
    if (rr.type === TYPE.A) {
      const ttl = Math.min(rr.ttl, maxTtlSeconds);
      for (const prefix of prefixes)
        if (mayEmbed(prefix, rr.data)) {
          answers.push({ ...rr, type: TYPE.AAAA, ttl, data: embed(prefix, rr.data) });
          found = true;
        }
    } else if (rr.type !== RRSIG) answers.push(rr);
  }
  if (!found) return undefined;
  return {
    ...second,
    ad: false,
    answers,
    cacheableSeconds: first.ok
      ? Math.min(second.cacheableSeconds, first.cacheableSeconds, maxTtlSeconds)
      : 0,
    spentMs: first.ok ? Math.max(first.spentMs, second.spentMs) : second.spentMs,
    fromCache: first.ok && first.fromCache && second.fromCache,
  };
}

/** How long it is known that there is no AAAA record. */
function denialTtlSeconds(first: ForwardAnswer): number {
  const soa = first.ok ? first.authority.find(({ type }) => type === TYPE.SOA) : undefined;
  if (soa === undefined) return TTL_WITHOUT_SOA_SECONDS;
  return Math.min(soa.ttl, readUint32(soa.data, soa.data.length - 4));
}

function ownPrefixes({ qname }: ForwardRequest, prefixes: readonly Network[]): Answered {
  const answers = prefixes.flatMap((prefix) =>
    ipv4OnlyAddresses.map((ipv4): Rr => ({
      owner: qname,
      type: TYPE.AAAA,
      class: CLASS_IN,
      ttl: OWN_TTL_SECONDS,
      data: embed(prefix, ipv4),
    })),
  );
  return madeHere(answers);
}

/** An answer that nobody was asked for. Not for workers: others may be told otherwise, and it is cheap to make. */
export function madeHere(answers: Rr[]): Answered {
  return { ...ownAnswer(answers, RCODE.NOERROR), constant: false };
}

function wireName(text: string): Uint8Array {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.error}`);
  return parsed.value;
}
