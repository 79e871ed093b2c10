/** The octets of entries, against a simple model: a map of whole objects. */
import fc from "fast-check";
import t from "tap";
import { BLOCK_OCTETS, createBlocks } from "../../src/forwarder/blocks.ts";
import { createCache, type Entry } from "../../src/forwarder/cache.ts";
import { cacheKey } from "../../src/forwarder/key.ts";
import { createPacked } from "../../src/forwarder/packed.ts";
import { CLASS_IN } from "../../src/dns/rr.ts";
import { parseMessage } from "../../src/dns/message.ts";
import { a, reply, soa, wireName } from "./world.ts";

const keys = fc.integer({ min: 0, max: 29 }).map((n) => `\x03n${"x".repeat(n)}\0\0\x01`);
const entries: fc.Arbitrary<Entry> = fc.record({
  // About the ends of blocks, and far beyond.
  wire: fc.oneof(
    fc.uint8Array({ maxLength: 4 * BLOCK_OCTETS }),
    fc.integer({ min: 0, max: 65_535 }).map((n) => new Uint8Array(n).fill(n)),
  ),
  storedAtMs: fc.double({ noNaN: true }),
  expiresAtMs: fc.double({ noNaN: true }),
  denialSeconds: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  server: fc.constantFrom("", "192.0.2.1:53", "[2001:db8::1]:53"),
  hits: fc.nat(),
  earlyForMs: fc.constantFrom(0, 0, 7.5),
});

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("add" as const), key: keys, entry: entries }),
    fc.record({ do: fc.constant("remove" as const), which: fc.nat() }),
    fc.record({ do: fc.constant("change" as const), which: fc.nat() }),
  ),
  { maxLength: 60 },
);

t.test("what is packed is read as it was, whatever comes and goes beside it", async () => {
  fc.assert(
    fc.property(steps, (script) => {
      const packed = createPacked();
      const model = new Map<number, { key: string; entry: Entry; member: number }>();
      const given: { read: Entry; was: Entry }[] = [];
      let most = 0;
      for (const step of script) {
        const which = step.do === "add" ? 0 : [...model.keys()][step.which % (model.size || 1)];
        if (step.do === "add") {
          const at = packed.add(step.key, step.entry);
          if (model.has(at)) return false; // two entries in one place
          model.set(at, { key: step.key, entry: step.entry, member: 0 });
        } else if (which !== undefined && step.do === "remove") {
          model.delete(which);
          packed.remove(which);
        } else if (which !== undefined) {
          const known = model.get(which)!;
          const hits = packed.hit(which);
          packed.setMember(which, hits);
          packed.settleEarly(which);
          known.entry = { ...known.entry, hits, earlyForMs: 0 };
          known.member = hits;
        }
        let live = 0;
        for (const [at, { key, entry, member }] of model) {
          const read = packed.read(at);
          if (!isSame(read, entry) || packed.keyOf(at) !== key) return false;
          if (packed.member(at) !== member || !packed.isOf(at, key)) return false;
          if (packed.isOf(at, `${key}x`) || packed.isOf(at, `y${key.slice(1)}`)) return false;
          if (packed.isDenial(at) !== entry.denialSeconds >= 0) return false;
          live += packed.octetsOf(at);
          given.push({ read, was: entry });
        }
        most = Math.max(most, live);
        // A segment more than what was ever used.
        if (packed.octets > most + 2 ** 20) return false;
      }
      return given.every(({ read, was }) => isSame(read, was));
    }),
    { numRuns: 300 },
  );
});

function isSame(read: Entry, entry: Entry): boolean {
  return (
    Buffer.compare(read.wire, entry.wire) === 0 &&
    Object.is(read.storedAtMs, entry.storedAtMs) &&
    Object.is(read.expiresAtMs, entry.expiresAtMs) &&
    read.denialSeconds === entry.denialSeconds &&
    read.server === entry.server &&
    read.hits === entry.hits &&
    read.earlyForMs === entry.earlyForMs
  );
}

t.test("what is given back is used again, by chains of any length", async (t) => {
  const blocks = createBlocks();
  const octets = new Uint8Array(65_535).fill(1);
  const one = blocks.add(octets, 1);
  const held = blocks.octets;
  for (let round = 0; round < 200; round++) {
    const chains = Array.from({ length: 5 }, (_, i) =>
      blocks.add(octets, 1 + ((round * 7919 + i * 104_729) % octets.length)),
    );
    for (const chain of chains) blocks.remove(chain);
  }
  t.ok(blocks.octets <= held + 5 * 80_000 + 2 ** 20, `${blocks.octets} after ${held}`);
  blocks.remove(one);
  t.equal(blocks.octets, held, "nothing is used: one segment is left");
});

const names = Array.from({ length: 40 }, (_, i) => `n${i}.z${i % 3}.test`);
const caching = fc.array(
  fc.record({
    do: fc.constantFrom("store", "store", "store", "deny", "find", "find", "flush", "pass"),
    name: fc.constantFrom(...names),
    ttl: fc.integer({ min: 1, max: 100 }),
    octet: fc.integer({ min: 0, max: 255 }),
  }),
  { maxLength: 300 },
);

t.test("the cache forgets, but never says what was not said of this name", async () => {
  fc.assert(
    fc.property(caching, fc.constantFrom(4000, 20_000, 1e6), (script, cacheOctets) => {
      let seed = 1;
      const cache = createCache({ cacheOctets }, { uint32: () => seed++ });
      /** The last that was said of each name, and when it ends. */
      const said = new Map<string, { wire: Uint8Array; endMs: number }>();
      const given: { wire: Uint8Array; was: Buffer }[] = [];
      let nowMs = 1000;
      for (const { do: what, name, ttl, octet } of script) {
        const qname = wireName(name);
        const key = cacheKey({ qname, qtype: 1, qclass: CLASS_IN, do: false, cd: false }, 1);
        if (what === "store" || what === "deny") {
          const zone = name.slice(name.indexOf(".") + 1);
          const wire = reply(
            { id: octet, name, type: "A", transport: "udp" },
            what === "store"
              ? { answers: [a(name, `192.0.2.${octet}`, ttl)] }
              : { rcode: 3, authorities: [soa(zone, ttl, ttl)] },
          );
          const parsed = parseMessage(wire);
          if (!parsed.ok) return false;
          const message = parsed.value;
          const soaOf = message.authority[0] ?? null;
          const scrubbed = {
            kind: what === "store" ? ("answer" as const) : ("nxdomain" as const),
            answers: message.answers,
            authority: message.authority,
            soa: soaOf,
            links: 0,
            untouched: true,
          };
          const received = { message, wire, server: "s" };
          cache.store(key, received, scrubbed, ttl, nowMs);
          said.set(name, { wire: wire.slice(), endMs: nowMs + ttl * 1000 });
        } else if (what === "find") {
          const found = cache.find(key, nowMs, 0);
          const last = said.get(name);
          if (found === undefined) continue;
          if (last === undefined || nowMs >= last.endMs) return false;
          if (Buffer.compare(found.wire, last.wire) !== 0) return false;
          given.push({ wire: found.wire, was: Buffer.from(found.wire) });
        } else if (what === "flush") {
          const sweep = cache.flush({ name: qname, subtree: octet < 9, type: null });
          while (sweep.next().done !== true);
          said.delete(name);
        } else nowMs += ttl * 100;
        const { answers, denials } = cache.stats();
        if (answers.octets > 0.75 * cacheOctets || denials.octets > 0.25 * cacheOctets)
          return false;
      }
      return given.every(({ wire, was }) => Buffer.compare(wire, was) === 0);
    }),
    { numRuns: 200 },
  );
});
