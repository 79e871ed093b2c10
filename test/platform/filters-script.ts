/** What the kernel is told about listeners, and what happens where it refuses; driven by filters.test.ts. */
import { createServer } from "node:net";
import type { Log } from "../../src/ports.ts";
import { log, platform, serveCalls } from "./script.ts";

type OwnSockets = {
  count(): number;
  list(): { fd: number; port: number; listens: boolean }[];
};
type Libc = {
  socket(family: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, octets: number): number;
  recv(fd: number, into: Uint8Array, octets: bigint, flags: number): number;
  close(fd: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, octets: number): number;
};
type Gate = { look(): void };
type CreateGate = (libc: Libc, options: { limit: number; sockets: OwnSockets; log: Log }) => Gate;

const { openLibc } = await platform<{ openLibc: () => Libc }>("libc.ts");
const { createOwnSockets } = await platform<{ createOwnSockets: (libc: Libc) => OwnSockets }>(
  "own-sockets.ts",
);
const { createDescriptorGate } = await platform<{ createDescriptorGate: CreateGate }>(
  "descriptor-gate.ts",
);
const { steerToUs } = await platform<{
  steerToUs: (ports: ReadonlySet<number>, log: Log) => () => void;
}>("steer.ts");
const { passOn } = await platform<{
  passOn: (ports: ReadonlySet<number>, log: Log) => Promise<void>;
}>("takeover.ts");

const SOL_SOCKET = 1;
const SO_LOCK_FILTER = 44;
const SOCK_STREAM_NONBLOCK = 0o4001;
const MSG_DONTWAIT = 0x40;

const libc = openLibc();
const sockets = createOwnSockets(libc);
let port = 0;
let gate: Gate;

serveCalls({
  /** A listener of this process; `locked`: the kernel refuses filters for it (EPERM). */
  async listen(locked: boolean, reusePort: boolean) {
    const server = createServer();
    await new Promise<void>((bound) =>
      server.listen({ host: "127.0.0.1", port: 0, reusePort }, bound),
    );
    ({ port } = server.address() as { port: number });
    const own = sockets.list().find((each) => each.listens && each.port === port)!;
    if (locked) libc.setsockopt(own.fd, SOL_SOCKET, SO_LOCK_FILTER, Uint8Array.of(1, 0, 0, 0), 4);
  },
  /** Leaves `free` descriptors, and looks. */
  look(free: number) {
    const limit = sockets.count() + free;
    gate = createDescriptorGate(libc, { limit, sockets, log });
    gate.look();
  },
  /**
   * Connects, looks, and reads, in one turn of the event loop, so that nobody else accepts: "hung up",
   * or "waiting" for a connection that nobody touched.
   */
  connect() {
    const fd = libc.socket(2, SOCK_STREAM_NONBLOCK, 0);
    libc.connect(
      fd,
      Uint8Array.of(2, 0, port >> 8, port & 255, 127, 0, 0, 1, ...Array(8).fill(0)),
      16,
    );
    gate.look();
    const octets = libc.recv(fd, new Uint8Array(1), 1n, MSG_DONTWAIT);
    libc.close(fd);
    return octets === 0 ? "hung up" : "waiting";
  },
  steer: () => steerToUs(new Set([port]), log)(),
  passOn: () => passOn(new Set([port]), log),
});
