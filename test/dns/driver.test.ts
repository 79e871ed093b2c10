import type { Socket } from "node:net";
import t from "tap";
import type { Reply } from "../../src/dns/answer.ts";
import { startTcpFront, tcpDefaults } from "../../src/dns/driver.ts";
import {
  echo,
  frame,
  isOver,
  listen,
  messagesOf,
  until,
  watchEnd,
  type Answer,
} from "./tcp-listener.ts";

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
