/**
 * Keeps the process from running out of descriptors by connections. With none left accept fails, the
 * listener stays readable, and the event loop would turn without end; so shortly before, the kernel is
 * told to drop what arrives at our TCP listeners, and what waits there already is hung up on.
 */
import type { Log } from "../ports.ts";
import type { Libc } from "./libc.ts";
import type { OwnSockets } from "./own-sockets.ts";
import { createSynFilter } from "./syn-filter.ts";

const SOCK_NONBLOCK_CLOEXEC = 0o2004000;

/** Descriptors left over for files and upstreams: a sixteenth, within these bounds. */
const RESERVE_MIN = 8;
const RESERVE_MAX = 64;
/** Connections hung up on per listener and look; more than its queue holds. */
const HANGUPS_MAX = 8192;

/** Opens and closes the listeners of the process. */
export type DescriptorGate = { look(): void };

/** `limit`: descriptors that the process may have. */
export function createDescriptorGate(
  libc: Libc,
  { limit, sockets, log }: { limit: number; sockets: OwnSockets; log: Log },
): DescriptorGate {
  const reserve = Math.min(RESERVE_MAX, Math.max(RESERVE_MIN, Math.floor(limit / 16)));
  const filter = createSynFilter(libc);
  let isClosed = false;
  /** Why some listener has no filter: what comes there is hung up on at every look instead. */
  let unfiltered: string | undefined;

  const listeners = () => sockets.list().filter(({ listens }) => listens);
  function drain(): void {
    const fds = listeners().map(({ fd }) => fd);
    sockets.withSpare(() => {
      for (const fd of fds)
        for (let i = 0; i < HANGUPS_MAX; i++) {
          const accepted = libc.accept4(fd, null, null, SOCK_NONBLOCK_CLOEXEC);
          if (accepted < 0) break;
          libc.close(accepted);
        }
    });
  }

  return {
    look() {
      const free = limit - sockets.count();
      if (free === -Infinity) return;
      if (free <= reserve && !isClosed) {
        isClosed = true;
        const wasUnfiltered = unfiltered !== undefined;
        unfiltered = undefined;
        for (const { fd } of listeners()) unfiltered = filter.attach(fd) ?? unfiltered;
        log("warn", "too few descriptors are left: new connections are not taken", { limit });
        if (unfiltered !== undefined && !wasUnfiltered)
          log("warn", "the kernel cannot be told to drop new connections: they are hung up on", {
            error: unfiltered,
          });
      }
      if (isClosed && (free < 4 || unfiltered !== undefined)) drain();
      if (isClosed && free > 2 * reserve) {
        isClosed = false;
        for (const { fd } of listeners()) filter.detach(fd);
        log("info", "new connections are taken again");
      }
    },
  };
}
