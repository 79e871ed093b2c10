/**
 * Datagram exchanges with upstream servers, one socket and one port each, through bun:ffi.
 *
 * An exchange that ends dissolves the association of its socket (connect to AF_UNSPEC), which gives
 * the port back and takes the socket out of the system's table; the next exchange connects it anew,
 * and the system draws another port, at random from its ephemeral range (get_random_u32, 28,232 ports
 * by default). A new socket with bind, connect, epoll_ctl and close for every question cost 13.4 us of
 * CPU with its datagram, this way costs 6.1 us (AMD EPYC, Linux 6.18, C loop over loopback).
 *
 * Sockets are opened, written, read and closed by the main thread alone, so a descriptor can never be
 * read on behalf of an exchange that is over. A thread of its own (upstream-watch.ts) only waits for
 * input while the main thread sleeps, and rings.
 */
import { ptr } from "bun:ffi";
import type { Exchange, Exchanges, Log, SourcePorts, Upstream } from "../ports.ts";
import { drawPort } from "../address.ts";
import { mainDoorbell } from "./doorbell.ts";
import { type Epoll, openEpoll } from "./epoll.ts";
import { descriptorLimit, EAGAIN, EINTR, errnoOf, errorName } from "./libc.ts";
import { type Libc, openLibc, pinned } from "./libc.ts";
import { AF_INET, SOCKADDR_OCTETS, sockaddrLength, toSockaddr } from "./sockaddr.ts";
import { bindSource } from "./source-socket.ts";
import { superviseThread } from "./threads.ts";
import { type WatchStart, WATCHING } from "./upstream-watch.ts";

/** Bound of sockets open at once; one more gives the error EMFILE. As unbound's outgoing-range. */
const EXCHANGE_SOCKETS_MAX = 4096;
/** Descriptors left to everything else (HTTP, TCP, store) out of the process's limit. */
const DESCRIPTORS_KEPT = 512;
/** Of a limit too small to keep so many, this share serves exchanges. */
const DESCRIPTORS_SHARE = 0.5;

/** Sockets kept between exchanges; those above are closed. */
const IDLE_SOCKETS_MAX = 512;
/** So many released ones are worth a look of their own; fewer are read empty one by one. */
const RELEASED_MANY = 16;

/** Ports drawn for one question; when all are taken it fails with EADDRINUSE. */
const PORT_ATTEMPTS = 16;
/** Addresses whose structure is remembered; more than any list of upstreams. When full: all forgotten. */
const SERVERS_REMEMBERED = 256;
/** Sockets named by one look; with more ready than that nothing is known of the others. */
const READY_MAX = 256;
/** Datagrams read from one socket in a row, so that a flood to one port does not hold up the others. */
const READS_PER_SOCKET = 16;
const DATAGRAM_OCTETS = 65536;

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const EFD_CLOEXEC = 0o2000000;

type Listener = Parameters<Exchanges["open"]>[1];
const randomUint32 = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;
type Range = NonNullable<ReturnType<SourcePorts["range"]>>;
type Server = {
  family: number;
  sockaddr: Uint8Array;
  address: number;
  source: Upstream["source"];
};
/**
 * Places of sockets of one family that wait for their next exchange. `empty`: a look at epoll since
 * their release has not named them, so nothing is left in them. `released`: not yet looked at.
 */
type Idle = { empty: number[]; released: number[] };

/** Exchanges over bun:ffi, or null where the C library is not at hand. Main thread only. */
export function createExchanges(log: Log, ports: SourcePorts): Exchanges | null {
  const libc = openLibc();
  if (libc === null) return null;
  const bell = mainDoorbell();
  const epoll = openEpoll(libc, -1, READY_MAX);
  const watch = startWatch(libc, epoll, bell.memory, bell.rung, log);
  const pool = new SocketPool(libc, epoll, watch.fd, ports);
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
  readonly #max: number;
  readonly #ports: SourcePorts;
  readonly #servers = new Map<Upstream, Server>();
  /** Place → exchange that uses its socket; tags in epoll are places. */
  readonly #exchanges: (UdpExchange | undefined)[] = [];
  /** Place → descriptor, -1 for a place without one. */
  readonly #fds: number[] = [];
  readonly #emptyPlaces: number[] = [];
  /** Sockets without port and peer. */
  readonly #idle4: Idle = { empty: [], released: [] };
  readonly #idle6: Idle = { empty: [], released: [] };
  #idleCount = 0;
  /** Outside `drain`, whose events another look would overwrite, and not yet done since. */
  #mayLook = true;
  /** AF_UNSPEC, which dissolves the association of a datagram socket (connect(2)). */
  readonly #nobody = pinned(SOCKADDR_OCTETS);
  readonly #outgoing = pinned(DATAGRAM_OCTETS);
  readonly #incoming = pinned(DATAGRAM_OCTETS);
  openCount = 0;

  constructor(libc: Libc, epoll: Epoll, newestFd: number, ports: SourcePorts) {
    this.#libc = libc;
    this.#ports = ports;
    this.#epoll = epoll;
    const left = descriptorLimit(libc) - newestFd;
    const available = Math.max(left - DESCRIPTORS_KEPT, Math.floor(left * DESCRIPTORS_SHARE));
    this.#max = Math.max(1, Math.min(EXCHANGE_SOCKETS_MAX, available));
  }

  open(at: Upstream, on: Listener): Exchange {
    const exchange = new UdpExchange(this, on);
    const server = this.#servers.get(at) ?? this.#server(at);
    const range = this.#ports.range();
    if (server === undefined) exchange.fail("EINVAL");
    else if (this.openCount >= this.#max) exchange.fail("EMFILE");
    else if (range === null && server.source === undefined) this.#connect(exchange, server);
    else this.#connectFrom(exchange, server, range);
    return exchange;
  }

  /**
   * From an interface, address or port that was chosen: by a socket of its own, which cannot be bound a
   * second time, so it is closed in the end. One to a fixed port serves all questions: see shared-port.ts.
   */
  #connectFrom(exchange: UdpExchange, server: Server, range: Range | null): void {
    const { family, source } = server;
    const taken = this.#ports.taken();
    const fixed = source?.port;
    if (fixed !== undefined && taken.includes(fixed))
      return exchange.fail(`EADDRINUSE: source port ${fixed} is where we listen`);
    for (let left = PORT_ATTEMPTS; ; left--) {
      const port = fixed ?? (range === null ? 0 : drawPort(range, taken, randomUint32));
      const place = this.#createSocket(family);
      if (place < 0) return exchange.fail(errorName(-place));
      const fd = this.#fds[place]!;
      const refusal = bindSource(this.#libc, fd, { family, source, port });
      if (refusal === undefined) {
        if (this.#libc.connect(fd, server.address as never, sockaddrLength(family)) === 0) {
          exchange.isPooled = false;
          this.#use(exchange, place, family);
          // What came between the two calls is of nobody knows whom.
          this.#empty(fd);
          return;
        }
        const errno = errnoOf(this.#libc);
        this.#closeSocket(place);
        return exchange.fail(errorName(errno));
      }
      this.#closeSocket(place);
      const isDrawn = fixed === undefined && range !== null;
      const mayDrawAgain = refusal === "EADDRINUSE" || refusal === "EACCES";
      if (!isDrawn || !mayDrawAgain || left === 1) return exchange.fail(refusal);
    }
  }

  #use(exchange: UdpExchange, place: number, family: number): void {
    exchange.fd = this.#fds[place]!;
    exchange.place = place;
    exchange.family = family;
    this.#exchanges[place] = exchange;
    this.openCount++;
  }

  #connect(exchange: UdpExchange, server: Server): void {
    const { family } = server;
    const length = sockaddrLength(family);
    const { empty, released } = this.#idleOf(family);
    if (this.#mayLook && empty.length === 0 && released.length >= RELEASED_MANY) {
      this.#mayLook = false;
      this.#settleIdle(this.#epoll.wait(0));
    }
    for (;;) {
      const checked = empty.pop();
      const kept = checked ?? released.pop();
      if (kept !== undefined) this.#idleCount--;
      const place = kept ?? this.#createSocket(family);
      if (place < 0) return exchange.fail(errorName(-place));
      const fd = this.#fds[place]!;
      const isEmpty = kept === undefined || checked !== undefined || this.#empty(fd);
      if (isEmpty && this.#libc.connect(fd, server.address as never, length) === 0) {
        this.#use(exchange, place, family);
        return;
      }
      const errno = errnoOf(this.#libc);
      this.#closeSocket(place);
      // A kept socket may hold an error of its former exchange; a fresh one says the truth.
      if (kept === undefined) return exchange.fail(errorName(errno));
    }
  }

  /**
   * Takes what came late for the exchange before, datagrams and the error of an ICMP message: the next
   * one must not see it. Without a port nothing more can arrive. False: too much to be worth it.
   */
  #empty(fd: number): boolean {
    const { address } = this.#incoming;
    for (let reads = 0; reads < READS_PER_SOCKET; reads++)
      if (
        this.#libc.recv(fd, address as never, DATAGRAM_OCTETS, MSG_DONTWAIT) < 0 &&
        errnoOf(this.#libc) === EAGAIN
      )
        return true;
    return false;
  }

  /** Place of a new socket that is watched, or a negative errno. */
  #createSocket(family: number): number {
    const libc = this.#libc;
    const fd = libc.socket(family, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) return -errnoOf(libc);
    const place = this.#emptyPlaces.pop() ?? this.#fds.length;
    this.#fds[place] = fd;
    if (this.#epoll.add(fd, place)) return place;
    const errno = errnoOf(libc);
    this.#closeSocket(place);
    return -errno;
  }

  #closeSocket(place: number): void {
    this.#libc.close(this.#fds[place]!);
    this.#fds[place] = -1;
    this.#emptyPlaces.push(place);
  }

  #idleOf(family: number): Idle {
    return family === AF_INET ? this.#idle4 : this.#idle6;
  }

  /** Remembered by object: the same server is given as the same one, question after question. */
  #server(at: Upstream): Server | undefined {
    const sockaddr = toSockaddr(at);
    if (sockaddr === null) return undefined;
    if (this.#servers.size >= SERVERS_REMEMBERED) this.#servers.clear();
    const { source } = at;
    const server = { family: sockaddr[0]!, sockaddr, address: ptr(sockaddr), source };
    this.#servers.set(at, server);
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

  /** The exchange is over: its port is free from now on. `isSound` false: the socket had an error. */
  release(exchange: UdpExchange, family: number, isSound: boolean): void {
    const { fd, place } = exchange;
    this.#exchanges[place] = undefined;
    this.openCount--;
    const isKept =
      isSound &&
      exchange.isPooled &&
      this.#idleCount < IDLE_SOCKETS_MAX &&
      this.#libc.connect(fd, this.#nobody.address as never, sockaddrLength(family)) === 0;
    if (!isKept) {
      this.#closeSocket(place);
      return;
    }
    this.#idleOf(family).released.push(place);
    this.#idleCount++;
  }

  hasInput(): boolean {
    return this.#epoll.wait(0) > 0;
  }

  /** Reads what has arrived, about `limit` datagrams at most; their number. */
  drain(limit: number): number {
    let read = 0;
    this.#mayLook = false;
    while (this.openCount > 0 && read < limit) {
      const count = this.#epoll.wait(0);
      // Before anything is read: what is read may open exchanges, which take idle sockets.
      this.#settleIdle(count);
      for (let i = 0; i < count; i++) {
        const exchange = this.#exchanges[this.#epoll.tag(i)];
        if (exchange !== undefined) read += this.#read(exchange);
      }
      if (count < READY_MAX) break;
    }
    this.#mayLook = true;
    return read;
  }

  /**
   * After a look at epoll that named `count`. Idle sockets among them hold what came late: they are
   * emptied, else they would be ready for ever. If it named all that are ready, every other idle socket
   * was empty, and without a port it stays so.
   */
  #settleIdle(count: number): void {
    let namedAll = count < READY_MAX;
    for (let i = 0; i < count; i++) {
      const place = this.#epoll.tag(i);
      if (place < 0 || this.#exchanges[place] !== undefined) continue;
      if (!this.#empty(this.#fds[place]!)) namedAll = false;
    }
    if (!namedAll) return;
    settle(this.#idle4);
    settle(this.#idle6);
  }

  #read(exchange: UdpExchange): number {
    const { octets, address } = this.#incoming;
    let reads = 0;
    while (reads < READS_PER_SOCKET && exchange.fd >= 0) {
      reads++;
      const length = this.#libc.recv(exchange.fd, address as never, DATAGRAM_OCTETS, MSG_DONTWAIT);
      if (length >= 0) exchange.on.datagram(octets.slice(0, length));
      else {
        const errno = errnoOf(this.#libc);
        if (errno === EAGAIN) break;
        if (errno !== EINTR) exchange.fail(errorName(errno));
      }
    }
    return reads;
  }

  closeAll(): void {
    for (const exchange of this.#exchanges) exchange?.close();
    for (const [place, fd] of this.#fds.entries()) if (fd >= 0) this.#closeSocket(place);
    for (const { empty, released } of [this.#idle4, this.#idle6])
      empty.length = released.length = 0;
    this.#idleCount = 0;
  }
}

function settle({ empty, released }: Idle): void {
  for (const place of released) empty.push(place);
  released.length = 0;
}

class UdpExchange implements Exchange {
  readonly #pool: SocketPool;
  readonly on: Listener;
  /** -1: not open. */
  fd = -1;
  place = -1;
  family = 0;
  /** The socket may serve another exchange. */
  isPooled = true;
  #isOver = false;

  constructor(pool: SocketPool, on: Listener) {
    this.#pool = pool;
    this.on = on;
  }

  send(wire: Uint8Array): void {
    if (this.fd >= 0) this.#pool.send(this, wire);
  }

  close(): void {
    this.#end(true);
  }

  #end(isSound: boolean): void {
    this.#isOver = true;
    if (this.fd < 0) return;
    this.#pool.release(this, this.family, isSound);
    this.fd = -1;
  }

  /** Closes and tells the owner: once, and never before the call under way has returned. */
  fail(code: string): void {
    if (this.#isOver) return;
    this.#end(false);
    queueMicrotask(() => this.on.error(code));
  }
}
