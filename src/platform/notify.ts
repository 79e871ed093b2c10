/** What the service manager is told: sd_notify(3). */
import { ptr } from "bun:ffi";
import { openLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const SUN_PATH_OCTETS = 108;

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
