/** The file of the query log: lines go into a buffer, the buffer to the disk whenever the disk is ready. */
import { close, fstat, open, stat, write, type BigIntStats } from "node:fs";

/** Octets that may wait for the disk; lines beyond are lost, and counted. */
const BUFFER_OCTETS = 1 << 20;
/** So long lines are gathered, or until there are this many octets: a write of each would cost more than all else. */
const GATHER_MS = 100;
const GATHER_OCTETS = 1 << 16;
/** A file that could not be opened or written is tried again after this. */
const RETRY_MS = 5000;
/** Lines are written into a file that was renamed for so long at most, be anybody told of it or not. */
const LOOK_MS = 1000;

/** Counts since the start. */
export type LogFileCounts = { lost: number };

export type QueryLogFile = {
  /** Adds the line end. Never waits. */
  write(line: string): void;
  /** Closes the file and opens its name anew: for logrotate. What waits goes into the new one. */
  reopen(): void;
  /** Resolves when what waits has been written, or cannot be. */
  close(): Promise<void>;
  readonly counts: Readonly<LogFileCounts>;
};

/** `onProblem`: a whole sentence, once for each time that things go wrong. */
export function createQueryLogFile(
  path: string,
  onProblem: (problem: string) => void,
): QueryLogFile {
  const counts = { lost: 0 };
  let waiting: string[] = [];
  let waitingOctets = 0;
  /** null: not open. */
  let descriptor: number | null = null;
  let isBusy = false;
  let isToReopen = false;
  let retryAtMs = 0;
  let isBroken = false;
  let lookAtMs = 0;
  let onIdle: (() => void) | null = null;
  let gathering: ReturnType<typeof setTimeout> | null = null;

  /** What waits goes to the disk now. */
  function stopGathering(): void {
    if (gathering !== null) clearTimeout(gathering);
    gathering = null;
    next();
  }

  function failed(what: string, error: NodeJS.ErrnoException): void {
    retryAtMs = performance.now() + RETRY_MS;
    if (!isBroken) onProblem(`query log: cannot ${what} ${path}: ${error.code ?? String(error)}`);
    isBroken = true;
  }

  /** One thing at a time: open, write, close. */
  function next(): void {
    if (isBusy) return;
    if (isToReopen && descriptor !== null) {
      const old = descriptor;
      descriptor = null;
      isBusy = true;
      close(old, done);
      return;
    }
    isToReopen = false;
    if (waiting.length === 0 || performance.now() < retryAtMs) {
      settle();
      return;
    }
    isBusy = true;
    if (descriptor === null)
      open(path, "a", 0o640, (error, fd) => {
        if (error === null) descriptor = fd;
        else failed("open", error);
        lookAtMs = performance.now() + LOOK_MS;
        done();
      });
    else if (performance.now() >= lookAtMs) look(descriptor);
    else flush(descriptor);
  }

  /** Somebody may have renamed the file, or removed it, as logrotate does. */
  function look(fd: number): void {
    lookAtMs = performance.now() + LOOK_MS;
    fstat(fd, { bigint: true }, (ofOpen, held) =>
      stat(path, { bigint: true }, (ofPath, named) => {
        // Where it cannot be looked at it is not given up either.
        const isGone = ofPath?.code === "ENOENT";
        if (isGone || (ofPath === null && ofOpen === null && !isSameFile(held, named)))
          isToReopen = true;
        done();
      }),
    );
  }

  function flush(fd: number): void {
    const octets = Buffer.from(waiting.join(""));
    const lines = waiting.length;
    waiting = [];
    waitingOctets = 0;
    const writeFrom = (from: number): void => {
      write(fd, octets, from, octets.length - from, null, (error, written) => {
        if (error !== null) {
          counts.lost += lines;
          failed("write to", error);
          // The disk may be full of what is no longer there; a name opened anew may be elsewhere.
          isToReopen = true;
        } else if (from + written < octets.length) {
          writeFrom(from + written);
          return;
        } else isBroken = false;
        done();
      });
    };
    writeFrom(0);
  }

  function done(): void {
    isBusy = false;
    next();
  }

  function settle(): void {
    if (onIdle === null) return;
    counts.lost += waiting.length;
    waiting = [];
    onIdle();
  }

  return {
    counts,
    write(line) {
      if (waitingOctets + line.length > BUFFER_OCTETS) {
        counts.lost++;
        return;
      }
      waiting.push(`${line}\n`);
      waitingOctets += line.length + 1;
      if (waitingOctets >= GATHER_OCTETS) stopGathering();
      else gathering ??= setTimeout(stopGathering, GATHER_MS);
    },
    reopen() {
      isToReopen = true;
      retryAtMs = 0;
      stopGathering();
    },
    close: () =>
      new Promise((resolved) => {
        onIdle = () => {
          onIdle = null;
          if (descriptor === null) resolved();
          else close(descriptor, () => resolved());
        };
        stopGathering();
      }),
  };
}

const isSameFile = (a: BigIntStats, b: BigIntStats): boolean => a.dev === b.dev && a.ino === b.ino;

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** What stands before each line in dnsmasq's own file: `Nov  1 08:49:12 dnsmasq[4711]: `, local time. */
export function dnsmasqStamp(): () => string {
  let second = -1;
  let text = "";
  return () => {
    const nowMs = Date.now();
    if (Math.floor(nowMs / 1000) === second) return text;
    second = Math.floor(nowMs / 1000);
    const at = new Date(nowMs);
    const two = (value: number): string => String(value).padStart(2, "0");
    const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    const day = String(at.getDate()).padStart(2);
    text = `${MONTHS[at.getMonth()]} ${day} ${time} dnsmasq[${process.pid}]: `;
    return text;
  };
}
