/** What the service manager is told: sd_notify(3). */
import { ptr } from "bun:ffi";
import { openLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const SUN_PATH_OCTETS = 108;

/** What the service manager has said in the environment. */
export type ServiceManager = {
  /** NOTIFY_SOCKET; undefined: nobody listens. */
  notifySocket: string | undefined;
  /** sd_watchdog_enabled(3): it wants to hear of us within this time, again and again; 0: it does not. */
  watchdogMs: number;
};

/** Takes it out of the environment: programs of checks have nothing to tell there. */
export function takeServiceManager(environment: NodeJS.ProcessEnv): ServiceManager {
  const { NOTIFY_SOCKET: notifySocket, WATCHDOG_USEC: limit, WATCHDOG_PID: pid } = environment;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
  const isOurs = pid === undefined || pid === String(process.pid);
  const watchdogMs = isOurs && /^[1-9]\d{0,15}$/.test(limit ?? "") ? Number(limit) / 1000 : 0;
  return { notifySocket, watchdogMs };
}

/** The same for a successor, whose process id is not known yet. */
export function passServiceManager(manager: ServiceManager): Record<string, string> {
  const { notifySocket, watchdogMs } = manager;
  return {
    ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket }),
    ...(watchdogMs === 0 ? {} : { WATCHDOG_USEC: String(Math.round(watchdogMs * 1000)) }),
  };
}

/** `socket`: NOTIFY_SOCKET of the environment; undefined: nobody listens. One message per call, lost if it cannot be sent. */
export function createNotify(socket: string | undefined): (state: string) => void {
  const libc = openLibc();
  // A path, or a name in the abstract namespace, written with @ for the zero at its beginning.
  const path = new TextEncoder().encode((socket ?? "").replace(/^@/, "\0"));
  if (libc === null || path.length === 0 || path.length > SUN_PATH_OCTETS) return () => {};
  const address = new Uint8Array(new ArrayBuffer(2 + path.length));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, 2);
  return (state) => {
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const text = new TextEncoder().encode(state);
    if (libc.connect(fd, ptr(address), address.length) === 0)
      libc.send(fd, ptr(text), text.length, MSG_NOSIGNAL);
    libc.close(fd);
  };
}
