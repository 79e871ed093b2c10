/**
 * What the core may ask of the world. Types only: production hands in the real thing, tests a
 * simulated one. Nothing here may be implemented in this file.
 */

/** Monotonic milliseconds (fractions allowed) for timers and ages; wall milliseconds for data. */
export type Clock = {
  /** Never goes back; only differences mean something. */
  monotonicMs(): number;
  /** Milliseconds since 1970; may jump. */
  wallMs(): number;
};

/** Cancels a timer or a subscription; calling it twice does nothing. */
export type Cancel = () => void;

/** One-shot timers on the owner's event loop. */
export type Timers = { after(delayMs: number, run: () => void): Cancel };

/** Cryptographically secure randomness. */
export type Random = {
  /** An integer from 0 to 2^32 - 1. */
  uint32(): number;
  /** Random UUID (version 4), lower case. */
  uuid(): string;
};

/** Severity of a log line, as Consul's `log_level`. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** One line per call; `fields` are appended as key=value. Secrets never go here. */
export type Log = (level: LogLevel, message: string, fields?: Record<string, unknown>) => void;

/** Address of a peer or listener: IP literal without brackets, port 0..65535. */
export type SocketAddress = { address: string; port: number };

/** Who asked a question. */
export type Client = SocketAddress & { transport: "udp" | "tcp" };

/**
 * Datagram exchanges with upstream servers. Each exchange has a socket of its own, bound to its own
 * random port and connected to the server, so the kernel drops what comes from elsewhere.
 */
export type Exchanges = {
  /**
   * `datagram` gets every packet from that server (id and question are for the caller to check; the
   * octets are valid during the call only), `error` a word such as ECONNREFUSED or EMFILE, once.
   */
  open(
    server: SocketAddress,
    on: { datagram(wire: Uint8Array): void; error(code: string): void },
  ): Exchange;
  /** Sockets open now. */
  readonly openCount: number;
  close(): void;
};

export type Exchange = { send(wire: Uint8Array): void; close(): void };
