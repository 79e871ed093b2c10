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

/**
 * A reader of the log, with a level and a form of its own. `write` gives false for a line that
 * it has no room for: it is counted as left out.
 */
export type Follower = { level: LogLevel; json: boolean; write(line: string): boolean };

/** Address of a peer or listener: IP literal without brackets, port 0..65535. */
export type SocketAddress = { address: string; port: number };

/** A socket that was bound by whoever started this process and left open for it. */
export type InheritedSocket = SocketAddress & {
  readonly fd: number;
  readonly transport: "udp" | "tcp";
};

/** What carries a question: a datagram, or a connection with nothing, TLS or HTTPS in it. */
export type Transport = "udp" | "tcp" | "tls" | "https";

/** An upstream DNS server, and how it is asked. */
export type Upstream = SocketAddress & {
  /** How it is asked; not given: "udp", with TCP for what is truncated. */
  readonly transport?: Transport;
  /** Name that its certificate must hold (tls, https); not given: its address. */
  readonly tlsName?: string;
  /** Path of the URL (https); not given: "/dns-query". */
  readonly path?: string;
  /** Where questions to it come from; not given: what the system chooses. */
  readonly source?: {
    readonly address?: string;
    readonly interface?: string;
    readonly port?: number;
  };
};

/** A place where HTTP listens: an address, or the path of a Unix socket. */
export type HttpAddress = SocketAddress | { path: string };

/** What an HTTPS listener is made of; all texts are PEM. */
export type HttpsIdentity = {
  readonly cert: string;
  readonly key: string;
  /** Authorities that sign clients' certificates; empty: none given. */
  readonly ca: readonly string[];
  /** Clients without a certificate of these authorities are refused. */
  readonly verifyIncoming: boolean;
  /** Version of the record protocol: 0x0301 is TLS 1.0, 0x0304 is TLS 1.3. */
  readonly minVersion: number;
  /** OpenSSL's names, separated by colons, for TLS 1.2 and older; undefined: the library's choice. */
  readonly ciphers: string | undefined;
};

/** Who asked a question. */
export type Client = SocketAddress & { transport: Transport };

/**
 * Datagram exchanges with upstream servers. Each exchange has a socket of its own, bound to its own
 * random port and connected to the server, so the kernel drops what comes from elsewhere.
 */
export type Exchanges = {
  /**
   * `datagram` gets every packet from that server (id and question are for the caller to check; the
   * octets are the caller's from then on), `error` a word such as ECONNREFUSED or EMFILE, once.
   */
  open(
    server: Upstream,
    on: {
      datagram(wire: Uint8Array): void;
      error(code: string): void;
      /** Over a connection: whether it had carried a question before. */
      carried?(isReused: boolean): void;
    },
  ): Exchange;
  /** Sockets open now. */
  readonly openCount: number;
  close(): void;
};

/** Where the source ports of datagrams come from; asked for every question, so that a reload counts. */
export type SourcePorts = {
  /** Each is drawn from these at random; null: the system draws, from its own range. */
  range(): { min: number; max: number } | null;
  /** Ports of our own that are never used. */
  taken(): readonly number[];
};

/** A descriptor of a stream that is being connected through the server's `source.interface`. */
export type OpenStreamFrom = (server: Upstream) => { fd: number } | { error: string };

/** One question on its socket; after `close` nothing is reported any more. */
export type Exchange = { send(wire: Uint8Array): void; close(): void };

/**
 * One row of a durable log; indexes start at 1 and have no gaps, except before a `restore`, which
 * marks where a user's snapshot replaced everything (its data names the file). `command` goes to the
 * state machine.
 */
export type LogRow = { index: number; term: number; kind: "command" | "restore"; data: Uint8Array };

/** A snapshot file of the store: what it holds ends with entry `index` of `term`. */
export type SnapshotFile = { index: number; term: number; octets: number; name: string };

/** A whole transaction: durable, or rolled back without a trace (disk full). */
export type Stored = { stored: true } | { stored: false; reason: string };

/** What a store holds at start. Draw `entries` after the snapshot was read; both are verified as they are read. */
export type LoadedLog = {
  clusterId: string;
  serverId: string;
  /** Highest term used so far; 0 in a new store. */
  term: number;
  /** Index of the last row; 0 in a new store. */
  lastIndex: number;
  snapshot: SnapshotFile | null;
  /** Rows after the snapshot, in order, in batches of at most 256 KiB (or one row). */
  entries: AsyncIterable<readonly LogRow[]>;
};

/** Free and total octets of the file system that holds the store. */
export type DiskSpace = { freeOctets: number; totalOctets: number };

/**
 * Durable home of one log. Calls overlap freely except `append`: one at a time. A promise that
 * rejects means that the store is dead and that nothing is known about the call's effect.
 */
export type LogStore = {
  /** Once, first. Rejects when something is damaged; the message names file, finding and remedy. */
  load(): Promise<LoadedLog>;
  /** Resolves when every row is durable. */
  append(rows: readonly LogRow[]): Promise<Stored>;
  /** Writes and syncs a snapshot file; it counts only after `recordSnapshot`. One at a time. */
  writeSnapshot(
    at: { index: number; term: number },
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ stored: true; file: SnapshotFile } | { stored: false; reason: string }>;
  /** The chunks as they were written. Throws on damage, at the latest at the end. */
  readSnapshot(file: SnapshotFile): AsyncIterable<Uint8Array>;
  /** Makes it the snapshot to start from; `restored` (if any) becomes the last row in the same transaction. */
  recordSnapshot(file: SnapshotFile, restored: LogRow | null): Promise<Stored>;
  /** Forgets a file that was not recorded. */
  discardSnapshot(file: SnapshotFile): Promise<void>;
  /** Deletes rows below `keepFrom` in slices, letting appends pass between them. */
  trim(keepFrom: number): Promise<void>;
  /** Gauges and counters: `commit_total`, `fsync_seconds_sum`, `store_octets`, ... */
  stats(): Record<string, number>;
  /** Reports disk space at start and about every second. */
  onSpace(listener: (space: DiskSpace) => void): Cancel;
  /** Reports the death of the store, once, also when nothing is under way. */
  onFailure(listener: (reason: string) => void): Cancel;
  /** Waits for what is under way, writes the final marker, lets go of the files. */
  close(): Promise<void>;
};

/**
 * Sends one ICMP echo request to an IP literal; `result` comes with the reply, or after `cancel` as
 * not alive. It never rejects: an address that cannot be sent to is not alive.
 */
export type Ping = (ip: string) => {
  result: Promise<{ alive: boolean; rttMs: number }>;
  cancel: Cancel;
};

/** A pipe that a program writes to and this process reads. */
export type OutputPipe = {
  /** Descriptor to hand to the program. */
  readonly writer: number;
  /** To be called once the program has its own copy, or could not be started. */
  closeWriter(): void;
  /** What is written, in order; ends when nobody can write any more, or after `close`. */
  readonly octets: AsyncIterable<Uint8Array>;
  /** Lets go of the reading end; whoever still writes gets SIGPIPE. */
  close(): void;
};

/** Opens a pipe; the error is a word such as EMFILE. */
export type OpenPipe = () => OutputPipe | { readonly error: string };
