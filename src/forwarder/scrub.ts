/**
 * What of an upstream's reply belongs to the question. A forwarder trusts its upstream for the names it
 * asked about and for nothing else: only records on the chain from QNAME are used, whatever else the
 * message carries (RFC 5452 6; the cache poisonings known as MaginotDNS came from using more).
 */
import type { ParsedMessage } from "../dns/message.ts";
import { equalNames, isWithin } from "../dns/name.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../dns/rr.ts";

/** CNAME records followed in one answer (unbound 11, dnsmasq 10). */
export const MAX_CHAIN_LINKS = 10;

/** Types that only occur beside others: they prove what the answer says (RFC 4035 3.1). */
const RRSIG = 46;
const NSEC = 47;
const NSEC3 = 50;

export type Scrubbed = {
  /**
   * `answer`: records of the type asked for stand at the end of the chain. `partial`: the chain ends at a
   * name of which the reply says nothing more. `nodata` and `nxdomain` refer to the end of the chain
   * (RFC 2308 2, RFC 6604 3). `broken`: the chain is a loop or too long.
   */
  kind: "answer" | "partial" | "nodata" | "nxdomain" | "broken";
  answers: Rr[];
  authority: Rr[];
  /** The SOA of a denial, if it came with one whose zone holds the name. */
  soa: Rr | null;
  /** CNAME records on the chain. */
  links: number;
  /** Nothing but an OPT was left out: the message may be kept as it came. */
  untouched: boolean;
};

export type Asked = { qname: Uint8Array; qtype: number; qclass: number; do: boolean };

/** Sorts a NOERROR or NXDOMAIN reply. Records are kept in the order of the message. */
export function scrub(message: ParsedMessage, asked: Asked): Scrubbed {
  const { qtype, qclass } = asked;
  const all = message.answers;
  if (isPlainAnswer(message, asked))
    return {
      kind: "answer",
      answers: all,
      authority: [],
      soa: null,
      links: 0,
      untouched: message.authority.length === 0 && message.additional.length === 0,
    };
  const chain = followChain(all, asked);
  const { keep, owner, links } = chain;
  let { found } = chain;
  // A loop has no end, so it is found here as well.
  if (links > MAX_CHAIN_LINKS)
    return { kind: "broken", answers: [], authority: [], soa: null, links, untouched: false };
  const isDenied = (message.flags & 15) === RCODE.NXDOMAIN;
  if (isDenied && found && qtype !== TYPE.CNAME) {
    // What is denied and there at once counts as denied, as clients read it, who look at the RCODE alone.
    for (const rr of keep) if (equalNames(rr.owner, owner)) keep.delete(rr);
    found = false;
  }
  const answers = keep.size === all.length ? all : all.filter((rr) => keep.has(rr));
  const denied = !found;
  const authority: Rr[] = [];
  let soa: Rr | null = null;
  for (const rr of message.authority) {
    if (rr.class !== qclass) continue;
    if (denied && rr.type === TYPE.SOA && soa === null && isWithin(owner, rr.owner)) soa = rr;
    else if (!(asked.do && (rr.type === RRSIG || rr.type === NSEC || rr.type === NSEC3))) continue;
    authority.push(rr);
  }
  const kind = isDenied
    ? "nxdomain"
    : found
      ? "answer"
      : soa !== null || links === 0
        ? "nodata"
        : "partial";
  return {
    kind,
    answers,
    authority,
    soa,
    links,
    untouched:
      answers.length === all.length &&
      authority.length === message.authority.length &&
      message.additional.length === 0,
  };
}

/** What a name becomes by a DNAME above it (RFC 6672 2.2). */
function substituted(name: Uint8Array, { owner, data }: Rr): Uint8Array {
  const prefix = name.length - owner.length;
  const made = new Uint8Array(prefix + data.length);
  made.set(name.subarray(0, prefix));
  made.set(data, prefix);
  return made;
}

/** Records of the chain from QNAME and of its end, the name there, and whether the type asked for was found at it. */
type Chain = { keep: Set<Rr>; owner: Uint8Array; links: number; found: boolean };

/** Follows CNAMEs; one link more than MAX_CHAIN_LINKS ends it. */
function followChain(all: readonly Rr[], { qname, qtype, qclass, do: isSigned }: Asked): Chain {
  const keep = new Set<Rr>();
  let owner = qname;
  let links = 0;
  let found = false;
  for (;;) {
    let next: Uint8Array | null = null;
    let link: Uint8Array | null = null;
    let above: Rr[] | null = null;
    for (const rr of all) {
      if (rr.class !== qclass) continue;
      if (rr.owner !== owner && !equalNames(rr.owner, owner)) {
        if (rr.type === TYPE.DNAME && isWithin(owner, rr.owner)) (above ??= []).push(rr);
        continue;
      }
      if (rr.type === TYPE.CNAME) link ??= rr.data;
      if (rr.type === qtype) found = true;
      else if (rr.type === TYPE.CNAME) next ??= rr.data;
      else if (!(isSigned && rr.type === RRSIG)) continue;
      keep.add(rr);
    }
    // A DNAME stands above the name that its CNAME is made for (RFC 6672 3.1); without it, it speaks of others.
    if (above !== null && link !== null)
      for (const dname of above) if (equalNames(link, substituted(owner, dname))) keep.add(dname);
    if (found || next === null || links > MAX_CHAIN_LINKS) return { keep, owner, links, found };
    links++;
    owner = next;
  }
}

/**
 * The same for a reply that is passed on and not kept (ANY, other classes, without RD), of any RCODE:
 * what it says of QNAME, for ordinary questions of its chain as well, and of the zones around it. The
 * additional section is left out, so that nobody behind us takes addresses of strangers from it.
 */
export function withoutStrangers(
  message: ParsedMessage,
  { qname, qtype, qclass }: Pick<Asked, "qname" | "qtype" | "qclass">,
): Pick<ParsedMessage, "flags" | "answers" | "authority" | "additional" | "opt"> {
  const names = [qname];
  const isOrdinary = qclass === CLASS_IN && qtype !== TYPE.ANY && qtype !== TYPE.CNAME;
  for (let links = 0; isOrdinary && links < MAX_CHAIN_LINKS; links++) {
    const link = message.answers.find(
      ({ type, owner }) => type === TYPE.CNAME && equalNames(owner, names.at(-1)!),
    );
    if (link === undefined) break;
    names.push(link.data);
  }
  const isAbove = ({ owner }: Rr): boolean => names.some((name) => isWithin(name, owner));
  const isProof = ({ type }: Rr): boolean => type === RRSIG || type === NSEC || type === NSEC3;
  return {
    flags: message.flags,
    answers: message.answers.filter(
      (rr) =>
        names.some((name) => equalNames(name, rr.owner)) || (rr.type === TYPE.DNAME && isAbove(rr)),
    ),
    authority: message.authority.filter((rr) => isAbove(rr) || isProof(rr)),
    additional: [],
    opt: message.opt,
  };
}

/** The usual case, told without further bookkeeping: NOERROR and nothing but the RRset asked for. */
function isPlainAnswer({ flags, answers }: ParsedMessage, asked: Asked): boolean {
  if ((flags & 15) !== RCODE.NOERROR || asked.do || answers.length === 0) return false;
  for (const { type, class: rrClass, owner } of answers)
    if (type !== asked.qtype || rrClass !== asked.qclass || !equalNames(owner, asked.qname))
      return false;
  return true;
}
