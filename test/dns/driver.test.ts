import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t, { type Test } from "tap";
import type { Question, Reply } from "../../src/dns/answer.ts";
import { startTcpFront, tcpDefaults, type TcpLimits } from "../../src/dns/driver.ts";
import type { Timers } from "../../src/ports.ts";

type Answer = (question: Question, reply: Reply) => void;
type Options = { answer?: Answer; limits?: Partial<TcpLimits>; address?: string };

const echo: Answer = ({ query }, reply) => reply(query);

/** A listener whose clock only the test moves; `answer` decides about each question. */
async function listen(t: Test, { answer = echo, limits, address = "127.0.0.1" }: Options = {}) {
  let nowMs = 0;
  const due = new Set<{ atMs: number; run: () => void }>();
  const timers: Timers = {
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      due.add(timer);
      return () => due.delete(timer);
    },
  };
  const front = await startTcpFront({
    listen: [{ address, port: 0 }],
    resolve: answer,
    clock: { monotonicMs: () => nowMs, wallMs: () => 0 },
    timers,
    log: () => {},
    ...(limits && { limits }),
  });
  const { counters } = front;
  const sockets: Socket[] = [];
  /** In small steps, so that every timer runs at its time. */
  const advance = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs = Math.min(end, nowMs + 50);
      for (const timer of due) if (timer.atMs <= nowMs && due.delete(timer)) timer.run();
    }
  };
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    const closed = front.close();
    advance(tcpDefaults.closeMs + 100);
    await closed;
  });
  return {
    front,
    counters,
    advance,
    /** A connection that the listener has seen. */
    dial: async (host = "127.0.0.1", localAddress?: string): Promise<Socket> => {
      const before = counters.accepted;
      const { port } = front.addresses[0]!;
      const socket = connect({
        port,
        host,
        ...(localAddress === undefined ? {} : { localAddress }),
      });
      sockets.push(socket);
      socket.on("error", () => {});
      await once(socket, "connect");
      await until(() => counters.accepted > before);
      return socket;
    },
  };
}

/** Resolves when the condition holds; looks after each turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 200_000) throw new Error("it never happened");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const frame = (message: Uint8Array | string): Buffer => {
  const octets = Buffer.from(message);
  return Buffer.concat([Buffer.from([octets.length >> 8, octets.length & 255]), octets]);
};

/** Messages as they come in. */
function messagesOf(socket: Socket): Buffer[] {
  const messages: Buffer[] = [];
  let buffer = Buffer.alloc(0);
  socket.on("data", (octets: Buffer) => {
    buffer = Buffer.concat([buffer, octets]);
    while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
      messages.push(buffer.subarray(2, 2 + buffer.readUInt16BE(0)));
      buffer = buffer.subarray(2 + buffer.readUInt16BE(0));
    }
  });
  return messages;
}

const isOver = (socket: Socket): boolean => socket.destroyed || socket.readableEnded;
/** Notices the end of a connection that is not read otherwise. */
const watchEnd = (socket: Socket): Socket => socket.resume();

t.test("S22: split, coalesced and pipelined; replies in the order they are ready", async (t) => {
  const held: Reply[] = [];
  const { dial, counters } = await listen(t, {
    answer({ query, client }, reply) {
      t.match(client, { address: "127.0.0.1", transport: "tcp" });
      if (query[0] === "s".charCodeAt(0)) held.push(() => reply(query));
      else if (query[0] === "-".charCodeAt(0)) reply(null);
      else reply(query);
    },
  });
  const socket = await dial();
  const got = messagesOf(socket);
  socket.write(Buffer.concat(["slow", "-none", "fast", "quick"].map(frame)));
  await until(() => got.length === 2);
  held[0]!(null);
  await until(() => got.length === 3);
  t.same(got.map(String), ["fast", "quick", "slow"]);
  for (const octet of frame("dribble")) {
    socket.write(Buffer.of(octet));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => got.length === 4);
  t.equal(String(got[3]), "dribble");
  t.equal(counters.questions, 5);
});

t.test("parser: lengths 0, 1, 11 and 65535 are messages like others", async (t) => {
  const lengths: number[] = [];
  const { dial } = await listen(t, {
    answer({ query }, reply) {
      lengths.push(query.length);
      reply(query.length === 65535 ? query : null);
    },
  });
  const socket = await dial();
  const got = messagesOf(socket);
  socket.write(Buffer.concat([0, 1, 11, 65535].map((length) => frame(Buffer.alloc(length, 7)))));
  await until(() => got.length === 1);
  t.same(lengths, [0, 1, 11, 65535]);
  t.equal(got[0]!.length, 65535);
});

t.test("a client that has closed its side still gets its answer, and then the end", async (t) => {
  const held: Reply[] = [];
  const { dial, counters } = await listen(t, {
    answer: ({ query }, reply) => held.push(() => reply(query)),
  });
  const socket = await dial();
  const got = messagesOf(socket);
  socket.end(frame("last words"));
  await until(() => held.length === 1);
  t.notOk(isOver(socket));
  held[0]!(null);
  await until(() => isOver(socket) && counters.connections === 0);
  t.same(got.map(String), ["last words"]);
});

t.test("S22: deadlines: first octet, whole message, idle", async (t) => {
  const { dial, advance, counters } = await listen(t);
  const silent = watchEnd(await dial());
  const partial = watchEnd(await dial());
  partial.write(frame("cut").subarray(0, 3));
  const idle = await dial();
  const got = messagesOf(idle);
  idle.write(frame("one"));
  await until(() => got.length === 1);

  advance(2900);
  t.equal(counters.connections, 3);
  advance(400);
  await until(() => isOver(silent));
  t.match(counters.closed, { firstByte: 1, message: 0, idle: 0 });
  advance(2000);
  await until(() => isOver(partial));
  t.match(counters.closed, { firstByte: 1, message: 1, idle: 0 });
  advance(4200);
  t.notOk(isOver(idle), "9.5 s");
  advance(800);
  await until(() => isOver(idle));
  t.match(counters.closed, { firstByte: 1, message: 1, idle: 1 });
  t.equal(counters.connections, 0);
});

t.test("S22: one octet a second does not keep a connection", async (t) => {
  const { dial, advance, counters } = await listen(t);
  const slow = watchEnd(await dial());
  const octets = frame("a question of thirty octets....");
  for (let i = 0; i < 6 && !isOver(slow); i++) {
    slow.write(octets.subarray(i, i + 1));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    advance(1000);
  }
  await until(() => isOver(slow));
  t.equal(counters.closed.message, 1);
});

t.test("a stream that is never between two messages goes on", async (t) => {
  const { dial, advance, counters } = await listen(t);
  const socket = await dial();
  const got = messagesOf(socket);
  const half = "the other half of the one before".length;
  const octets = frame("x".repeat(2 * half - 2));
  socket.write(octets.subarray(0, half));
  for (let i = 1; i <= 5; i++) {
    await until(() => got.length === i - 1);
    advance(3000);
    socket.write(Buffer.concat([octets.subarray(half), octets.subarray(0, half)]));
  }
  await until(() => got.length === 5);
  t.equal(counters.closed.message, 0);
  t.notOk(isOver(socket));
});

t.test("who asks much, closes his side and reads late gets every answer", async (t) => {
  const held: (() => void)[] = [];
  const { dial } = await listen(t, {
    answer: (_, reply) => held.push(() => reply(Buffer.alloc(65_000))),
    limits: { maxInFlight: 256, maxUntakenOctets: Infinity, maxUntakenInAllOctets: Infinity },
  });
  const socket = await dial();
  socket.pause();
  socket.end(Buffer.concat(Array.from({ length: 600 }, () => frame("q"))));
  await until(() => held.length === 256);
  for (const release of held.splice(0)) release();
  const got = messagesOf(socket);
  socket.resume();
  await until(() => {
    for (const release of held.splice(0)) release();
    return got.length === 600 || isOver(socket);
  });
  t.equal(got.length, 600);
});

t.test("S22: above half of the places an idle connection has two seconds", async (t) => {
  const { dial, advance, counters } = await listen(t, {
    limits: { maxConnections: 4, maxShare: 1 },
  });
  const sockets: Socket[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = await dial();
    const got = messagesOf(socket);
    socket.write(frame("x"));
    await until(() => got.length === 1);
    sockets.push(socket);
  }
  advance(2600);
  await until(() => sockets.every(isOver));
  t.equal(counters.closed.idle, 3);
});

t.test("S22: a thousand idle connections do not keep a new client waiting", async (t) => {
  const { dial, counters } = await listen(t);
  for (let i = 0; i < 1000; i++) watchEnd(await dial());
  const share = tcpDefaults.maxConnections * tcpDefaults.maxShare;
  t.equal(counters.connections, share, "one address has its share");
  t.equal(counters.closed.evicted, 1000 - share);
  const client = await dial();
  const got = messagesOf(client);
  client.write(frame("now"));
  await until(() => got.length === 1);
  t.equal(counters.closed.refused, 0);
});

t.test("when everybody is being answered a further connection is refused", async (t) => {
  const held: Reply[] = [];
  const { dial, counters } = await listen(t, {
    answer: (_, reply) => held.push(reply),
    limits: { maxConnections: 8 },
  });
  const busy = [await dial(), await dial()];
  for (const socket of busy) watchEnd(socket).write(frame("work"));
  await until(() => held.length === 2);
  const third = watchEnd(await dial());
  await until(() => isOver(third));
  t.match(counters, { connections: 2, closed: { refused: 1, evicted: 0 } });
  held[0]!(Buffer.from("done"));
  const fourth = await dial();
  t.notOk(isOver(fourth));
  t.equal(counters.closed.evicted, 1, "the answered one makes room");
});

t.test("S22: who has all places in use, with a question in each, shuts out nobody", async (t) => {
  const { dial, counters } = await listen(t, {
    address: "0.0.0.0",
    answer({ query }, reply) {
      if (Buffer.from(query).toString() === "soon") reply(query);
    },
    limits: { maxConnections: 8, maxShare: 0.5 },
  });
  const from = async (localAddress: string): Promise<Socket> => {
    return watchEnd(await dial("127.0.0.1", localAddress));
  };
  const greedy: Socket[] = [];
  for (const address of ["127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"])
    greedy.push(await from(address));
  for (let i = 0; i < 3; i++) greedy.push(await from("127.0.0.3"));
  for (const socket of greedy) socket.write(frame("late"));
  await until(() => counters.questions === 8);
  const [first] = greedy;
  const modest = await from("127.0.0.9");
  const got = messagesOf(modest);
  modest.write(frame("soon"));
  await until(() => got.length === 1);
  t.match(counters, { connections: 8, closed: { refused: 0, evicted: 1 } });
  await until(() => isOver(first!));
  t.equal(greedy.filter(isOver).length, 1, "the first of one that has four");

  // Three, four, one: the fourth of the greediest goes, but nobody has two more than who has two.
  modest.write(frame("late"));
  await until(() => counters.questions === 10);
  const second = await from("127.0.0.9");
  second.write(frame("late"));
  await until(() => counters.questions === 11);
  t.equal(counters.closed.evicted, 2);
  const third = await from("127.0.0.9");
  t.equal(counters.closed.refused, 1);
  await until(() => isOver(third));
});

t.test("S22: ten thousand pipelined questions: 64 at a time, all answered", async (t) => {
  const waiting: (() => void)[] = [];
  let most = 0;
  const { dial } = await listen(t, {
    answer({ query }, reply) {
      waiting.push(() => reply(query));
      most = Math.max(most, waiting.length);
    },
  });
  const socket = await dial();
  const got = messagesOf(socket);
  const question = frame("a question");
  socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => question)));
  let done = 0;
  while (done < 10_000) {
    await until(() => waiting.length > 0);
    done += waiting.length;
    for (const release of waiting.splice(0)) release();
  }
  await until(() => got.length === 10_000);
  t.equal(most, tcpDefaults.maxInFlight);
});

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

t.test("closing: what is owed is sent, what never comes is not waited for", async (t) => {
  const held: Reply[] = [];
  const { front, dial, advance } = await listen(t, { answer: (_, reply) => held.push(reply) });
  const [idle, owed, lost] = [await dial(), await dial(), await dial()];
  for (const socket of [idle, lost]) watchEnd(socket!);
  const got = messagesOf(owed!);
  owed!.write(frame("a"));
  await until(() => held.length === 1);
  lost!.write(frame("b"));
  await until(() => held.length === 2);
  const closed = front.close();
  await until(() => isOver(idle!));
  held[0]!(Buffer.from("answer"));
  await until(() => isOver(owed!));
  t.same(got.map(String), ["answer"]);
  t.notOk(isOver(lost!));
  advance(tcpDefaults.closeMs + 100);
  await closed;
  await until(() => isOver(lost!));
  held[1]!(Buffer.from("too late"));
});

t.test("a wildcard takes IPv4 clients, and calls them by their IPv4 address", async (t) => {
  const seen: string[] = [];
  const answer: Answer = ({ query, client }, reply) => {
    seen.push(client.address);
    reply(query);
  };
  let listener: Awaited<ReturnType<typeof listen>>;
  try {
    listener = await listen(t, { answer, address: "::" });
  } catch {
    t.pass("no IPv6 on this machine: skipped");
    return;
  }
  const socket = await listener.dial();
  const got = messagesOf(socket);
  socket.write(frame("x"));
  await until(() => got.length === 1);
  t.same(seen, ["127.0.0.1"]);
});

t.test("an address that is taken is an error", async (t) => {
  const { front } = await listen(t);
  await t.rejects(
    startTcpFront({
      listen: [front.addresses[0]!],
      resolve: echo,
      clock: { monotonicMs: () => 0, wallMs: () => 0 },
      timers: { after: () => () => {} },
      log: () => {},
    }),
    { message: /^DNS over TCP cannot listen on 127\.0\.0\.1 port \d+: .*EADDRINUSE/ },
  );
});
