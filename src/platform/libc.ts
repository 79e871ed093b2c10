/** The system calls that Bun has no batched form of, through bun:ffi; Linux on 64-bit processors. */
import { dlopen, ptr, read, type Pointer } from "bun:ffi";

const INT = "i32";
const PTR = "ptr";

const signatures = {
  socket: { args: [INT, INT, INT], returns: INT },
  bind: { args: [INT, PTR, "u32"], returns: INT },
  connect: { args: [INT, PTR, "u32"], returns: INT },
  close: { args: [INT], returns: INT },
  fcntl: { args: [INT, INT, INT], returns: INT },
  dup2: { args: [INT, INT], returns: INT },
  shutdown: { args: [INT, INT], returns: INT },
  setsockopt: { args: [INT, INT, INT, PTR, "u32"], returns: INT },
  getsockopt: { args: [INT, INT, INT, PTR, PTR], returns: INT },
  getsockname: { args: [INT, PTR, PTR], returns: INT },
  getpeername: { args: [INT, PTR, PTR], returns: INT },
  accept4: { args: [INT, PTR, PTR, INT], returns: INT },
  recvmmsg: { args: [INT, PTR, "u32", INT, PTR], returns: INT },
  sendmmsg: { args: [INT, PTR, "u32", INT], returns: INT },
  send: { args: [INT, PTR, "u64", INT], returns: INT },
  recv: { args: [INT, PTR, "u64", INT], returns: INT },
  read: { args: [INT, PTR, "u64"], returns: INT },
  epoll_create1: { args: [INT], returns: INT },
  epoll_ctl: { args: [INT, INT, INT, PTR], returns: INT },
  epoll_wait: { args: [INT, PTR, INT, INT], returns: INT },
  pipe2: { args: [PTR, INT], returns: INT },
  eventfd: { args: ["u32", INT], returns: INT },
  write: { args: [INT, PTR, "u64"], returns: INT },
  clock_gettime: { args: [INT, PTR], returns: INT },
  statx: { args: [INT, PTR, INT, "u32", PTR], returns: INT },
  getrlimit: { args: [INT, PTR], returns: INT },
  __errno_location: { args: [], returns: PTR },
} as const;

function open() {
  return dlopen(LIBRARIES.find(canOpen) ?? LIBRARIES[0]!, signatures).symbols;
}

/** glibc, then musl under its two names. */
const LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`];

function canOpen(library: string): boolean {
  try {
    dlopen(library, { socket: signatures.socket }).close();
    return true;
  } catch {
    return false;
  }
}

/** The functions of the C library that are used, and errno. */
export type Libc = ReturnType<typeof open>;

let opened: Libc | null | undefined;

/** The library, opened once per thread; null where it, the system or the processor is another. */
export function openLibc(): Libc | null {
  if (opened !== undefined) return opened;
  opened = null;
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) return null;
  try {
    opened = open();
  } catch {
    // Without bun:ffi or with another libc: the portable path serves.
  }
  return opened;
}

/** A signal came first. */
export const EINTR = 4;
/** Nothing to be had, or no room, at the moment. */
export const EAGAIN = 11;

/** errno of Linux → the words that Node uses, as far as sockets give them. */
const ERROR_NAMES: Record<number, string> = {
  1: "EPERM",
  4: "EINTR",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  19: "ENODEV",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  90: "EMSGSIZE",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  105: "ENOBUFS",
  111: "ECONNREFUSED",
  112: "EHOSTDOWN",
  113: "EHOSTUNREACH",
};

/** Word for an errno, `errno N` if it has none here. */
export function errorName(errno: number): string {
  return ERROR_NAMES[errno] ?? `errno ${errno}`;
}

/** errno of this thread's last failed call; to be read at once. */
export function errnoOf(libc: Libc): number {
  // Never null: it is the address of a thread-local variable.
  return read.i32(libc.__errno_location() as Pointer, 0);
}

/**
 * Memory that the kernel may keep addresses of. Over an explicit ArrayBuffer, because the storage of a
 * small typed array moves when its `buffer` is first touched. Keep the array as long as the address.
 */
export function pinned(octets: number): { octets: Uint8Array; words: Int32Array; address: number } {
  const buffer = new ArrayBuffer(octets);
  const view = new Uint8Array(buffer);
  return { octets: view, words: new Int32Array(buffer), address: ptr(view) };
}

const RLIMIT_NOFILE = 7;

/** Soft limit of open descriptors, which Bun raises to the hard one when it starts. */
export function descriptorLimit(libc: Libc): number {
  const limits = new BigUint64Array(2);
  if (libc.getrlimit(RLIMIT_NOFILE, ptr(limits)) !== 0) return 1024;
  return Number(limits[0]! < 1_000_000n ? limits[0]! : 1_000_000n);
}
