/** The DNS listeners as the agent sees them: types only. src/platform implements UDP, dns/driver.ts TCP. */
import type { Client, Log, SocketAddress } from "../ports.ts";
import type { AnswerTable, Resolve, ServerNumber, SharedClock } from "./answer.ts";
import type { Fault } from "./faults.ts";

/** Where to listen; `fd`: a socket that is bound already and was left open for this process. */
export type ListenPlace = SocketAddress & { readonly fd?: number };

/** Where to listen and who answers what the table does not hold. */
export type DnsFrontOptions = {
  /** IP literals; a wildcard (0.0.0.0, ::) answers from the address that was asked. */
  listen: readonly ListenPlace[];
  /** Addresses may come later: threads start at once. Else they start with the first address. */
  listensLater?: boolean;
  /** Worker threads, each with its own SO_REUSEPORT socket per listen address. */
  workerCount: number;
  /** Octets of shared memory for prepared answers. */
  tableOctets: number;
  /** false: portable path without bun:ffi (same behaviour, slower). */
  batchedSystemCalls: boolean;
  /** Shared memory that says who may ask (gate.ts). */
  gate: SharedArrayBuffer;
  /** Asked for what the table does not hold; runs on the main thread. */
  resolve: Resolve;
  /** Hears, a little later, of sampled questions that were answered without `resolve`. */
  served?: (reply: Uint8Array, client: Client) => void;
  /** Numbers the listeners, for who counts what arrives there; absent: all are number 0. */
  serverOf?: ServerOf;
  /** Blocks of counters of each thread (cells.ts). Absent: one, for everything. */
  blocks?: number;
  /** Hears what `resolve` throws, beside the SERVFAIL; absent: the log does. */
  fault?: Fault;
  log: Log;
};

/** The number under which questions are counted that arrive at this address. */
export type ServerOf = (at: SocketAddress) => ServerNumber;

/** Counters summed over all workers, monotonic since the process started. */
export type DnsFrontCounters = {
  tableHits: number;
  tableMisses: number;
  /** Dropped because the miss queue was full (bound named in misses.ts). */
  missesDropped: number;
  /** Too short, QR set, or otherwise never to be answered. */
  ignored: number;
  workerRestarts: number;
  batches: number;
  /** Refused because of who asked. */
  prohibited: number;
  /** Answers withheld because the client had too many: nothing sent, TC sent, BADCOOKIE sent. */
  rateDropped: number;
  rateSlipped: number;
  badCookies: number;
  /** Questions with a server cookie of ours, which no rate holds up. */
  goodCookies: number;
};

/** Listeners for DNS over UDP with their worker threads. */
export type DnsFront = {
  table: AnswerTable;
  /** The table's, for readers of it. */
  memory: SharedArrayBuffer;
  clock: SharedClock;
  /** Addresses in force (port 0 resolved). */
  addresses: readonly SocketAddress[];
  /** Worker threads in force: none on the portable path. */
  workerCount: number;
  counters(): DnsFrontCounters;
  /** The cells of each thread that answers from the table (cells.ts). */
  readonly cells: readonly Float64Array[];
  /** Which share of the questions, 0 to 1, goes to `resolve` marked as sampled, or to `served`. */
  sample(share: number): void;
  /** Sampled questions that `served` did not hear of for want of room. */
  unlogged(): number;
  /**
   * Listens at further addresses, at all or at none; gives them with port 0 resolved, in the same order.
   * `isSharing`: another process of ours listens there already, and is about to leave.
   */
  listen(places: readonly ListenPlace[], isSharing?: boolean): Promise<readonly SocketAddress[]>;
  /** Stops listening there; what has arrived is answered. Resolves when the workers have all of it. */
  leave(addresses: readonly SocketAddress[]): Promise<void>;
  /** Stops receiving, answers what is under way, ends the threads. */
  close(): Promise<void>;
};

/** Rejects with an error that names the address that cannot be had. */
export type StartDnsFront = (options: DnsFrontOptions) => Promise<DnsFront>;

/** A listener for DNS over TCP on the main thread. */
export type TcpFront = {
  readonly addresses: readonly SocketAddress[];
  /** As of DnsFront. */
  listen(places: readonly ListenPlace[], isSharing?: boolean): Promise<readonly SocketAddress[]>;
  /** Accepts nothing there any more; connections that stand go on. */
  leave(addresses: readonly SocketAddress[]): Promise<void>;
  close(): Promise<void>;
};
