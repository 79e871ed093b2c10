/** Tells the kernel to drop new connections at a TCP listener, while those under way are completed. */
import { errnoOf, errorName, pinned, type Libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;

/**
 * Classic BPF over the TCP header (Linux, Documentation/networking/filter.rst): a segment with SYN and
 * without ACK is kept to 0 octets, which drops it; its sender tries again after a second.
 */
const instructions: [code: number, ifTrue: number, ifFalse: number, k: number][] = [
  [0x30, 0, 0, 13], // A = octet 13, the flags
  [0x54, 0, 0, 0x12], // A &= SYN | ACK
  [0x15, 0, 1, 0x02], // SYN alone?
  [0x06, 0, 0, 0], // drop
  [0x06, 0, 0, 0xffffffff], // keep
];
const INSTRUCTION_OCTETS = 8;

/** Puts the filter on listeners and takes it off again. */
export type SynFilter = {
  /** The system's word for why it could not (EPERM: the socket's filter is locked), undefined if it did. */
  attach(fd: number): string | undefined;
  /** Without effect where there is no filter. */
  detach(fd: number): void;
};

/** The filter, in memory of its own; the kernel copies it. */
export function createSynFilter(libc: Libc): SynFilter {
  const program = pinned(instructions.length * INSTRUCTION_OCTETS);
  const code = new DataView(program.octets.buffer);
  for (const [i, [opcode, ifTrue, ifFalse, k]] of instructions.entries()) {
    const at = i * INSTRUCTION_OCTETS;
    code.setUint16(at, opcode, true);
    code.setUint8(at + 2, ifTrue);
    code.setUint8(at + 3, ifFalse);
    code.setUint32(at + 4, k, true);
  }
  const sockFprog = pinned(16);
  const view = new DataView(sockFprog.octets.buffer);
  view.setUint16(0, instructions.length, true);
  view.setBigUint64(8, BigInt(program.address), true);
  return {
    attach(fd) {
      const failed = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, sockFprog.octets, 16);
      return failed === 0 ? undefined : errorName(errnoOf(libc));
    },
    detach(fd) {
      libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, sockFprog.octets, 4);
    },
  };
}
