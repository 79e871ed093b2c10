/** Token buckets of prefixes against a slow model that counts tokens one by one. */
import fc from "fast-check";
import t from "tap";
import { readSourceText } from "../../src/address.ts";
import { comparable } from "../../src/dns/gate.ts";
import { createBuckets, RATE_OCTETS, take, takeForSize } from "../../src/dns/rate.ts";

function keyOf(address: string): Int32Array {
  const words = new Int32Array(4);
  if (!readSourceText(address, words)) throw new Error(address);
  return words.map(comparable);
}

const buckets = () => createBuckets(new SharedArrayBuffer(RATE_OCTETS), 0);

/** What the documentation says: tokens that come back at `rate` times the multiplier, 0.5 s of them in stock, at least 10. */
function createModel(rate: number) {
  const levels = {
    4: [32, 24, 20, 18].map((bits, i) => ({ bits, times: [1, 32, 256, 768][i]! })),
    6: [64, 56, 48, 32].map((bits, i) => ({ bits, times: [1, 2, 4, 64][i]! })),
  };
  const stock = new Map<string, { tokens: number; atMs: number }>();
  const bucketsOf = (address: string, nowMs: number) => {
    const isIpv6 = address.includes(":");
    const bits = isIpv6
      ? address
          .replace(/::$/, "")
          .split(":")
          .map((group) => parseInt(group, 16).toString(2).padStart(16, "0"))
          .join("")
          .padEnd(128, "0")
      : address
          .split(".")
          .map((part) => Number(part).toString(2).padStart(8, "0"))
          .join("");
    return levels[isIpv6 ? 6 : 4].map((level) => {
      const perMs = (rate * level.times) / 1000;
      const most = Math.max(500 * perMs, 10);
      const name = `${isIpv6} ${level.bits} ${bits.slice(0, level.bits)}`;
      let bucket = stock.get(name);
      if (bucket === undefined) stock.set(name, (bucket = { tokens: most, atMs: nowMs }));
      bucket.tokens = Math.min(most, bucket.tokens + (nowMs - bucket.atMs) * perMs);
      bucket.atMs = nowMs;
      return bucket;
    });
  };
  return {
    /** How far the emptiest bucket is from giving one: negative or zero if it gives. */
    missing: (address: string, nowMs: number) =>
      1 - Math.min(...bucketsOf(address, nowMs).map(({ tokens }) => tokens)),
    spend(address: string, tokens: number, nowMs: number) {
      for (const bucket of bucketsOf(address, nowMs)) bucket.tokens -= tokens;
    },
  };
}

const address = fc.oneof(
  fc
    .tuple(fc.constantFrom(0, 1), fc.constantFrom(0, 16, 64), fc.nat({ max: 3 }))
    .map(([b, c, d]) => `203.${b}.${c}.${d}`),
  fc
    .tuple(fc.constantFrom("0", "1"), fc.constantFrom("0", "1", "100", "101"))
    .map(([c, d]) => `2001:db8:${c}:${d}::`),
);
const step = fc.record({
  address,
  afterMs: fc.constantFrom(0, 0, 0, 1, 7, 250, 2000),
  times: fc.integer({ min: 1, max: 60 }),
  octets: fc.constantFrom(100, 256, 257, 1232),
});

t.test("as the model gives", async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 5, 100, 1000),
      fc.array(step, { minLength: 1, maxLength: 30 }),
      (rate, steps) => {
        const real = buckets();
        const model = createModel(rate);
        let nowMs = 1000;
        for (const { address: from, afterMs, times, octets } of steps) {
          nowMs += afterMs;
          for (let i = 0; i < times; i++) {
            const missing = model.missing(from, nowMs);
            const given = take(real, keyOf(from), rate, nowMs);
            // At the border the two count in different units.
            if (Math.abs(missing) > 1e-6 && given !== missing <= 0) return false;
            if (!given) continue;
            takeForSize(real, keyOf(from), rate, octets, nowMs);
            model.spend(from, Math.ceil(octets / 256), nowMs);
          }
        }
        return true;
      },
    ),
    { numRuns: 300 },
  );
  t.pass("held");
});

t.test("rates in figures", async (t) => {
  const taken = (from: (i: number) => string, perSecond: number, seconds: number, octets = 60) => {
    const real = buckets();
    let count = 0;
    for (let i = 0; i < perSecond * seconds; i++) {
      const nowMs = (i * 1000) / perSecond;
      const key = keyOf(from(i));
      if (!take(real, key, 100, nowMs)) continue;
      takeForSize(real, key, 100, octets, nowMs);
      count++;
    }
    return count;
  };
  t.equal(
    taken(() => "203.0.113.9", 50, 10),
    500,
    "half the rate: all",
  );
  t.equal(
    taken(() => "203.0.113.9", 5000, 10),
    1049,
    "an address: 100/s and 50 at once",
  );
  t.equal(
    taken((i) => `203.0.113.${i % 256}`, 5000, 10),
    33_599,
    "a /24: 32 times that",
  );
  const large = taken((i) => `203.0.113.${i % 256}`, 5000, 10, 1232);
  t.ok(Math.abs(large - 33_600 / 5) < 5, `large answers cost five tokens: ${large}`);
  t.equal(
    taken((i) => `2001:db8::${(i % 9999).toString(16)}`, 5000, 10),
    1049,
    "a /64 of IPv6",
  );
});

t.test("the first answers to anybody are whole, at the lowest rate as well", async (t) => {
  const real = buckets();
  for (let i = 0; i < 10; i++) t.ok(take(real, keyOf("198.51.100.7"), 1, 0));
  t.notOk(take(real, keyOf("198.51.100.7"), 1, 0));
  t.ok(take(real, keyOf("198.51.100.7"), 1, 1000), "one a second");
  t.notOk(take(real, keyOf("198.51.100.7"), 1, 1000));
});

t.test("200,000 spoofed prefixes do not free the one that asks most", async (t) => {
  const real = buckets();
  const victim = keyOf("198.51.100.7");
  while (take(real, victim, 100, 0));
  let extra = 0;
  for (let i = 0; i < 200_000; i++) {
    const nowMs = i / 1000;
    take(
      real,
      keyOf(`${1 + (i % 126)}.${(i >> 4) & 255}.${(i >> 12) & 255}.${i & 255}`),
      100,
      nowMs,
    );
    if (take(real, victim, 100, nowMs)) extra++;
  }
  t.ok(extra <= 21, `${extra} in 200 ms`);
});

t.test("S15: five prefixes that displace each other are not to be found beforehand", async (t) => {
  const RATE = 5;
  /** Answers that addresses asked in turns get in no time, 10 each being due. */
  const answersAt = (seed: number, addresses: readonly string[]): number => {
    const under = buckets();
    under.seed[0] = seed;
    let answers = 0;
    for (let round = 0; round < 5; round++)
      for (const each of addresses)
        for (let i = 0; i < 20; i++) if (take(under, keyOf(each), RATE, 1)) answers++;
    return answers;
  };
  // What an attacker who has this file finds, if nothing is drawn.
  const known = buckets();
  const wanted: string[] = [];
  let set: number | undefined;
  for (let i = 0; wanted.length < 5 && i < 1_000_000; i++) {
    const each = `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`;
    take(known, keyOf(each), 1000, i * 10_000);
    const own = known.places[0]! >> 2;
    set ??= own;
    if (own === set) wanted.push(each);
  }
  t.equal(answersAt(0, wanted), 130, "two of them find a full bucket again in each round");
  for (const seed of [1, 2, 0x80000000, 0xdeadbeef, 0x12345678])
    t.equal(answersAt(seed, wanted), 50, `seed ${seed.toString(16)}`);
});
