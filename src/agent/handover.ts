/**
 * A running agent and its successor on one data directory, over a Unix socket in it. Lines of JSON:
 *
 *   successor  {"take": {pid}}      wants the store
 *   runner     {"given": {pid, listening, silenceMs}}  has closed it, and goes on answering from memory
 *   successor  {"progress": {steps}}        is at work, any number of times
 *   successor  {"ready": {pid, requests}}   listens, and answers what is passed on over that socket
 *   runner     {"leaving": {}}      from here on there is no way back; it drains and ends
 *
 * A connection that ends before "ready" was heard gives the store back. `{"refused": "why"}` ends it.
 */
import { chmodSync, rmSync, statSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fail, ok, type Result } from "../base.ts";
import { fileReason } from "../file-reason.ts";
import type { Cancel, Log, Timers } from "../ports.ts";

/** A successor that is silent for so long, or has done nothing in it, is told to end: writes wait. */
const SILENCE_MS = 60_000;
/** How often it says how far it is. */
const PROGRESS_MS = 2000;
/** One that does not end then is left alone; the store is taken back as soon as it lets go of it. */
const END_MS = 5000;
/** Octets of a path that a Unix socket may have (sun_path of Linux, with its final zero). */
const PATH_OCTETS_MAX = 107;

type Line = {
  take?: { pid: number };
  /** `silenceMs`: it hears of progress, and how long it waits for that; earlier versions do not. */
  given?: { pid: number; listening: string[]; silenceMs?: number };
  progress?: { steps: number };
  /** `requests`: as `leave` gets it; earlier versions answer nothing that is passed on. */
  ready?: { pid: number; requests?: string };
  leaving?: object;
  refused?: string;
};

const socketPath = (dataDir: string): string => join(dataDir, "handover.sock");

/** What a runner does for its successor. */
export type Runner = {
  /** Closes the store. Rejects if it cannot be given; it is ours then. */
  give(): Promise<void>;
  /** Where it listens, each in a word: the successor may share these with it, and nobody else's. */
  listening(): string[];
  /** The successor is gone without having been ready. */
  takeBack(): Promise<void>;
  /**
   * The successor answers: end. Resolves when no datagram comes here any more. `requests`: path of a Unix
   * socket at which the successor takes requests that came here; undefined: nowhere.
   */
  leave(successorPid: number, requests: string | undefined): Promise<void>;
};

/**
 * Waits for a successor; one at a time. To be called when the store is open, which nobody else can have
 * open then: a socket that a killed one left behind is removed.
 */
export function offerHandover(
  dataDir: string,
  runner: Runner,
  { timers, log }: { timers: Timers; log: Log },
): Cancel {
  const path = socketPath(dataDir);
  if (Buffer.byteLength(path) > PATH_OCTETS_MAX) {
    log("warn", "data_dir is too long a path for a socket: no successor can take over", { path });
    return () => {};
  }
  let successor: Socket | undefined;
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    const say = (line: Line): void => void socket.write(`${JSON.stringify(line)}\n`);
    if (successor !== undefined) {
      say({ refused: "another successor is starting" });
      socket.end();
      return;
    }
    successor = socket;
    serve(socket, say, runner, { server, timers, log }, () => (successor = undefined));
  });
  server.on("error", (error) =>
    log("warn", "no successor can take over", { path, reason: fileReason(error) }),
  );
  rmSync(path, { force: true });
  server.listen(path, () => {
    try {
      chmodSync(path, 0o600);
    } catch {
      // Removed with its directory.
    }
  });
  server.unref();
  return () => {
    server.close();
  };
}

type Around = { server: Server; timers: Timers; log: Log };

function serve(
  socket: Socket,
  say: (line: Line) => void,
  runner: Runner,
  { server, timers, log }: Around,
  over: () => void,
): void {
  let stage: "new" | "giving" | "given" | "left" = "new";
  let isClosed = false;
  let steps = 0;
  let late = expectMore();

  function expectMore(): Cancel {
    return timers.after(SILENCE_MS, () => {
      if (stage === "left") return;
      say({ refused: `no progress for ${SILENCE_MS / 1000} s` });
      socket.end();
      late = timers.after(END_MS, () => socket.destroy());
    });
  }

  /** A number that stays the same is one that hangs. */
  function progressed(to: number): void {
    if (socket.writableEnded || !(to > steps)) return;
    steps = to;
    late();
    late = expectMore();
  }

  /** Once only, and never while it is being given. */
  async function takeBack(): Promise<void> {
    if (stage !== "given") return;
    stage = "new";
    log("warn", "the successor ended before it was ready: this agent goes on");
    await runner.takeBack();
    over();
  }

  async function take(pid: number): Promise<void> {
    stage = "giving";
    log("info", "a successor takes over; writes wait", { pid });
    try {
      await runner.give();
      stage = "given";
      say({ given: { pid: process.pid, listening: runner.listening(), silenceMs: SILENCE_MS } });
    } catch (error) {
      stage = "new";
      say({ refused: String(error) });
      socket.end();
    }
    if (isClosed) await takeBack();
  }

  linesOf(socket, (text) => {
    const line = parseLine(text);
    if (line?.take !== undefined && stage === "new") void take(line.take.pid);
    else if (line?.progress !== undefined && stage === "given") progressed(line.progress.steps);
    // One that was told to end ends, even if this crosses it.
    else if (line?.ready !== undefined && stage === "given" && !socket.writableEnded) {
      stage = "left";
      late();
      // Its path is free for the successor before that hears of it.
      server.close();
      const { pid, requests } = line.ready;
      void runner.leave(pid, requests).then(() => say({ leaving: {} }));
    } else socket.destroy();
  });
  socket.on("close", () => {
    isClosed = true;
    late();
    if (stage === "given") void takeBack();
    else if (stage === "new") over();
  });
}

/** The successor's side. */
export type Predecessor = {
  pid: number;
  listening: ReadonlySet<string>;
  /** From now on it is told every few seconds how much is done, as long as that grows; until `ready`. */
  report(steps: () => number, timers: Timers): void;
  /** We listen; `requests` as for Runner.leave. Resolves when it leaves or is gone; an error if it wants us to end. */
  ready(requests: string | undefined): Promise<Result<void, string>>;
  /** It has waited too long and wants the store back; resolves with its words. */
  readonly refused: Promise<string>;
  /** Resolves when its process has ended, or at least its end of the line. */
  readonly ended: Promise<void>;
  /** We do not take over: it goes on. */
  abandon(): void;
};

/**
 * Asks the agent that runs on this data directory for its store, and resolves when it is closed;
 * `undefined` if none runs there. The error says why it cannot be had.
 */
export async function takeOver(dataDir: string): Promise<Result<Predecessor | undefined, string>> {
  const path = socketPath(dataDir);
  const reached = await reach(path);
  if (!reached.ok) return reached;
  const socket = reached.value;
  if (socket === undefined) return ok(undefined);
  // The kernel shares ports between processes of one user alone, and files would change their owner.
  const owner = statSync(path, { throwIfNoEntry: false })?.uid;
  if (owner !== undefined && owner !== process.geteuid?.()) {
    socket.destroy();
    return fail(`it is of user ${owner}, who has to start its successor`);
  }
  const lines: Line[] = [];
  let refuse: (reason: string) => void = () => {};
  const refused = new Promise<string>((resolve) => (refuse = resolve));
  let wake = (): void => {};
  let isOver = false;
  let stopReporting: Cancel = () => {};
  const ended = new Promise<void>((resolve) =>
    socket.once("close", () => {
      isOver = true;
      stopReporting();
      wake();
      resolve();
    }),
  );
  socket.on("error", () => socket.destroy());
  linesOf(socket, (text) => {
    const line = parseLine(text);
    if (line !== undefined) lines.push(line);
    if (line?.refused !== undefined) refuse(line.refused);
    wake();
  });
  const say = (line: Line): void => void socket.write(`${JSON.stringify(line)}\n`);
  /** The next line; undefined when there are no more. */
  const next = async (): Promise<Line | undefined> => {
    while (lines.length === 0 && !isOver) await new Promise<void>((resolve) => (wake = resolve));
    return lines.shift();
  };

  say({ take: { pid: process.pid } });
  const answer = await next();
  if (answer?.refused !== undefined) {
    socket.destroy();
    return fail(answer.refused);
  }
  // It ended in the middle of giving: what is on disk is whole, as after any end.
  if (answer?.given === undefined) return ok(undefined);
  const { given } = answer;
  return ok({
    pid: given.pid,
    listening: new Set(given.listening),
    ended,
    refused,
    report(steps, timers) {
      let told = 0;
      const look = (): void => {
        if (steps() > told) say({ progress: { steps: (told = steps()) } });
        stopReporting = timers.after(PROGRESS_MS, look);
      };
      if (!isOver && given.silenceMs !== undefined) look();
    },
    async ready(requests) {
      stopReporting();
      await whatHasCome();
      say({ ready: { pid: process.pid, ...(requests === undefined ? {} : { requests }) } });
      const heard = await next();
      return heard?.refused === undefined ? ok(undefined) : fail(heard.refused);
    },
    abandon: () => void socket.destroy(),
  });
}

/** A connection; undefined if nobody listens there. The error: somebody may. */
function reach(path: string): Promise<Result<Socket | undefined, string>> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(ok(socket)));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const isNobody = error.code !== "EACCES" && error.code !== "EPERM";
      resolve(isNobody ? ok(undefined) : fail(`${path}: ${fileReason(error)}`));
    });
  });
}

/** Errors of the socket, which have a listener there, are the reader's too. */
function linesOf(socket: Socket, hear: (text: string) => void): void {
  createInterface({ input: socket })
    .on("line", hear)
    .on("error", () => {});
}

/**
 * Resolves when the lines that came while this thread was held up have been heard, the word to end among
 * them: the first turn may be one whose sockets were looked at before.
 */
async function whatHasCome(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function parseLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
