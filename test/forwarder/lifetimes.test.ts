// TTLs, limits and denials against rules that are written down once more, as slowly as can be.
import fc from "fast-check";
import t from "tap";
import type { ForwardAnswer } from "../../src/dns/answer.ts";
import { TYPE } from "../../src/dns/rr.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { a, createWorld, inWords, reply, soa, type OneGroup, type Question } from "./world.ts";

/** What the server says from now on, to every question. */
type Said =
  | { kind: "answer"; ttls: number[] }
  /** `soa`: TTL and MINIMUM; null: none came. */
  | { kind: "nodata" | "nxdomain"; soa: [number, number] | null };

type Limits = { min: number; max: number; cap: number; bare: number };

/** What is known since a moment: seconds for which it may be told, and the TTLs that it is told with. */
type Known = { atMs: number; seconds: number; word: string; ttls: number[]; soaTtl: number | null };

const anyTtl = fc.oneof(
  fc.constantFrom(0, 1, 2, 300, 86_400, 86_401, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  fc.integer({ min: 0, max: 20 }),
);

const anySaid = fc.oneof(
  fc.record({
    kind: fc.constant("answer" as const),
    ttls: fc.array(anyTtl, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constantFrom("nodata" as const, "nxdomain" as const),
    soa: fc.option(fc.tuple(anyTtl, anyTtl)),
  }),
);

const anyLimits = fc.record({
  min: fc.constantFrom(0, 0, 3),
  max: fc.constantFrom(5, 86_400),
  cap: fc.constantFrom(0, 4, 300),
  bare: fc.constantFrom(0, 2, 600),
});

const anyStep = fc.record({
  said: anySaid,
  name: fc.constantFrom("one.test", "two.test"),
  type: fc.constantFrom("A", "AAAA"),
  pauseMs: fc.oneof(
    fc.integer({ min: 0, max: 3000 }),
    fc.integer({ min: 0, max: 20_000 }),
    fc.constantFrom(999, 1000, 1001, 300_000, 86_400_000, 2 ** 31 * 1000),
  ),
});

/** RFC 2181 section 8: the top bit makes it 0. Then it is brought within the limits. */
function told(ttl: number, { min, max }: Limits): number {
  const meant = ttl >= 2 ** 31 ? 0 : ttl;
  if (meant < min) return min;
  return meant > max ? max : meant;
}

/** RFC 2308 section 5: the smaller of the SOA's TTL and MINIMUM, and never raised. */
function asKnown(said: Said, limits: Limits, atMs: number): Known {
  if (said.kind === "answer") {
    const seconds = Math.min(...said.ttls.map((ttl) => told(ttl, limits)));
    // RFC 2181 section 5.2: one RRset, one TTL.
    return { atMs, seconds, word: "A", ttls: said.ttls.map(() => seconds), soaTtl: null };
  }
  const word = said.kind === "nodata" ? "NODATA" : "NXDOMAIN";
  const meant =
    said.soa === null
      ? limits.bare
      : Math.min(...said.soa.map((ttl) => told(ttl, { ...limits, min: 0 })));
  const seconds = Math.min(meant, limits.cap);
  return { atMs, seconds, word, ttls: [], soaTtl: said.soa === null ? null : seconds };
}

function wireOf(said: Said, question: Question): Buffer {
  if (said.kind !== "answer") {
    const authorities = said.soa === null ? [] : [soa("test", ...said.soa)];
    return reply(question, { rcode: said.kind === "nodata" ? 0 : 3, authorities });
  }
  const answers = said.ttls.map((ttl, i) =>
    question.type === "A"
      ? a(question.name, `198.51.100.${i}`, ttl)
      : {
          type: "AAAA" as const,
          class: "IN" as const,
          name: question.name,
          ttl,
          data: `2001:db8::${i + 1}`,
        },
  );
  return reply(question, { answers });
}

/** In the words of `Known`, and the TTLs that the client sees. */
function shown(answer: ForwardAnswer): Omit<Known, "atMs" | "seconds"> {
  if (!answer.ok) throw new Error(answer.reason);
  const found = answer.authority.find(({ type }) => type === TYPE.SOA);
  const word = answer.answers.length > 0 ? "A" : answer.rcode === 3 ? "NXDOMAIN" : "NODATA";
  return { word, ttls: answer.answers.map(({ ttl }) => ttl), soaTtl: found?.ttl ?? null };
}

t.test("what is kept, for how long, and with which TTLs it is told", async (t) => {
  const kinds = new Set<string>();
  const property = fc.property(
    anyLimits,
    fc.array(anyStep, { minLength: 1, maxLength: 30 }),
    (limits, steps) => {
      const settings: OneGroup = {
        minTtlSeconds: limits.min,
        maxTtlSeconds: limits.max,
        negativeTtlCapSeconds: limits.cap,
        bareDenialSeconds: limits.bare,
        prefetch: false,
        stale: { ...groupDefaults.stale, enabled: false },
      };
      const world = createWorld(1, settings);
      const ofName = new Map<string, Known>();
      const ofType = new Map<string, Known>();
      for (const { said, name, type, pauseMs } of steps) {
        world.pass(pauseMs);
        world.server(1, (question) => [{ wire: wireOf(said, question) }]);
        const question = `${name} ${type}`;
        const isFresh = (known: Known | undefined): boolean =>
          known !== undefined && world.nowMs() < known.atMs + known.seconds * 1000;
        const kept = [ofType.get(question), ofName.get(name)].find(isFresh);
        const before = world.asked.length;
        const askedMs = world.nowMs();
        const given = world.ask(name, type);
        world.pass(1);
        if (given.answer === null || !given.answer.ok) throw new Error(inWords(given));
        const isAsked = world.asked.length > before;
        if (isAsked !== (kept === undefined))
          throw new Error(`${question} was ${isAsked ? "asked again" : "not asked"}`);
        const known = kept ?? asKnown(said, limits, world.nowMs());
        if (kept === undefined && known.seconds > 0) {
          if (known.word === "NXDOMAIN") {
            ofType.delete(question);
            ofName.set(name, known);
          } else {
            ofType.set(question, known);
            if (known.word === "A") ofName.delete(name);
          }
        }
        const ageSeconds = kept === undefined ? 0 : Math.floor((askedMs - known.atMs) / 1000);
        const expected = {
          word: known.word,
          ttls: known.ttls.map((ttl) => ttl - ageSeconds),
          soaTtl: known.soaTtl === null ? null : known.soaTtl - ageSeconds,
        };
        const got = shown(given.answer);
        if (JSON.stringify(got) !== JSON.stringify(expected))
          throw new Error(`${question}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`);
        const leftMs = known.atMs + known.seconds * 1000 - askedMs;
        if (given.answer.cacheableSeconds * 1000 > Math.max(0, leftMs))
          throw new Error(`${question}: workers would keep it too long`);
        kinds.add(`${known.word} ${isAsked ? "asked" : "kept"}`);
      }
    },
  );
  const seed = Number(process.env["LIFETIMES_SEED"] ?? 5);
  fc.assert(property, { numRuns: Number(process.env["LIFETIMES_RUNS"] ?? 1500), seed });
  t.equal(kinds.size, 6, [...kinds].join(", "));
});
