/**
 * A service manager in small, run by Bun: binds a UDP socket and a TCP listener and starts the program
 * with them, again for each line of its input. Arguments: port, program, its arguments.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [port, ...command] = process.argv.slice(2);
// Only the types of Node are known to this folder; Bun has the module.
const ffi = (await import("bun:ffi" as string)) as {
  dlopen(library: string, symbols: object): { symbols: Libc };
  ptr(octets: Uint8Array): number;
};
type Libc = {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: number, octets: number): number;
  listen(fd: number, backlog: number): number;
};
const { symbols: libc } = ffi.dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
});
const AF_INET = 2;
const [SOCK_STREAM, SOCK_DGRAM] = [1, 2];
const SOCK_CLOEXEC = 0o2000000;
/** As some managers leave them. */
const SOCK_NONBLOCK = 0o4000;
const address = new Uint8Array(16);
new DataView(address.buffer).setUint16(0, AF_INET, true);
new DataView(address.buffer).setUint16(2, Number(port));
address.set([127, 0, 0, 1], 4);
const descriptors = [SOCK_DGRAM, SOCK_STREAM].map((type) => {
  const fd = libc.socket(AF_INET, type! | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (libc.bind(fd, ffi.ptr(address), 16) !== 0) throw new Error(`port ${port} is taken`);
  if (type === SOCK_STREAM) libc.listen(fd, 100);
  return fd;
});
createInterface({ input: process.stdin }).on("line", () => {
  // The variable names the process that the shell becomes.
  const child = spawn("/bin/sh", ["-c", 'LISTEN_PID=$$ exec "$0" "$@"', ...command], {
    stdio: ["ignore", "inherit", "inherit", ...descriptors],
    env: { ...process.env, LISTEN_FDS: "2", LISTEN_FDNAMES: "dns:dns" },
  });
  process.stdout.write(`started ${child.pid}\n`);
  child.on("exit", (code) => process.stdout.write(`ended ${code}\n`));
});
process.stdout.write("bound\n");
