import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { createFraming } from "../../src/dns/framing.ts";

const frame = (message: Uint8Array): number[] => [
  message.length >> 8,
  message.length & 255,
  ...message,
];

t.test("however the stream is cut, the messages are the same (RFC 1035 4.2.2)", async (t) => {
  const messages = fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(messages, cuts, (sent, pieces) => {
      const stream = Uint8Array.from(sent.flatMap(frame));
      const framing = createFraming();
      const taken: Uint8Array[] = [];
      let at = 0;
      for (let i = 0; at < stream.length; i++) {
        const end = at + pieces[i % pieces.length]!;
        framing.push(stream.subarray(at, end));
        at = end;
        for (let message; (message = framing.take()) !== undefined;) taken.push(message);
      }
      assert.deepEqual(taken, sent);
      assert.equal(framing.waitingOctets, 0);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test("messages are their own octets, and 65535 of them fit", async (t) => {
  const framing = createFraming();
  const largest = new Uint8Array(65535).fill(7);
  framing.push(Uint8Array.from([...frame(largest), 0]));
  const taken = framing.take()!;
  framing.push(Uint8Array.of(1, 9));
  t.equal(taken.length, 65535);
  t.ok(taken.every((octet) => octet === 7));
  t.same(framing.take(), Uint8Array.of(9));
  t.equal(framing.take(), undefined);
  framing.push(Uint8Array.of(0));
  t.equal(framing.take(), undefined, "half a length");
  t.equal(framing.waitingOctets, 1);
});
