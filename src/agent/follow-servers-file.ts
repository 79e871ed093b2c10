/** `servers-file` of a configuration of dnsmasq's: a change of it is a reload. */
import { createHash } from "node:crypto";
import { readRegularPieces } from "../config/regular-file.ts";
import type { Cancel } from "../ports.ts";
import type { Slices } from "../slices.ts";

/** What following a file needs of the outside. */
export type ServersFileOptions = {
  /** As followPaths of forwarder/paths/driver.ts. */
  watch: (paths: readonly string[], on: { look(): void; problem(problem: string): void }) => Cancel;
  /** What tells texts of the file apart; undefined if it cannot be read, which is no change. */
  read: (path: string) => Promise<string | undefined>;
  changed: () => void;
  problem: (problem: string) => void;
};

/** `follow` watches the file of the configuration in force, and no other any more. */
export function followServersFile({ watch, read, changed, problem }: ServersFileOptions): {
  follow(path: string | undefined): void;
  stop: Cancel;
} {
  let followed: string | undefined;
  let cancel: Cancel = () => {};
  return {
    follow(path) {
      if (path === followed) return;
      followed = path;
      cancel();
      cancel = () => {};
      if (path === undefined) return;
      let known: string | undefined;
      let stopped = false;
      let running = false;
      let again = false;
      async function look(file: string): Promise<void> {
        again = true;
        if (running) return;
        running = true;
        while (again && !stopped) {
          again = false;
          // oxlint-disable-next-line no-await-in-loop -- one reading after the other
          const now = await read(file);
          if (stopped || now === undefined || now === known) continue;
          known = now;
          changed();
        }
        running = false;
      }
      // What the configuration in force was read from a moment ago.
      running = true;
      void read(path).then((text) => {
        known = text;
        running = false;
        if (again) void look(path);
      });
      const unwatch = watch([path], { look: () => void look(path), problem });
      cancel = () => {
        stopped = true;
        unwatch();
      };
    },
    stop: () => cancel(),
  };
}

/** The SHA-256 of the text of a file; undefined if it cannot be read. */
export function* digestOfFile(path: string): Slices<string | undefined> {
  const read = yield* readRegularPieces(path);
  if (!read.ok) return undefined;
  const hash = createHash("sha256");
  for (const piece of read.value.pieces) {
    hash.update(piece);
    yield;
  }
  return hash.digest("hex");
}
