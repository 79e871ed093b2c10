// Servers with a fixed source port: one socket, whose replies find their question by id.
import t from "tap";
import { createSharedPorts } from "../../src/forwarder/shared-port.ts";
import type { Exchanges, Upstream } from "../../src/ports.ts";

type Listener = Parameters<Exchanges["open"]>[1];

function createWorld() {
  const log: string[] = [];
  const sockets: { server: Upstream; on: Listener }[] = [];
  let run: (() => void) | undefined;
  const exchanges = createSharedPorts(
    {
      open(server, on) {
        const number = sockets.push({ server, on });
        log.push(`open ${number}`);
        return {
          send: (wire) => log.push(`${number} sends ${wire[1]}`),
          close: () => log.push(`close ${number}`),
        };
      },
      openCount: 0,
      close: () => log.push("close all"),
    },
    {
      after(_ms, then) {
        run = then;
        return () => (run = undefined);
      },
    },
  );
  return {
    log,
    exchanges,
    ask(name: string, server: Upstream, id: number) {
      const exchange = exchanges.open(server, {
        datagram: (wire) => log.push(`${name} got ${wire[1]}`),
        error: (code) => log.push(`${name} failed ${code}`),
      });
      exchange.send(Uint8Array.of(0, id));
      return exchange;
    },
    comes: (number: number, id: number) => sockets[number - 1]!.on.datagram(Uint8Array.of(0, id)),
    fails: (number: number, code: string) => sockets[number - 1]!.on.error(code),
    idle: () => run?.(),
  };
}

const fixed: Upstream = { address: "192.0.2.1", port: 53, source: { port: 5353 } };

t.test("replies by id, guesses to everyone, late ones to nobody; closed when idle", async (t) => {
  const world = createWorld();
  const first = world.ask("a", fixed, 1);
  const second = world.ask("b", fixed, 2);
  world.comes(1, 2);
  world.comes(1, 9);
  first.close();
  world.comes(1, 1);
  second.close();
  world.idle();
  world.ask("c", fixed, 3);
  t.equal(
    world.log.join(", "),
    "open 1, 1 sends 1, 1 sends 2, b got 2, a got 9, b got 9, close 1, open 2, 2 sends 3",
  );
});

t.test("the same id twice: both look at the reply", async (t) => {
  const world = createWorld();
  world.ask("a", fixed, 1);
  world.ask("b", fixed, 1);
  world.comes(1, 1);
  t.equal(world.log.join(", "), "open 1, 1 sends 1, 1 sends 1, a got 1, b got 1");
});

t.test("an error is everyone's, and the next question has a new socket", async (t) => {
  const world = createWorld();
  world.ask("a", fixed, 1);
  world.ask("b", fixed, 2);
  world.fails(1, "ECONNREFUSED");
  world.ask("c", fixed, 3);
  t.equal(
    world.log.join(", "),
    "open 1, 1 sends 1, 1 sends 2, close 1, a failed ECONNREFUSED, b failed ECONNREFUSED, open 2, 2 sends 3",
  );
});

t.test("other servers have a socket for each question", async (t) => {
  const world = createWorld();
  const plain: Upstream = { address: "192.0.2.1", port: 53 };
  world.ask("a", plain, 1);
  world.ask("b", plain, 2);
  world.exchanges.close();
  t.equal(world.log.join(", "), "open 1, 1 sends 1, open 2, 2 sends 2, close all");
});

t.test(
  "a socket that cannot be opened fails the question, and the next one tries again",
  async (t) => {
    const heard: string[] = [];
    let opened = 0;
    const exchanges = createSharedPorts(
      {
        open(_server, on) {
          opened++;
          on.error("EADDRINUSE");
          return { send() {}, close() {} };
        },
        openCount: 0,
        close() {},
      },
      { after: () => () => {} },
    );
    for (let i = 0; i < 2; i++) {
      const on = { datagram() {}, error: (code: string) => void heard.push(code) };
      const exchange = exchanges.open(fixed, on);
      exchange.send(Uint8Array.of(0, i));
      exchange.close();
    }
    t.same(heard, ["EADDRINUSE", "EADDRINUSE"]);
    t.equal(opened, 2);
  },
);
