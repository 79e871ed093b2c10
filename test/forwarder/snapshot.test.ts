/** The cache as octets that outlive the process. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { createCache, type Cache, type Entry } from "../../src/forwarder/cache.ts";
import { decodeSnapshot, type Restored } from "../../src/forwarder/snapshot/decode.ts";
import { readSnapshot, removePartial, writeSnapshot } from "../../src/forwarder/snapshot/driver.ts";
import { encodeSnapshot } from "../../src/forwarder/snapshot/encode.ts";
import type { Result } from "../../src/base.ts";
import { a, createWorld, inWords, reply, silent, soa, type OneGroup, type World } from "./world.ts";

/** Names that begin with "no" do not exist; the others have an address, for 100 s. */
function filled(names: readonly string[], change: OneGroup = {}): World {
  const world = createWorld(1, change);
  world.server(1, (question) => [
    {
      wire: question.name.startsWith("no")
        ? reply(question, { rcode: 3, authorities: [soa("test", 100, 100)] })
        : reply(question, { answers: [a(question.name, "198.51.100.1", 100)] }),
    },
  ]);
  for (const name of names) {
    world.ask(name);
    world.pass(2);
  }
  return world;
}

/** Another process, some seconds later: in these worlds both clocks are one. */
function later(change: OneGroup = {}): World {
  const world = filled([], change);
  world.pass(10_000);
  return world;
}

const into =
  (cache: Cache): Cache["restore"] =>
  (key, kept, zone) =>
    cache.restore(key, kept, zone);

/** The only entry of a world. */
function only({ forwarder }: World): { key: string; entry: Entry } {
  for (const found of forwarder.list({ name: null, subtree: true, type: null }))
    if (found !== undefined) return found;
  throw new Error("nothing is kept");
}

function octetsOf({ forwarder }: World): Uint8Array {
  const blocks: Uint8Array[] = [];
  const slices = forwarder.snapshot();
  for (let slice = slices.next(); slice.done !== true; slice = slices.next())
    if (slice.value !== undefined) blocks.push(slice.value);
  return Buffer.concat(blocks);
}

function driven<T>(slices: Iterator<undefined, T>): T {
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
  }
}

const restore = (world: World, octets: Uint8Array): Result<Restored, string> =>
  driven(world.forwarder.restore(octets));

t.test("what was known is known again, with the time that has passed", async (t) => {
  const before = filled(["www.test", "no.test", "mail.test"]);
  const octets = octetsOf(before);
  const after = filled([]);
  after.pass(30_006);
  t.same(restore(after, octets), { ok: true, value: { entries: 3, leftOut: 0 } });
  const asked = after.ask("WWW.test");
  t.equal(inWords(asked), "A 198.51.100.1");
  t.same(asked.answer?.ok && asked.answer.answers.map(({ ttl }) => ttl), [70]);
  t.equal(inWords(after.ask("no.test", "AAAA")), "NXDOMAIN", "of every type");
  t.equal(after.asked.length, 0);
  after.pass(71_000);
  after.server(1, silent);
  const late = after.ask("mail.test");
  after.settle();
  t.equal(inWords(late), "stale A 198.51.100.1");
});

t.test("wall time counts: the monotonic clock begins anew", async (t) => {
  const world = filled(["www.test"]);
  const found = only(world);
  const groups = [{ id: 1, print: "p" }];
  const blocks = [...encodeSnapshot({ entries: [found], groups, wallOffsetMs: 5_000_000 })];
  const octets = Buffer.concat(blocks.filter((block) => block !== undefined));
  const left = (wallMs: number, nowMs: number, staleMs = 0): number => {
    const cache = createCache({ cacheOctets: 1e6 }, { uint32: () => 7 });
    const target = { nowMs, wallOffsetMs: wallMs - nowMs, staleMs, restore: into(cache) };
    driven(decodeSnapshot(octets, { ...target, groups: [{ id: 9, print: "p" }] }));
    for (const kept of cache.list({ name: null, subtree: true, type: null }))
      if (kept !== undefined) return kept.entry.expiresAtMs - nowMs;
    return NaN;
  };
  const endMs = 5_000_000 + found.entry.expiresAtMs;
  t.equal(left(endMs - 40_000, 77), 40_000);
  t.equal(left(endMs - 1, 77), 1);
  t.same(left(endMs, 77), NaN, "too old");
  t.equal(left(endMs + 999, 77, 1000), -999, "of use as a stale answer yet");
  t.same(left(endMs - 101_000, 77), NaN, "of the future: the clock was set back");
});

t.test("what other servers said, or under other limits, is left out", async (t) => {
  const octets = octetsOf(filled(["www.test", "no.test"]));
  for (const [change, entries] of [
    [{}, 2],
    [{ servers: [{ address: "192.0.2.9", port: 53 }] }, 0],
    [{ maxTtlSeconds: 50 }, 0],
    [{ trustAd: true }, 0],
    [{ name: "corp" }, 0],
    [{ timeoutMs: 50 }, 2],
  ] as const)
    t.same(
      restore(later(change), octets),
      { ok: true, value: { entries, leftOut: 2 - entries } },
      JSON.stringify(change),
    );
});

t.test("newer answers stay", async (t) => {
  const octets = octetsOf(filled(["www.test"]));
  const world = later();
  world.ask("www.test");
  world.pass(10);
  const insertions = world.forwarder.stats().cache!.insertions;
  restore(world, octets);
  t.equal(world.forwarder.stats().cache!.insertions, insertions);
});

t.test("every single damage is noticed, and nothing is put back", async (t) => {
  const octets = octetsOf(filled(Array.from({ length: 40 }, (_, i) => `n${i}.test`)));
  const world = later();
  for (let at = 0; at < octets.length; at++) {
    const damaged = octets.slice();
    damaged[at]! ^= 1 << (at % 8);
    if (restore(world, damaged).ok) t.fail(`octet ${at}`);
    if (restore(world, octets.subarray(0, at)).ok) t.fail(`cut at ${at}`);
  }
  t.equal(world.forwarder.stats().cache!.answers.entries, 0);
  t.same(restore(world, new Uint8Array(0)), { ok: false, error: "it ends too early" });
  t.match(restore(world, Buffer.from('{"an older file": true}, of another program')), {
    ok: false,
  });
});

/** The same message with octets behind it that no transport could carry. */
const padded = (wire: Uint8Array): Uint8Array => Buffer.concat([wire, Buffer.alloc(65_536)]);

t.test("octets that are whole but not sensible do no harm", async (t) => {
  const world = filled(["www.test"]);
  const { key, entry } = only(world);
  const groups = [{ id: 1, print: "p" }];
  for (const [what, odd] of [
    ["no message", { key, entry: { ...entry, wire: Uint8Array.of(1, 2, 3) } }],
    ["of another name", { key: key.replace("www", "wwx"), entry }],
    ["a short key", { key: "abc\0\x01", entry }],
    ["no time", { key, entry: { ...entry, storedAtMs: NaN } }],
    ["never ends", { key, entry: { ...entry, expiresAtMs: Infinity } }],
    ["too long for a message", { key, entry: { ...entry, wire: padded(entry.wire) } }],
    ["ends before it begins", { key, entry: { ...entry, expiresAtMs: entry.storedAtMs - 1 } }],
  ] as const) {
    const blocks = [...encodeSnapshot({ entries: [odd], groups, wallOffsetMs: 0 })];
    const octets = Buffer.concat(blocks.filter((block) => block !== undefined));
    const cache = createCache({ cacheOctets: 1e6 }, { uint32: () => 7 });
    const target = { groups, nowMs: world.nowMs(), wallOffsetMs: 0, staleMs: 0 };
    driven(decodeSnapshot(octets, { ...target, restore: into(cache) }));
    t.equal(cache.stats().answers.entries, 0, what);
  }
});

t.test("more than a block, more than the budget", async (t) => {
  const world = filled(Array.from({ length: 2000 }, (_, i) => `n${i}.test`));
  const octets = octetsOf(world);
  t.ok(octets.length > 2 * 65536);
  t.match(restore(later(), octets), { ok: true, value: { entries: 2000 } });
  const small = later({ cacheOctets: 100_000 });
  t.match(restore(small, octets), { ok: true });
  t.ok(small.forwarder.stats().cache!.answers.octets <= 75_000);
});

t.test("the file is whole or not there", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "waypost-snapshot-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "cache");
  const { forwarder } = filled(["www.test"]);
  const octets = await writeSnapshot(path, forwarder);
  t.equal(statSync(path).size, octets);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(folder), ["cache"]);
  t.match(await readSnapshot(path, later().forwarder), { ok: true, value: { entries: 1 } });
  const whole = readFileSync(path);
  const failing = {
    *snapshot() {
      yield Uint8Array.of(1);
      throw new Error("no more room");
    },
  };
  await t.rejects(writeSnapshot(path, failing), /no more room/);
  t.same(readFileSync(path), whole);
  t.same(readdirSync(folder), ["cache"]);
  truncateSync(path, 2 ** 30 + 1);
  t.match(await readSnapshot(path, later().forwarder), { ok: false, error: /more than/ });
  writeFileSync(path, whole.subarray(1));
  t.match(await readSnapshot(path, filled([]).forwarder), { ok: false });
  await t.rejects(readSnapshot(join(folder, "none"), filled([]).forwarder), { code: "ENOENT" });
  await t.rejects(writeSnapshot(join(folder, "none", "cache"), forwarder), { code: "ENOENT" });
});

t.test("what a killed writer left goes, copies that people made stay", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "waypost-snapshot-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "cache");
  let left: string[] = [];
  const killed = {
    *snapshot() {
      yield Uint8Array.of(1);
      left = readdirSync(folder);
      throw new Error("killed");
    },
  };
  await t.rejects(writeSnapshot(path, killed), /killed/);
  t.equal(left.length, 1);
  const copies = ["cache", "cache.1", "cache.20261121", "cache.old"];
  for (const name of [...left, ...copies]) writeFileSync(join(folder, name), "");
  await removePartial(path);
  t.same(readdirSync(folder).toSorted(), copies);
});
