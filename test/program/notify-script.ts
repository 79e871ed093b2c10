/** A service manager's ear, run by Bun: prints what arrives at a Unix datagram socket. Argument: its path. */
const [path] = process.argv.slice(2);
// Only the types of Node are known to this folder; Bun has the module.
const ffi = (await import("bun:ffi" as string)) as {
  dlopen(library: string, symbols: object): { symbols: Libc };
  ptr(octets: Uint8Array): number;
};
type Libc = {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: number, octets: number): number;
  recv(fd: number, octets: number, length: bigint, flags: number): bigint | number;
};
const { symbols: libc } = ffi.dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
});
const [AF_UNIX, SOCK_DGRAM] = [1, 2];
const name = new TextEncoder().encode(path);
const address = new Uint8Array(2 + name.length + 1);
new DataView(address.buffer).setUint16(0, AF_UNIX, true);
address.set(name, 2);
const fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
if (libc.bind(fd, ffi.ptr(address), address.length) !== 0) throw new Error(`cannot bind ${path}`);
console.log("listening");
const octets = new Uint8Array(4096);
for (;;) {
  const length = Number(libc.recv(fd, ffi.ptr(octets), BigInt(octets.length), 0));
  if (length < 0) break;
  console.log(new TextDecoder().decode(octets.subarray(0, length)));
}
export {};
