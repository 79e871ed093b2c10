/** Filters that look at one answer and change its records. Each gives back the very answer if it has nothing to do. */
import { covers, type Network } from "../../address.ts";
import { EDE } from "../../dns/edns.ts";
import { readUint16, readUint32 } from "../../dns/message.ts";
import { RCODE, TYPE, type Rr } from "../../dns/rr.ts";
import type { Answered } from "../reply.ts";
import type { Alias } from "./settings.ts";

const RRSIG = 46;

const isAddress = ({ type }: Rr): boolean => type === TYPE.A || type === TYPE.AAAA;

/** Does one of these records hold an address of the networks? */
export function holdsAddress(records: readonly Rr[], networks: readonly Network[]): boolean {
  return records.some((rr) => isAddress(rr) && networks.some((each) => covers(each, rr.data)));
}

/** The same answer without any record; its code says why to who wants to know. */
export function emptied(answer: Answered, rcode: number, code: number, text: string): Answered {
  return {
    ...answer,
    rcode,
    aa: false,
    ad: false,
    tc: false,
    answers: [],
    authority: [],
    additional: [],
    ede: [{ code, text }],
  };
}

/** NXDOMAIN for an answer with one of these addresses (dnsmasq `bogus-nxdomain`). */
export function withoutBogus(answer: Answered, networks: readonly Network[]): Answered {
  if (answer.rcode === RCODE.NXDOMAIN || !holdsAddress(answer.answers, networks)) return answer;
  return emptied(answer, RCODE.NXDOMAIN, EDE.BLOCKED, "bogus address");
}

/** Rewrites IPv4 addresses (dnsmasq `alias`). */
export function withAliases(answer: Answered, aliases: readonly Alias[]): Answered {
  let changed = false;
  const rewrite = (rr: Rr): Rr => {
    if (rr.type !== TYPE.A) return rr;
    const from = readUint32(rr.data, 0);
    const alias = aliases.find(({ first, last }) => from >= first && from <= last);
    if (alias === undefined) return rr;
    changed = true;
    const to = (from & ~alias.mask) | (alias.to & alias.mask);
    return { ...rr, data: new Uint8Array([to >>> 24, to >>> 16, to >>> 8, to]) };
  };
  const answers = answer.answers.map(rewrite);
  const additional = answer.additional.map(rewrite);
  return changed ? { ...answer, aa: false, ad: false, answers, additional } : answer;
}

/** What is left of an answer to ANY that is cut down: enough for mail servers that still ask so (RFC 8482 4.3). */
const keptOfAny = new Set<number>([TYPE.A, TYPE.AAAA, TYPE.MX, TYPE.CNAME]);

/** Leaves out records of these types and their signatures (dnsmasq `filter-rr`). */
export function withoutTypes(
  answer: Answered,
  qtype: number,
  types: ReadonlySet<number>,
): Answered {
  const ofAny = qtype === TYPE.ANY && types.has(TYPE.ANY);
  const answers = answer.answers.filter(({ type, data }) => {
    const about = type === RRSIG ? readUint16(data, 0) : type;
    return !types.has(about) && !(ofAny && !keptOfAny.has(about));
  });
  if (answers.length === answer.answers.length) return answer;
  return { ...answer, ad: false, answers, ede: [{ code: EDE.FILTERED, text: "" }] };
}
