// Answers that nobody takes are bounded, per connection and in all.
import type { Socket } from "node:net";
import t, { type Test } from "tap";
import type { TcpLimits } from "../../src/dns/driver.ts";
import { frame, isOver, listen, messagesOf, until } from "./tcp-listener.ts";

t.test(
  "a client that never reads large answers is cut off, and holds little until then",
  async (t) => {
    const large = new Uint8Array(65535);
    let asked = 0;
    const { dial, advance, counters } = await listen(t, {
      answer(_, reply) {
        asked++;
        reply(large);
      },
    });
    const greedy = await dial();
    greedy.pause();
    greedy.write(Buffer.concat(Array.from({ length: 2000 }, () => frame("more"))));
    // The kernel takes some megabytes of its own; from then on nothing more is read.
    let before = -1;
    while (asked !== before) {
      before = asked;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(asked < 400, `${asked} of 2000 questions were taken`);
    advance(4700);
    t.equal(counters.closed.write, 0);
    advance(600);
    t.equal(counters.closed.write, 1);
    t.equal(counters.connections, 0);
  },
);

/** Answers of 65,000 octets, all at once when it is said, to clients that do not read. */
async function listenLate(t: Test, limits: Partial<TcpLimits>) {
  const held: (() => void)[] = [];
  const listener = await listen(t, {
    answer: (_, reply) => held.push(() => reply(Buffer.alloc(65_000))),
    // More than the kernel takes.
    limits: { maxInFlight: 256, ...limits },
  });
  return {
    ...listener,
    held,
    /** A connection that has asked 256 questions of 12 octets: a header with the number as its id. */
    ask: async (): Promise<Socket> => {
      const socket = await listener.dial();
      socket.pause();
      const before = held.length;
      socket.write(Buffer.concat(Array.from({ length: 256 }, (_, id) => frame(header(id)))));
      await until(() => held.length === before + 256);
      return socket;
    },
  };
}

const header = (id: number): Buffer => Buffer.concat([Buffer.of(0, id), Buffer.alloc(10)]);

t.test(
  "S22: answers that were under way and are not taken: SERVFAIL from 256 KiB on",
  async (t) => {
    const { held, ask, counters } = await listenLate(t, {});
    const socket = await ask();
    for (const release of held.splice(0)) release();
    const got = messagesOf(socket);
    socket.resume();
    await until(() => got.length === 256 || isOver(socket));
    const whole = got.filter((message) => message.length === 65_000).length;
    t.ok(whole >= 4 && whole < 128, `${whole} were given in whole`);
    const failed = got.filter((message) => message.length === 12);
    t.equal(failed.length, 256 - whole);
    t.ok(
      failed.every((message) => (message[2]! & 0x80) !== 0 && (message[3]! & 15) === 2),
      "SERVFAIL",
    );
    t.equal(new Set(failed.map((message) => message[1])).size, failed.length, "each with its id");
    t.equal(counters.closed.write, 0);
    for (let id = 0; id < 3; id++) socket.write(frame(header(id)));
    await until(() => held.length === 3);
    for (const release of held.splice(0)) release();
    await until(() => got.length === 259);
    t.same(
      got.slice(256).map(({ length }) => length),
      [65_000, 65_000, 65_000],
      "what was taken makes room",
    );
  },
);

t.test("S22: answers of all that are not taken: who owes most goes", async (t) => {
  const { held, ask, dial, counters } = await listenLate(t, { maxUntakenInAllOctets: 1_000_000 });
  const modest = await dial();
  const got = messagesOf(modest);
  modest.write(frame(header(1)));
  await until(() => held.length === 1);
  const greedy = [];
  for (let i = 0; i < 8; i++) greedy.push(await ask());
  for (const release of held.splice(0)) release();
  await until(() => got.length === 1);
  t.equal(got[0]!.length, 65_000);
  // Each is owed 260,000 octets at most, all together 750,000 after a look and 1,000,000 before the next.
  t.ok(counters.closed.write >= 4 && counters.closed.write <= 6, `${counters.closed.write} of 8`);
  t.equal(counters.connections, 9 - counters.closed.write);
  modest.write(frame(header(2)));
  await until(() => held.length === 1);
  held[0]!();
  await until(() => got.length === 2);
  for (const socket of greedy) socket.destroy();
});
