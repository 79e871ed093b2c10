/**
 * Datagram exchanges with upstream servers, one socket each, through bun:ffi.
 *
 * Sockets are opened, written, read and closed by the main thread alone, so a descriptor can never be
 * read on behalf of an exchange that is over. A thread of its own (upstream-watch.ts) only waits for
 * input while the main thread sleeps, and rings.
 */
import { ptr } from "bun:ffi";
import type { Exchange, Exchanges, Log, SocketAddress } from "../ports.ts";
import { mainDoorbell } from "./doorbell.ts";
import { type Epoll, openEpoll } from "./epoll.ts";
import {
  EADDRINUSE,
  EAGAIN,
  EINTR,
  errnoOf,
  errorName,
  type Libc,
  openLibc,
  pinned,
} from "./libc.ts";
import { SOCKADDR_OCTETS, sockaddrLength, toSockaddr } from "./sockaddr.ts";
import { superviseThread } from "./threads.ts";
import { type WatchStart, WATCHING } from "./upstream-watch.ts";

/** Bound of sockets open at once; one more gives the error EMFILE. As unbound's outgoing-range. */
export const EXCHANGE_SOCKETS_MAX = 4096;
/** Descriptors left to everything else (HTTP, TCP, store) out of the process's limit. */
const DESCRIPTORS_KEPT = 512;
/** Of a limit too small to keep so many, this share serves exchanges. */
const DESCRIPTORS_SHARE = 0.5;

/** Ports drawn before the error EADDRINUSE; even with half of all ports taken it is 1 in 65536. */
const PORT_DRAWS = 16;
const PORT_MIN = 1024;
const PORT_COUNT = 65536 - PORT_MIN;
/** Random numbers drawn from the system at once. */
const RANDOM_POOL = 1024;

/** Addresses whose structure is remembered; more than any list of upstreams. When full: all forgotten. */
const SERVERS_REMEMBERED = 256;
const READY_MAX = 64;
/** Datagrams read from one socket in a row, so that a flood to one port does not hold up the others. */
const READS_PER_SOCKET = 16;
const DATAGRAM_OCTETS = 65536;

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const RLIMIT_NOFILE = 7;
const MSG_DONTWAIT = 0x40;
const EFD_CLOEXEC = 0o2000000;

type Listener = Parameters<Exchanges["open"]>[1];
type Server = { family: number; sockaddr: Uint8Array; address: number };

export type ExchangesOptions = {
  /** Ports never drawn: those the process listens on. */
  avoidPorts: readonly number[];
  log: Log;
};

/** Exchanges over bun:ffi, or null where the C library is not at hand. Main thread only. */
export function createExchanges({ avoidPorts, log }: ExchangesOptions): Exchanges | null {
  const libc = openLibc();
  if (libc === null) return null;
  const bell = mainDoorbell();
  const epoll = openEpoll(libc, -1, READY_MAX);
  const watch = startWatch(libc, epoll, bell.memory, bell.rung, log);
  const pool = new SocketPool(libc, epoll, new Set(avoidPorts), watch.fd);
  const detach = bell.attach({
    drain: (limit) => pool.drain(limit),
    flush: () => {},
    // Looked for again before sleeping, in the time between the last look and the watch's start.
    hasMore: () => pool.openCount > 0 && pool.hasInput(),
    beforeSleep: () => {
      if (pool.openCount > 0) watch.arm();
    },
  });
  return {
    open(server, on) {
      bell.attend();
      return pool.open(server, on);
    },
    get openCount() {
      return pool.openCount;
    },
    close() {
      detach();
      pool.closeAll();
      watch.end();
    },
  };
}

/** The thread that rings when an upstream answers while the main thread sleeps. */
function startWatch(
  libc: Libc,
  epoll: Epoll,
  bell: SharedArrayBuffer,
  onRing: () => void,
  log: Log,
) {
  const wake = libc.eventfd(0, EFD_CLOEXEC);
  if (wake < 0) throw new Error(`eventfd: ${errorName(errnoOf(libc))}`);
  epoll.add(wake, WAKE_TAG);
  const memory = new SharedArrayBuffer(64);
  const cells = new Int32Array(memory);
  const start: WatchStart = { epoll: epoll.fd, memory, bell };
  const thread = superviseThread({
    name: "upstream-watch",
    entry: new URL("./upstream-watch.ts", import.meta.url),
    start,
    onMessage: onRing,
    onRestart: () => {},
    log,
  });
  return {
    fd: wake,
    arm() {
      if (Atomics.compareExchange(cells, WATCHING, 0, 1) === 0) Atomics.notify(cells, WATCHING);
    },
    end() {
      const ended = thread.ended();
      Atomics.store(cells, WATCHING, -1);
      Atomics.notify(cells, WATCHING);
      const one = new BigUint64Array([1n]);
      libc.write(wake, ptr(one), 8);
      void ended.then(() => {
        libc.close(wake);
        libc.close(epoll.fd);
      });
    },
  };
}

/** Tag of the descriptor that ends the watch; sockets have their place in the pool. */
const WAKE_TAG = -1;

class SocketPool {
  readonly #libc: Libc;
  readonly #epoll: Epoll;
  readonly #avoidPorts: ReadonlySet<number>;
  readonly #max: number;
  readonly #servers = new Map<string, Server>();
  /** Place → exchange; places are reused, tags in epoll are places. */
  readonly #sockets: (UdpExchange | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #random = new Uint32Array(RANDOM_POOL);
  #randomLeft = 0;
  readonly #local = pinned(SOCKADDR_OCTETS);
  readonly #outgoing = pinned(DATAGRAM_OCTETS);
  readonly #incoming = pinned(DATAGRAM_OCTETS);
  openCount = 0;

  constructor(libc: Libc, epoll: Epoll, avoidPorts: ReadonlySet<number>, newestFd: number) {
    this.#libc = libc;
    this.#epoll = epoll;
    this.#avoidPorts = avoidPorts;
    const left = descriptorLimit(libc) - newestFd;
    const available = Math.max(left - DESCRIPTORS_KEPT, Math.floor(left * DESCRIPTORS_SHARE));
    this.#max = Math.max(1, Math.min(EXCHANGE_SOCKETS_MAX, available));
  }

  open({ address, port }: SocketAddress, on: Listener): Exchange {
    const exchange = new UdpExchange(this, on);
    const server = this.#server(address, port);
    if (server === undefined) exchange.fail("EINVAL");
    else if (this.openCount >= this.#max) exchange.fail("EMFILE");
    else this.#connect(exchange, server);
    return exchange;
  }

  #connect(exchange: UdpExchange, server: Server): void {
    const libc = this.#libc;
    const fd = libc.socket(server.family, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) {
      exchange.fail(errorName(errnoOf(libc)));
      return;
    }
    const place = this.#free.pop() ?? this.#sockets.length;
    const problem = this.#prepare(fd, server, place);
    if (problem !== 0) {
      libc.close(fd);
      this.#free.push(place);
      // So that `free` never holds a place behind the end.
      if (place === this.#sockets.length) this.#sockets.push(undefined);
      exchange.fail(errorName(problem));
      return;
    }
    exchange.fd = fd;
    exchange.place = place;
    this.#sockets[place] = exchange;
    this.openCount++;
  }

  /** Binds to a random port, connects, watches; errno, 0 if all went well. */
  #prepare(fd: number, server: Server, place: number): number {
    const libc = this.#libc;
    const bound = this.#bind(fd, server.family);
    if (bound !== 0) return bound;
    const length = sockaddrLength(server.family);
    if (libc.connect(fd, server.address as never, length) !== 0) return errnoOf(libc);
    return this.#epoll.add(fd, place) ? 0 : errnoOf(libc);
  }

  #bind(fd: number, family: number): number {
    const libc = this.#libc;
    const { octets, address } = this.#local;
    octets.fill(0);
    octets[0] = family;
    for (let draws = 0; draws < PORT_DRAWS; draws++) {
      const port = this.#drawPort();
      octets[2] = port >> 8;
      octets[3] = port & 0xff;
      if (libc.bind(fd, address as never, sockaddrLength(family)) === 0) return 0;
      const errno = errnoOf(libc);
      if (errno !== EADDRINUSE) return errno;
    }
    return EADDRINUSE;
  }

  /** Uniform over 1024..65535 without the ports to avoid. */
  #drawPort(): number {
    for (;;) {
      if (this.#randomLeft === 0) {
        crypto.getRandomValues(this.#random);
        this.#randomLeft = RANDOM_POOL;
      }
      const value = this.#random[--this.#randomLeft]!;
      // 2^32 is no multiple of the count: what lies above the last full multiple is drawn again.
      if (value >= Math.floor(2 ** 32 / PORT_COUNT) * PORT_COUNT) continue;
      const port = PORT_MIN + (value % PORT_COUNT);
      if (!this.#avoidPorts.has(port)) return port;
    }
  }

  #server(address: string, port: number): Server | undefined {
    const key = `${address} ${port}`;
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const sockaddr = toSockaddr({ address, port });
    if (sockaddr === null) return undefined;
    if (this.#servers.size >= SERVERS_REMEMBERED) this.#servers.clear();
    const server = { family: sockaddr[0]!, sockaddr, address: ptr(sockaddr) };
    this.#servers.set(key, server);
    return server;
  }

  send(exchange: UdpExchange, wire: Uint8Array): void {
    const { octets, address } = this.#outgoing;
    octets.set(wire);
    const sent = this.#libc.send(exchange.fd, address as never, wire.length, MSG_DONTWAIT);
    if (sent >= 0) return;
    const errno = errnoOf(this.#libc);
    // A full interface loses a datagram, as the way to the server may; the caller's timer sees to it.
    if (errno !== EAGAIN && errno !== EINTR) exchange.fail(errorName(errno));
  }

  release(exchange: UdpExchange): void {
    this.#libc.close(exchange.fd);
    this.#sockets[exchange.place] = undefined;
    this.#free.push(exchange.place);
    this.openCount--;
  }

  hasInput(): boolean {
    return this.#epoll.wait(0) > 0;
  }

  /** Reads what has arrived, about `limit` datagrams at most; their number. */
  drain(limit: number): number {
    let read = 0;
    while (this.openCount > 0 && read < limit) {
      const count = this.#epoll.wait(0);
      for (let i = 0; i < count; i++) {
        // Empty if a datagram read before it in this round made its owner close it.
        const exchange = this.#sockets[this.#epoll.tag(i)];
        if (exchange !== undefined) read += this.#read(exchange);
      }
      if (count < READY_MAX) break;
    }
    return read;
  }

  #read(exchange: UdpExchange): number {
    const { octets, address } = this.#incoming;
    let reads = 0;
    while (reads < READS_PER_SOCKET && exchange.fd >= 0) {
      reads++;
      const length = this.#libc.recv(exchange.fd, address as never, DATAGRAM_OCTETS, MSG_DONTWAIT);
      if (length >= 0) exchange.on.datagram(octets.subarray(0, length));
      else {
        const errno = errnoOf(this.#libc);
        if (errno === EAGAIN) break;
        if (errno !== EINTR) exchange.fail(errorName(errno));
      }
    }
    return reads;
  }

  closeAll(): void {
    for (const exchange of this.#sockets) exchange?.close();
  }
}

class UdpExchange implements Exchange {
  readonly #pool: SocketPool;
  readonly on: Listener;
  /** -1: not open. */
  fd = -1;
  place = -1;
  #isOver = false;

  constructor(pool: SocketPool, on: Listener) {
    this.#pool = pool;
    this.on = on;
  }

  send(wire: Uint8Array): void {
    if (this.fd >= 0) this.#pool.send(this, wire);
  }

  close(): void {
    this.#isOver = true;
    if (this.fd < 0) return;
    this.#pool.release(this);
    this.fd = -1;
  }

  /** Closes and tells the owner: once, and never before the call under way has returned. */
  fail(code: string): void {
    if (this.#isOver) return;
    this.close();
    queueMicrotask(() => this.on.error(code));
  }
}

/** Soft limit of open descriptors. */
function descriptorLimit(libc: Libc): number {
  const limits = new BigUint64Array(2);
  if (libc.getrlimit(RLIMIT_NOFILE, ptr(limits)) !== 0) return 1024;
  return Number(limits[0]! < 1_000_000n ? limits[0]! : 1_000_000n);
}
