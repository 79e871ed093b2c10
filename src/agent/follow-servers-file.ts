/** `servers-file` of a configuration of dnsmasq's: a change of it is a reload. */
import type { Cancel } from "../ports.ts";

/** What following a file needs of the outside. */
export type ServersFileOptions = {
  /** As followPaths of forwarder/paths/driver.ts. */
  watch: (paths: readonly string[], on: { look(): void; problem(problem: string): void }) => Cancel;
  /** What the file holds; undefined if it cannot be read, which is no change. */
  read: (path: string) => string | undefined;
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
      let known = read(path);
      cancel = watch([path], {
        look() {
          const now = read(path);
          if (now === undefined || now === known) return;
          known = now;
          changed();
        },
        problem,
      });
    },
    stop: () => cancel(),
  };
}
