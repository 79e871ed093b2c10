/** A listener hands its port to a successor on the same port, and not one connection is lost. */
import { closeSync, openSync } from "node:fs";
import type { Log } from "../ports.ts";
import { openLibc } from "./libc.ts";
import { createOwnSockets } from "./own-sockets.ts";
import { createSynFilter } from "./syn-filter.ts";

/** Connections that were on their way to the old listener have this long to arrive; a longer round trip is cut. */
const ARRIVAL_MS = 200;

/**
 * Turns the clients of these TCP listeners to another process that listens there too. Resolves when the
 * connections that were on their way here have arrived.
 */
export async function passOn(ports: ReadonlySet<number>, log: Log): Promise<void> {
  // The successor takes them by itself where it can, and says so where it cannot (steer.ts).
  const quiet: Log = (_, message, fields) => log("debug", message, fields);
  beginTakeover(ports, quiet)?.complete();
  await new Promise((resolve) => setTimeout(resolve, 2 * ARRIVAL_MS));
}

/** Ends the old listeners. */
export type Takeover = { complete(): void };

/**
 * To be called before the successors listen; `complete` after. Bun's `stop` would cut connections that
 * are idle or in their handshake, so the listening socket alone is taken away: first new connections are
 * turned to the successor, then a file that never has anything to read takes its descriptor.
 * Null where the system's calls cannot be had. Where connections cannot be turned away, one that comes in
 * the very moment in which the listener goes may be cut, and the log says so.
 */
export function beginTakeover(ports: ReadonlySet<number>, log: Log): Takeover | null {
  const libc = openLibc();
  if (libc === null) return null;
  const filter = createSynFilter(libc);
  const isOurs = ({ listens, port }: { listens: boolean; port: number }) =>
    listens && ports.has(port);
  const sockets = createOwnSockets(libc);
  const old = sockets.list().filter(isOurs);
  return {
    complete() {
      let error: string | undefined;
      for (const { fd } of old) error = filter.attach(fd) ?? error;
      if (error !== undefined)
        log("warn", "takeover: new connections could not be turned away before the end", { error });
      setTimeout(() => {
        const idle = openSync("/dev/null", "r");
        const listening = new Set(
          sockets
            .list()
            .filter(isOurs)
            .map(({ fd }) => fd),
        );
        for (const { fd } of old) if (listening.has(fd)) libc.dup2(idle, fd);
        closeSync(idle);
        sockets.close();
      }, ARRIVAL_MS);
    },
  };
}
