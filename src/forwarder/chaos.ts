/**
 * Counters as TXT records of class CHAOS, in the shape of dnsmasq's, for the exporters that people have:
 * `cachesize.bind`, `insertions.bind`, `evictions.bind`, `hits.bind`, `misses.bind`, `auth.bind`,
 * `servers.bind`, `version.bind`.
 */
import type { Forward } from "../dns/answer.ts";
import { foldName, formatName, isWithin, parseName } from "../dns/name.ts";
import { RCODE, TYPE, type Rr } from "../dns/rr.ts";
import { ownAnswer } from "./local/answers.ts";
import { ENTRY_OCTETS } from "./settings.ts";
import type { ForwarderStats } from "./stats.ts";

/** RFC 1035 section 3.2.4. */
const CLASS_CHAOS = 3;
/** Servers that are told: all that a group may have; a text has at most 255 octets. */
const SERVERS_MAX = 64;
const TEXT_OCTETS_MAX = 255;

/** What is counted, since the start. */
export type ChaosFigures = {
  version: string;
  forwarder: Pick<ForwarderStats, "cache" | "servers">;
  /** Questions that the answer table has answered, and those about names of the catalog. */
  tableHits: number;
  catalogAnswers: number;
};

/** Names below these are never forwarded in this class; others are, as dnsmasq does. */
const zones = ["bind", "server"].map((name) => {
  const parsed = parseName(name);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
});

/** The same forwarder; it answers such questions itself while `isOn`. */
export function withChaos(
  forward: Forward,
  isOn: () => boolean,
  figures: () => ChaosFigures,
): Forward {
  return (request, done) => {
    const { qclass, qname, qtype } = request;
    if (qclass !== CLASS_CHAOS || !zones.some((zone) => isWithin(qname, zone)) || !isOn()) {
      forward(request, done);
      return;
    }
    const isForText = qtype === TYPE.TXT || qtype === TYPE.ANY;
    const texts = isForText ? textsOf(formatName(foldName(qname)), figures()) : undefined;
    request.trace?.add({ step: "local", source: "counters" });
    if (texts === undefined) {
      done({ ...ownAnswer([], RCODE.NOTIMP), aa: false, constant: false });
      return;
    }
    const record: Rr = {
      owner: qname,
      type: TYPE.TXT,
      class: CLASS_CHAOS,
      ttl: 0,
      data: stringsOf(texts),
    };
    done({ ...ownAnswer([record], RCODE.NOERROR), constant: false });
  };
}

function textsOf(name: string, figures: ChaosFigures): readonly string[] | undefined {
  const { cache, servers } = figures.forwarder;
  switch (name) {
    case "version.bind.":
      return [`waypost-${figures.version}`];
    case "cachesize.bind.":
      return [String(Math.floor((cache?.capacityOctets ?? 0) / ENTRY_OCTETS))];
    case "insertions.bind.":
      return [String(cache?.insertions ?? 0)];
    case "evictions.bind.":
      return [String(cache?.evictions.capacity ?? 0)];
    case "hits.bind.":
      return [String(figures.tableHits + (cache?.hits ?? 0))];
    case "misses.bind.":
      return [String(cache?.misses ?? 0)];
    case "auth.bind.":
      return [String(figures.catalogAnswers)];
    case "servers.bind.":
      return servers.slice(0, SERVERS_MAX).map(({ address: { address, port }, counts }) => {
        const { udp, tcp, timeouts, errors, errorRcodes } = counts;
        return `${address}#${port} ${udp + tcp} ${timeouts + errors + errorRcodes}`;
      });
    default:
      return undefined;
  }
}

function stringsOf(texts: readonly string[]): Uint8Array {
  const octets: number[] = [];
  // No text at all is one that is empty (RFC 1035 3.3.14 wants at least one).
  for (const text of texts.length > 0 ? texts : [""]) {
    const said = text.slice(0, TEXT_OCTETS_MAX);
    octets.push(said.length, ...Array.from(said, (character) => character.charCodeAt(0)));
  }
  return Uint8Array.from(octets);
}
