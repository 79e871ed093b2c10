import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import t, { type Test } from "tap";
import { startTcpFront } from "../../src/dns/driver.ts";
import { startOnSamePorts, type Fronts } from "../../src/dns/same-ports.ts";
import type { SocketAddress } from "../../src/ports.ts";
import { freePort } from "../free-port.mjs";

type Udp = { addresses: SocketAddress[]; close(): Promise<void> };
type Tcp = Awaited<ReturnType<typeof startTcpFront>>;
const address = "127.0.0.1";

/** Sockets of the system; where port 0 is asked for, `choices` are what the system gives, in order. */
function startWith(choices: number[]) {
  const tried: number[] = [];
  let openCount = 0;
  const start: Fronts<Udp, Tcp> = {
    async udp([asked]) {
      const port = asked!.port === 0 ? choices[tried.length]! : asked!.port;
      tried.push(port);
      const socket = createSocket("udp4").bind(port, address);
      await once(socket, "listening");
      openCount++;
      return {
        addresses: [{ address, port }],
        close: async () => {
          socket.close();
          await once(socket, "close");
          openCount--;
        },
      };
    },
    tcp: (listen) =>
      startTcpFront({
        listen,
        resolve: (_, reply) => reply(null),
        clock: { monotonicMs: () => 0, wallMs: () => 0 },
        timers: { after: () => () => {} },
        log: () => {},
      }),
  };
  return { start, tried, openCount: () => openCount };
}

/** A port on which somebody else has a TCP listener. */
async function takenPort(t: Test): Promise<number> {
  const port = await freePort();
  const server = createServer().listen(port, address);
  await once(server, "listening");
  t.teardown(() => server.close());
  return port;
}

t.test("a port of the system's choice that TCP cannot have is given back", async (t) => {
  const free = await freePort();
  const choices = [await takenPort(t), await takenPort(t), free, await freePort()];
  const world = startWith(choices);
  const { udp, tcp } = await startOnSamePorts([{ address, port: 0 }], world.start);
  t.same(world.tried, choices.slice(0, 3));
  t.same(udp.addresses, [{ address, port: free }]);
  t.same(tcp.addresses, udp.addresses);
  t.equal(world.openCount(), 1, "the sockets of the other tries are closed");
  await tcp.close();
  await udp.close();
});

t.test("a port that was asked for is tried once", async (t) => {
  const taken = await takenPort(t);
  const world = startWith([]);
  await t.rejects(startOnSamePorts([{ address, port: taken }], world.start), {
    message: new RegExp(
      `^DNS over TCP cannot listen on ${address} port ${taken}: another program uses it .EADDRINUSE.`,
    ),
  });
  t.same(world.tried, [taken]);
  t.equal(world.openCount(), 0);
});

t.test("it ends when no choice is any good", async (t) => {
  const taken = await takenPort(t);
  const world = startWith(Array.from({ length: 100 }, () => taken));
  await t.rejects(startOnSamePorts([{ address, port: 0 }], world.start), /EADDRINUSE/);
  t.equal(world.tried.length, 16);
  t.equal(world.openCount(), 0);
});
