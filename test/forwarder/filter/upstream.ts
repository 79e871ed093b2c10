/** Servers with fixed answers behind filters; dns-packet writes what comes in and reads what goes out. */
import packet, { type Answer, type DecodedPacket } from "dns-packet";
import type { Forward, ForwardAnswer, ForwardRequest } from "../../../src/dns/answer.ts";
import { encodeMessage } from "../../../src/dns/encode.ts";
import { parseMessage } from "../../../src/dns/message.ts";
import { formatName } from "../../../src/dns/name.ts";
import { rcodeName } from "../../../src/dns/presentation.ts";
import type { Rr } from "../../../src/dns/rr.ts";
import { createFilter } from "../../../src/forwarder/filter/filter.ts";
import {
  createFilterCounts,
  filterDefaults,
  type FilterCounts,
  type FilterSettings,
} from "../../../src/forwarder/filter/settings.ts";
import { wireName } from "../world.ts";

/** What the servers say to one question. */
export type Said = {
  rcode?: number;
  answers?: readonly Answer[];
  authorities?: readonly Answer[];
  additionals?: readonly Answer[];
  cacheableSeconds?: number;
  /** No server has answered. */
  failed?: boolean;
};

export type Asking = Partial<Omit<ForwardRequest, "qname" | "qtype">>;

/** The answers of `says` (keys such as "www.test A") behind filters. */
export function behindFilters(says: Readonly<Record<string, Said>>, over: Partial<FilterSettings>) {
  const asked: string[] = [];
  const lines: string[] = [];
  const counts = createFilterCounts();
  let nowMs = 0;
  const wrap = createFilter(
    { ...filterDefaults, ...over },
    {
      counts,
      clock: { monotonicMs: () => nowMs },
      log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    },
  );
  let spoken: Pick<Rr, "type" | "data">[] | undefined;
  const asking: Forward = ({ qname, qtype }, done) => {
    const question = `${nameOf(qname)} ${typeNames.get(qtype) ?? qtype}`;
    asked.push(question);
    const answer = answerOf(says[question] ?? { rcode: 3 });
    const answers = spoken?.map((rr): Rr => ({ owner: qname, class: 1, ttl: 60, ...rr }));
    done(answer.ok && answers !== undefined ? { ...answer, rcode: 0, answers } : answer);
  };
  const forward = wrap(asking, asking);
  return {
    asked,
    lines,
    /** Those that are not zero. */
    counts: (): Partial<FilterCounts> =>
      Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    pass: (ms: number) => (nowMs += ms),
    isBare: forward === asking,
    /** The same to a question that is answered with these records. */
    change(question: string, records: Pick<Rr, "type" | "data">[]): ForwardAnswer {
      spoken = records;
      return this.ask(question);
    },
    /** The answer to a question such as "www.test A". */
    ask(question: string, over: Asking = {}): ForwardAnswer {
      const [name = "", type = ""] = question.split(" ");
      const qtype = [...typeNames].find(([, word]) => word === type)?.[0] ?? Number(type);
      const request: ForwardRequest = {
        qname: wireName(name),
        qtype,
        qclass: 1,
        rd: true,
        cd: false,
        ad: false,
        do: false,
        edns: null,
        client: { address: "192.0.2.9", port: 5000, transport: "udp" },
        ...over,
      };
      const given: ForwardAnswer[] = [];
      forward(request, (answer) => given.push(answer));
      if (given.length !== 1) throw new Error(`${question}: ${given.length} answers`);
      return given[0]!;
    },
  };
}

const typeNames = new Map([
  [1, "A"],
  [5, "CNAME"],
  [6, "SOA"],
  [12, "PTR"],
  [15, "MX"],
  [16, "TXT"],
  [28, "AAAA"],
  [33, "SRV"],
  [65, "HTTPS"],
  [255, "ANY"],
]);

function nameOf(qname: Uint8Array): string {
  return formatName(qname).slice(0, -1);
}

function answerOf({
  failed = false,
  rcode = 0,
  cacheableSeconds = 60,
  ...sections
}: Said): ForwardAnswer {
  if (failed) return { ok: false, reason: "failed" };
  const { answers = [], authorities = [], additionals = [] } = sections;
  const parsed = parseMessage(
    packet.encode({
      type: "response",
      questions: [],
      answers: [...answers],
      authorities: [...authorities],
      additionals: [...additionals],
    }),
  );
  if (!parsed.ok) throw new Error(parsed.error);
  return {
    ok: true,
    rcode,
    aa: false,
    ad: true,
    ra: true,
    answers: parsed.value.answers,
    authority: parsed.value.authority,
    additional: parsed.value.additional,
    cacheableSeconds,
    spentMs: 0,
    fromCache: true,
    edns: null,
    tc: false,
  };
}

/** The answer in words: "NXDOMAIN", "NODATA", "www.test 60 A 192.0.2.1, ...". */
export function inWords(answer: ForwardAnswer): string {
  if (!answer.ok) return answer.reason;
  const records = decoded(answer).answers ?? [];
  const words = records.map((rr) => {
    const { name, ttl, type, data } = rr as Answer & { ttl: number; data: unknown };
    return `${name} ${ttl} ${type} ${typeof data === "string" ? data : JSON.stringify(data)}`;
  });
  if (answer.rcode !== 0) words.unshift(rcodeName(answer.rcode));
  return words.join(", ") || "NODATA";
}

/** The answer as dns-packet reads it. */
export function decoded(answer: Extract<ForwardAnswer, { ok: true }>): DecodedPacket {
  const { answers, authority, additional, rcode } = answer;
  const message = { id: 1, flags: 0x8180 | rcode, question: new Uint8Array(0) };
  const wire = encodeMessage(
    { ...message, answers, authority, additional },
    { compress: true, opt: null },
  );
  return packet.decode(Buffer.from(wire));
}
