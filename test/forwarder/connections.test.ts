// Which connection a question takes, by a world of lines that do as they are told (RFC 7766 6.2).
import fc from "fast-check";
import t from "tap";
import {
  createConnections,
  httpsLimits,
  tcpLimits,
  type ConnectionLimits,
  type LineEvents,
  type LineListener,
} from "../../src/forwarder/connections.ts";
import type { Exchange, Upstream } from "../../src/ports.ts";

type FakeLine = {
  number: number;
  server: Upstream;
  on: LineEvents;
  asked: Map<string, LineListener>;
  capacity: number;
  closed: boolean;
};

/** A world with time of its own; `log` has what happened, in order. */
function createWorld(limits: Partial<ConnectionLimits> = {}) {
  let nowMs = 0;
  const timers: { atMs: number; run: () => void }[] = [];
  const lines: FakeLine[] = [];
  const log: string[] = [];
  const connections = createConnections({
    limits: { ...tcpLimits, ...limits },
    clock: { monotonicMs: () => nowMs },
    timers: {
      after(delayMs, run) {
        const timer = { atMs: nowMs + delayMs, run };
        timers.push(timer);
        return () => {
          const at = timers.indexOf(timer);
          if (at >= 0) timers.splice(at, 1);
        };
      },
    },
    dial(server, on) {
      const line: FakeLine = {
        number: lines.length + 1,
        server,
        on,
        asked: new Map(),
        capacity: Infinity,
        closed: false,
      };
      lines.push(line);
      log.push(`dial ${line.number}`);
      return {
        get capacity() {
          return line.capacity;
        },
        ask(wire, listener) {
          const name = String.fromCharCode(...wire);
          line.asked.set(name, listener);
          log.push(`${name} on ${line.number}`);
          return () => line.asked.delete(name);
        },
        close() {
          line.closed = true;
          log.push(`close ${line.number}`);
        },
      };
    },
  });
  const servers: Upstream[] = [];
  const server = (number: number): Upstream =>
    (servers[number] ??= { address: `192.0.2.${number}`, port: 53 });
  const exchanges = new Map<string, Exchange>();
  const line = (number: number): FakeLine => lines[number - 1]!;
  return {
    log,
    timersSet: () => timers.length,
    lines: () => lines,
    openCount: () => connections.openCount,
    ask(name: string, number = 1): void {
      const exchange = connections.open(server(number), {
        datagram: (wire) => log.push(`${name} got ${String.fromCharCode(...wire)}`),
        error: (code) => log.push(`${name} failed ${code}`),
      });
      exchanges.set(name, exchange);
      exchange.send(Uint8Array.from(name, (each) => each.charCodeAt(0)));
    },
    giveUp: (name: string) => exchanges.get(name)!.close(),
    reply(number: number, name: string): void {
      const listener = line(number).asked.get(name)!;
      line(number).asked.delete(name);
      listener.reply(Uint8Array.from(name.toUpperCase(), (each) => each.charCodeAt(0)));
    },
    refuse: (number: number, name: string, code: string, isUntouched = false) =>
      line(number).asked.get(name)!.failed(code, isUntouched),
    drains: (number: number) => line(number).on.drains(),
    ends: (number: number, code = "") => line(number).on.ended(code),
    shrink: (number: number) => (line(number).capacity = 1),
    pass(ms: number): void {
      nowMs += ms;
      for (const timer of timers.filter(({ atMs }) => atMs <= nowMs)) {
        if (!timers.includes(timer)) continue; // cancelled by one before it
        timers.splice(timers.indexOf(timer), 1);
        timer.run();
      }
    },
    end: () => connections.close(),
  };
}

type World = ReturnType<typeof createWorld>;

/** What a scene does, and the whole log of it. */
const scenes: {
  when: string;
  limits?: Partial<ConnectionLimits>;
  run: (world: World) => void;
  log: string;
}[] = [
  {
    when: "ask 46: one connection for question after question, closed when idle",
    run(world) {
      for (const name of ["a", "b", "c"]) {
        world.ask(name);
        world.reply(1, name);
        world.pass(29_000);
      }
      world.pass(1_000);
    },
    log: "dial 1, a on 1, a got A, b on 1, b got B, c on 1, c got C, close 1",
  },
  {
    when: "several at a time: more connections up to the bound, then the least busy",
    limits: { perServer: 2 },
    run(world) {
      for (const name of ["a", "b", "c", "d"]) world.ask(name);
      world.reply(2, "b");
      world.ask("e");
    },
    log: "dial 1, a on 1, dial 2, b on 2, c on 1, d on 2, b got B, e on 2",
  },
  {
    when: "where a handshake is dear questions are pipelined first",
    limits: { ...httpsLimits, comfortable: 2 },
    run(world) {
      for (const name of ["a", "b", "c"]) world.ask(name);
    },
    log: "dial 1, a on 1, b on 1, dial 2, c on 2",
  },
  {
    when: "a used connection is closed before the reply: once more, over a new one",
    run(world) {
      world.ask("a");
      world.reply(1, "a");
      world.ask("b");
      world.ends(1, "ECONNRESET");
      world.reply(2, "b");
    },
    log: "dial 1, a on 1, a got A, b on 1, dial 2, b on 2, b got B",
  },
  {
    when: "what the server has not looked at: once more over another one, and no third time",
    limits: httpsLimits,
    run(world) {
      for (const name of ["a", "b"]) world.ask(name);
      world.refuse(1, "a", "REFUSED_STREAM", true);
      world.reply(1, "b");
      world.refuse(2, "a", "REFUSED_STREAM", true);
    },
    log: "dial 1, a on 1, b on 1, dial 2, a on 2, close 1, b got B, a failed REFUSED_STREAM",
  },
  {
    when: "twice is enough, whatever the server does",
    run(world) {
      world.ask("a");
      world.reply(1, "a");
      world.ask("b");
      world.ends(1);
      world.ends(2);
    },
    log: "dial 1, a on 1, a got A, b on 1, dial 2, b on 2, b failed ECONNRESET",
  },
  {
    when: "the repetition takes no connection that has served before",
    run(world) {
      world.ask("a");
      world.ask("b");
      world.reply(1, "a");
      world.reply(2, "b");
      world.ask("c");
      world.ends(1);
    },
    log: "dial 1, a on 1, dial 2, b on 2, a got A, b got B, c on 1, dial 3, c on 3",
  },
  {
    when: "a new connection that ends is the server's word",
    run(world) {
      world.ask("a");
      world.ends(1, "CERT name mismatch");
      world.ask("b");
      world.ends(2);
    },
    log: "dial 1, a on 1, a failed CERT name mismatch, dial 2, b on 2, b failed ECONNRESET",
  },
  {
    when: "a server that closes after each answer gets one question per connection",
    limits: { ...httpsLimits },
    run(world) {
      for (const name of ["a", "b", "c"]) world.ask(name);
      world.reply(1, "a");
      world.ends(1);
      world.reply(2, "b");
      world.ends(2);
      world.reply(3, "c");
      world.ends(3);
      world.ask("d");
      world.ask("e");
      world.pass(10 * 60_000);
      world.ask("f");
    },
    log: "dial 1, a on 1, b on 1, c on 1, a got A, dial 2, b on 2, dial 3, c on 3, b got B, c got C, dial 4, d on 4, dial 5, e on 5, f on 4",
  },
  {
    when: "one that loses what it is given at a time is given one at a time, again and again",
    limits: { ...httpsLimits },
    run(world) {
      for (const name of ["a", "b", "c"]) world.ask(name);
      world.reply(1, "a");
      world.pass(1_000);
      world.reply(2, "b");
      world.reply(3, "c");
      world.ask("d");
      world.ask("e");
      world.ask("f");
    },
    log: "dial 1, a on 1, b on 1, c on 1, a got A, close 1, dial 2, b on 2, dial 3, c on 3, b got B, c got C, d on 2, e on 3, dial 4, f on 4",
  },
  {
    when: "what stands between forgot the connection: after a second once more over a new one",
    run(world) {
      world.ask("a");
      world.reply(1, "a");
      world.pass(20_000);
      world.ask("b");
      world.pass(1_000);
      world.reply(2, "b");
      world.ask("c");
    },
    log: "dial 1, a on 1, a got A, b on 1, close 1, dial 2, b on 2, b got B, c on 2",
  },
  {
    when: "silence for a second gives the connection up, for others as well",
    limits: { ...httpsLimits },
    run(world) {
      for (const name of ["a", "b"]) world.ask(name);
      world.pass(1_500);
      world.giveUp("a");
      world.ask("c");
      world.reply(1, "b");
    },
    log: "dial 1, a on 1, b on 1, dial 2, c on 2, close 1, b got B",
  },
  {
    when: "a question that another server answered sooner leaves the connection as it is",
    run(world) {
      world.ask("a");
      world.pass(20);
      world.giveUp("a");
      world.ask("b");
    },
    log: "dial 1, a on 1, b on 1",
  },
  {
    when: "a slow name among others is no silence",
    limits: { ...httpsLimits },
    run(world) {
      world.ask("slow");
      for (const name of ["b", "c", "d", "e"]) {
        world.pass(400);
        world.ask(name);
        world.reply(1, name);
      }
      world.giveUp("slow");
      world.ask("f");
    },
    log: "dial 1, slow on 1, b on 1, b got B, c on 1, c got C, d on 1, d got D, e on 1, e got E, f on 1",
  },
  {
    when: "a server that says it will close gets nothing more, and may finish",
    limits: { ...httpsLimits },
    run(world) {
      world.ask("a");
      world.drains(1);
      world.ask("b");
      world.reply(1, "a");
    },
    log: "dial 1, a on 1, dial 2, b on 2, close 1, a got A",
  },
  {
    when: "one question fails, its connection stands",
    run(world) {
      world.ask("a");
      world.refuse(1, "a", "HTTP 503");
      world.ask("b");
    },
    log: "dial 1, a on 1, a failed HTTP 503, b on 1",
  },
  {
    when: "full: an idle connection to another server makes room; if there is none the question fails",
    limits: { total: 2 },
    run(world) {
      world.ask("a", 1);
      world.ask("b", 2);
      world.reply(2, "b");
      world.ask("c", 3);
      world.ask("d", 4);
    },
    log: "dial 1, a on 1, dial 2, b on 2, b got B, close 2, dial 3, c on 3, d failed TOO_MANY_SOCKETS",
  },
  {
    when: "every connection full: the question fails",
    limits: { perServer: 1, perConnection: 2 },
    run(world) {
      for (const name of ["a", "b", "c"]) world.ask(name);
    },
    log: "dial 1, a on 1, b on 1, c failed TOO_MANY_SOCKETS",
  },
  {
    when: "a line that takes one at a time",
    limits: { ...httpsLimits },
    run(world) {
      world.ask("a");
      world.shrink(1);
      world.ask("b");
    },
    log: "dial 1, a on 1, dial 2, b on 2",
  },
];

for (const { when, limits, run, log } of scenes)
  t.test(when, async (t) => {
    const world = createWorld(limits);
    run(world);
    t.equal(world.log.join(", "), log);
    world.end();
    t.equal(world.openCount(), 0);
    world.pass(60_000);
    t.equal(world.timersSet(), 0, "nothing is left behind");
  });

t.test("nothing is told after the end", async (t) => {
  const world = createWorld();
  world.ask("a");
  world.end();
  world.ends(1, "ECONNRESET");
  t.equal(world.log.join(", "), "dial 1, a on 1, close 1");
});

/** The usual ones stand twice. */
const moves = "ask ask reply reply refuse untouched drains ends shrink leave time".split(" ");

t.test(
  "whatever happens to connections, a question ends once and crosses two at most",
  async () => {
    const anyEvent = fc.record({
      what: fc.constantFrom(...moves),
      which: fc.nat(30),
      server: fc.integer({ min: 1, max: 3 }),
      ms: fc.constantFrom(1, 400, 1000, 31_000),
    });
    const property = fc.property(
      fc.array(anyEvent, { maxLength: 80 }),
      fc.constantFrom<Partial<ConnectionLimits>>(
        {},
        { total: 2 },
        { perServer: 2, perConnection: 2 },
        httpsLimits,
      ),
      (events, limits) => {
        const world = createWorld(limits);
        const standing = () => world.lines().filter(({ closed }) => !closed);
        const given = new Set<string>();
        let count = 0;
        for (const { what, which, server, ms } of events) {
          const open = standing();
          const line = open[which % Math.max(1, open.length)];
          const name = [...(line?.asked.keys() ?? [])][0];
          if (what === "ask") world.ask(`q${count++}`, server);
          else if (what === "time") world.pass(ms);
          else if (what === "leave" && count > 0) {
            given.add(`q${which % count}`);
            world.giveUp(`q${which % count}`);
          } else if (line === undefined) continue;
          else if (what === "drains") world.drains(line.number);
          else if (what === "shrink") world.shrink(line.number);
          else if (what === "ends") {
            world.ends(line.number);
            line.closed = true;
          } else if (name === undefined) continue;
          else if (what === "reply") world.reply(line.number, name);
          else {
            world.refuse(line.number, name, "HTTP 503", what === "untouched");
            line.asked.delete(name);
          }
        }
        for (let i = 0; i < count; i++) {
          const ends = world.log.filter((line) => new RegExp(`^q${i} (got|failed)`).test(line));
          const sent = world.log.filter((line) => line.startsWith(`q${i} on `));
          const waits = standing().some(({ asked }) => asked.has(`q${i}`));
          if (ends.length > 1) throw new Error(`q${i}: ${ends.join()}`);
          if (sent.length > 2) throw new Error(`q${i}: ${sent.join()}`);
          if (ends.length === 0 && !waits && !given.has(`q${i}`)) throw new Error(`q${i} is lost`);
        }
        if (world.openCount() !== standing().length)
          throw new Error(`${world.openCount()} of ${standing().length} connections are known`);
        if (standing().length > (limits.total ?? Infinity)) throw new Error("too many connections");
        world.end();
        if (standing().length > 0) throw new Error("a connection stays open");
        if (world.timersSet() > 0) throw new Error(`${world.timersSet()} timers are left`);
      },
    );
    fc.assert(property, { numRuns: Number(process.env["CONNECTIONS_RUNS"] ?? 1500), seed: 2 });
  },
);
