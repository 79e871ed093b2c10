/** Messages out of a TCP byte stream: each behind its length in two octets (RFC 1035 4.2.2). */

/** Smallest buffer for a message that came in pieces; it grows with what arrives, not with what is announced. */
const PIECE_OCTETS = 512;

/** Messages out of a stream of octets. */
export type Framing = {
  /** Appends what arrived; it may be kept until the messages in it are taken. */
  push(octets: Uint8Array): void;
  /** The next whole message (its own octets), undefined if there is none yet. */
  take(): Uint8Array | undefined;
  /** Octets that wait for the rest of their message, or to be taken. */
  readonly waitingOctets: number;
};

/** A stream that has just begun. */
export function createFraming(): Framing {
  let buffer = new Uint8Array(0);
  let from = 0;
  let end = 0;

  function makeRoom(octets: number): void {
    if (end + octets <= buffer.length) return;
    const waiting = end - from;
    const needed = waiting + octets;
    const grown =
      needed <= buffer.length ? buffer : new Uint8Array(Math.max(PIECE_OCTETS, 2 * needed));
    grown.set(buffer.subarray(from, end), 0);
    buffer = grown;
    from = 0;
    end = waiting;
  }

  return {
    push(octets) {
      makeRoom(octets.length);
      buffer.set(octets, end);
      end += octets.length;
    },
    take() {
      if (end - from < 2) return undefined;
      const length = (buffer[from]! << 8) | buffer[from + 1]!;
      if (end - from - 2 < length) return undefined;
      const message = buffer.slice(from + 2, from + 2 + length);
      from += 2 + length;
      if (from === end) {
        // An idle connection holds nothing.
        buffer = new Uint8Array(0);
        from = end = 0;
      }
      return message;
    },
    get waitingOctets() {
      return end - from;
    },
  };
}
