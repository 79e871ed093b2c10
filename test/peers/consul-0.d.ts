/** The last version of the npm client that has a lock helper; it brings no types of its own. */
declare module "consul-0" {
  import type { EventEmitter } from "node:events";

  type Lock = EventEmitter & { acquire(): void; release(): void };
  type Options = { host: string; port: string; promisify: boolean };
  type LockOptions = { key: string; value?: string; session?: object; lockretrytime?: string };

  function createClient(options: Options): { lock(options: LockOptions): Lock };
  export = createClient;
}
