/** Questions with an explanation, the forwarder's cache and its servers, as JSON for people and programs. */
import { fail, ok, type Result } from "../base.ts";
import type { LoadedConfig } from "../config.ts";
import type { Resolve } from "../dns/answer.ts";
import type { DnsFront } from "../dns/front.ts";
import { parseMessage } from "../dns/message.ts";
import { formatName, parseName } from "../dns/name.ts";
import { createPeek } from "../dns/peek.ts";
import { formatData, parseType, rcodeName, typeName } from "../dns/presentation.ts";
import { encodeQuestion } from "../dns/question.ts";
import type { Resolver } from "../dns/resolve.ts";
import { FLAG, TYPE, type Rr } from "../dns/rr.ts";
import { Trace, type Note } from "../dns/trace.ts";
import { noteText, sourceOf } from "../dns/trace-text.ts";
import { parseKey, type Selection } from "../forwarder/key.ts";
import type { Forwarder } from "../forwarder/forward.ts";
import type { AskedDns, CacheSelection, DnsInspection } from "../http/dns.ts";
import type { LocalDataFigures } from "../metrics/family.ts";
import type { Clock, Random } from "../ports.ts";
import { namesByGroup } from "./zone-names.ts";

/** Header bits in the order in which dig shows them. */
const FLAG_NAMES = ["qr", "aa", "tc", "rd", "ra", "ad", "cd"] as const;
const FLAG_BITS = [FLAG.QR, FLAG.AA, FLAG.TC, FLAG.RD, FLAG.RA, FLAG.AD, FLAG.CD];

/** See DnsInspection. */
export function createDnsInspection(deps: {
  dns: {
    resolver: Pick<Resolver, "flush" | "resolve">;
    udp: Pick<DnsFront, "memory" | "clock">;
  };
  forwarder: Pick<Forwarder, "askedBy" | "flush" | "list" | "stats">;
  now: () => LoadedConfig;
  localData: () => LocalDataFigures;
  clock: Clock;
  random: Pick<Random, "uint32">;
}): DnsInspection {
  const { dns, forwarder, localData, clock, random, now } = deps;
  const { resolver, udp } = dns;
  const peek = createPeek(udp.memory, udp.clock, () => random.uint32());
  return {
    async query(asked) {
      const parts = parseAsked(asked);
      if (!parts.ok) return parts;
      const query = encodeQuestion(parts.value);
      const startMs = clock.monotonicMs();
      const trace = new Trace();
      const prepared = asked.transport === "udp" ? peek(query) : null;
      if (asked.transport === "udp") trace.add({ step: "table", hit: prepared !== null });
      const preparedMs = clock.monotonicMs() - startMs;
      const computed = await resolved(resolver.resolve, query, asked, trace);
      const wire = prepared ?? computed;
      if (wire === null) return fail("the question is one that gets no answer");
      const elapsedMs = prepared === null ? clock.monotonicMs() - startMs : preparedMs;
      return describe(wire, { asked, trace, elapsedMs });
    },
    entries(selection) {
      const wanted = parseSelection(selection);
      return wanted.ok ? ok(listed(forwarder, wanted.value, clock)) : wanted;
    },
    async flush(selection) {
      const wanted = parseSelection(selection);
      if (!wanted.ok) return wanted;
      const slices = forwarder.flush(wanted.value);
      for (;;) {
        const { done, value } = slices.next();
        if (done === true) {
          resolver.flush(wanted.value);
          return ok(value);
        }
        // DNS and other requests go first.
        // oxlint-disable-next-line no-await-in-loop -- one slice after the other
        await new Promise<void>((resume) => setImmediate(resume));
      }
    },
    local: () => {
      const { answers, searchDomains, ...figures } = localData();
      return {
        Names: figures.names,
        BlockedNames: figures.blockedNames,
        BlockedOctets: figures.blockedOctets,
        Answers: answers,
        ChainsFollowed: figures.followed,
        ChainsBroken: figures.brokenChains,
        SearchDomains: searchDomains.map(({ domain, denied, missed }) => ({
          Domain: domain,
          Denied: denied,
          Missed: missed,
        })),
      };
    },
    upstreams: () => {
      const nowMs = clock.monotonicMs();
      const groups = forwarder.askedBy();
      const askedFor = namesByGroup(now());
      const wallOf = (ms: number) => wallText(clock.wallMs() - nowMs + ms);
      return forwarder.stats().servers.map((server) => {
        const { label, standing, srttMs, counts, lastError } = server;
        const zones = askedFor(groups.get(server) ?? []);
        return {
          Address: label,
          Zones: zones.names,
          ZoneCount: zones.count,
          State: standing,
          RttMs: srttMs < 0 ? null : Math.round(srttMs * 1000) / 1000,
          Queries: counts.udp + counts.tcp,
          QueriesTcp: counts.tcp,
          Replies: counts.replies,
          Failures: counts.timeouts + counts.errors + counts.errorRcodes + counts.malformed,
          Timeouts: counts.timeouts,
          Errors: counts.errors,
          ErrorReplies: counts.errorRcodes,
          Malformed: counts.malformed,
          Truncated: counts.truncated,
          ConsecutiveFailures: server.consecutiveFailures,
          LastError: lastError,
          LastErrorTime: lastError === "" ? null : wallOf(server.lastErrorAtMs),
          LastHeardTime: server.lastHeardMs === -Infinity ? null : wallOf(server.lastHeardMs),
          LastChangeTime: server.changedAtMs === -Infinity ? null : wallOf(server.changedAtMs),
        };
      });
    },
  };
}

function wallText(ms: number): string {
  return new Date(ms).toISOString();
}

function parseAsked({ name, type, ...rest }: AskedDns) {
  if (name === "") return fail("name: missing");
  const qname = parseName(name);
  if (!qname.ok) return fail(`name: ${qname.error}`);
  const qtype = parseType(type);
  if (qtype === undefined || qtype === TYPE.OPT || qtype === 0)
    return fail(`type: ${JSON.stringify(type)} is no type of question`);
  return ok({ qname: qname.value, qtype, ...rest });
}

function resolved(
  resolve: Resolve,
  query: Uint8Array,
  { clientAddress, transport }: AskedDns,
  trace: Trace,
): Promise<Uint8Array | null> {
  const address = clientAddress === "" ? "127.0.0.1" : clientAddress;
  const client = { address, port: 0, transport };
  return new Promise((done) => resolve({ query, client, trace }, done));
}

function describe(
  wire: Uint8Array,
  { asked, trace, elapsedMs }: { asked: AskedDns; trace: Trace; elapsedMs: number },
): Result<Record<string, unknown>, string> {
  const parsed = parseMessage(wire);
  if (!parsed.ok) return fail(`the answer cannot be read: ${parsed.error}`);
  const { flags, opt, answers, authority, additional } = parsed.value;
  const rcode = (flags & 15) | ((opt?.extendedRcode ?? 0) << 4);
  return ok({
    Name: asked.name,
    Type: asked.type.toUpperCase(),
    Transport: asked.transport,
    Source: sourceOf(trace.notes),
    ElapsedMs: Math.round(elapsedMs * 1000) / 1000,
    Rcode: rcodeName(rcode),
    Flags: FLAG_NAMES.filter((_, i) => (flags & FLAG_BITS[i]!) !== 0),
    Octets: wire.length,
    Answer: answers.map(shownRecord),
    Authority: authority.map(shownRecord),
    Additional: additional.map(shownRecord),
    Steps: trace.notes.map(shownNote),
    StepsLeftOut: trace.omitted,
  });
}

function shownRecord(rr: Rr): Record<string, unknown> {
  return {
    Name: formatName(rr.owner),
    TTL: rr.ttl,
    Class: rr.class === 1 ? "IN" : `CLASS${rr.class}`,
    Type: typeName(rr.type),
    Data: formatData(rr),
  };
}

/** Its members with a capital, as everywhere in the API, and its sentence. */
function shownNote(note: Note): Record<string, unknown> {
  const members = Object.entries(note).map(([name, value]) => [
    name[0]!.toUpperCase() + name.slice(1),
    value,
  ]);
  return { ...Object.fromEntries(members), Text: noteText(note) };
}

function parseSelection({ name, subtree, type }: CacheSelection): Result<Selection, string> {
  const parsed = name === "" ? undefined : parseName(name);
  if (parsed?.ok === false) return fail(`name: ${parsed.error}`);
  const number = type === "" ? null : parseType(type);
  if (number === undefined) return fail(`type: ${JSON.stringify(type)} is no type of record`);
  return ok({ name: parsed?.value ?? null, subtree, type: number });
}

function* listed(
  forwarder: Pick<Forwarder, "list">,
  wanted: Selection,
  clock: Clock,
): Iterable<Record<string, unknown> | undefined> {
  for (const found of forwarder.list(wanted)) {
    if (found === undefined) {
      yield undefined;
      continue;
    }
    const { key, entry } = found;
    const { name, type, do: ok, cd } = parseKey(key);
    const nowMs = clock.monotonicMs();
    const rcode = entry.wire[3]! & 15;
    yield {
      Name: formatName(name),
      // A denial of the name is one of all types.
      Type: type === 0 ? "ANY" : typeName(type),
      Rcode: rcodeName(rcode),
      Denial: entry.denialSeconds >= 0,
      TTL: Math.max(0, Math.floor((entry.expiresAtMs - nowMs) / 1000)),
      Age: Math.floor((nowMs - entry.storedAtMs) / 1000),
      Stale: nowMs >= entry.expiresAtMs,
      Octets: entry.wire.length,
      Hits: entry.hits,
      Server: entry.server,
      DNSSEC: ok,
      CheckingDisabled: cd,
    };
  }
}
