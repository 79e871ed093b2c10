import t from "tap";
import {
  commitMiss,
  createMissMemory,
  hasMiss,
  MARK_SAMPLED,
  MARK_SERVED,
  openMissRing,
  RETURN_WORDS,
  sampleOf,
  setSample,
  storeMiss,
  takeMiss,
} from "../../src/dns/misses.ts";
import { seeded } from "./prepared.ts";

const input = new Int32Array(512);
const marks = [0, MARK_SAMPLED, MARK_SERVED];
const inputOctets = new Uint8Array(input.buffer);

function push(ring: ReturnType<typeof openMissRing>, length: number, mark: number): boolean {
  for (let i = 0; i < length; i++) inputOctets[i] = mark + i;
  const at = storeMiss(ring, input, 0, length, mark / 2, marks[mark % 3]!);
  if (at < 0) return false;
  for (let i = 0; i < RETURN_WORDS; i++) ring.words[at + i] = mark * 100 + i;
  commitMiss(ring);
  return true;
}

t.test("what goes in comes out, in order, over many rounds of a small ring", async (t) => {
  const memory = createMissMemory(4096);
  const [producer, consumer] = [openMissRing(memory), openMissRing(memory)];
  const random = seeded(3);
  const waiting: { length: number; mark: number }[] = [];
  let refused = 0;
  let problems = 0;
  for (let mark = 0; mark < 20_000; mark++) {
    const length = random() % 600;
    if (push(producer, length, mark)) waiting.push({ length, mark });
    else refused++;
    if (random() % 3 === 0) continue;
    const miss = takeMiss(consumer);
    const expected = waiting.shift();
    if (miss === undefined || expected === undefined) {
      if (miss !== expected) problems++;
      continue;
    }
    if (miss.isSampled !== (expected.mark % 3 === 1)) problems++;
    if (miss.isServed !== (expected.mark % 3 === 2)) problems++;
    if (miss.query.length !== expected.length || miss.arrivedMs !== expected.mark / 2) problems++;
    if (miss.query.some((octet, i) => octet !== ((expected.mark + i) & 255))) problems++;
    const words = new Int32Array(miss.returnAddress.slice().buffer);
    if (words.some((word, i) => word !== expected.mark * 100 + i)) problems++;
  }
  t.equal(problems, 0);
  t.ok(refused > 0, "the ring was full at times");
  t.equal(hasMiss(consumer), waiting.length > 0);
});

t.test("positions wrap at 2^32", async (t) => {
  const memory = createMissMemory(4096);
  const words = new Int32Array(memory);
  // Both positions shortly before the wrap, at a multiple of the ring's 1024 words less 30.
  words[0] = words[16] = -30;
  const [producer, consumer] = [openMissRing(memory), openMissRing(memory)];
  for (let mark = 1; mark < 200; mark++) {
    t.ok(push(producer, 40, mark));
    t.equal(takeMiss(consumer)?.arrivedMs, mark / 2);
  }
  t.notOk(hasMiss(consumer));
});

t.test("a full ring refuses and loses nothing", async (t) => {
  const ring = openMissRing(createMissMemory(4096));
  let stored = 0;
  while (push(ring, 100, stored)) stored++;
  t.ok(stored > 15 && stored < 40, `${stored} stored in 4096 octets`);
  for (let mark = 0; mark < stored; mark++) t.equal(takeMiss(ring)?.arrivedMs, mark / 2);
  t.equal(takeMiss(ring), undefined);
  t.ok(push(ring, 100, 1), "and takes the next");
});

t.test("what is not committed is not seen; a successor overwrites it", async (t) => {
  const memory = createMissMemory(4096);
  const ring = openMissRing(memory);
  storeMiss(ring, input, 0, 100, 1, 0);
  t.equal(takeMiss(openMissRing(memory)), undefined);
  const successor = openMissRing(memory);
  t.ok(push(successor, 10, 8));
  t.equal(takeMiss(openMissRing(memory))?.arrivedMs, 4);
});

t.test("the share that is drawn for the log goes from one side to the other", async (t) => {
  const memory = createMissMemory(4096);
  const [producer, consumer] = [openMissRing(memory), openMissRing(memory)];
  t.equal(sampleOf(producer), 0, "at first none");
  for (const [share, bound] of [
    [1, 0xffffffff],
    [0.5, 0x80000000],
    [1e-12, 1],
    [0, 0],
  ] as const) {
    setSample(consumer, share);
    t.equal(sampleOf(producer), bound, String(share));
  }
});
