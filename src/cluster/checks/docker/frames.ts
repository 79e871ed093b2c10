/**
 * The stream of an attached program without a terminal: frames of a header of 8 octets (0, 1 or 2
 * for input, output or error; three zeros; length, big-endian) and that many octets. Source: Docker
 * Engine API, "Attach to a container", stream format.
 */

const HEADER_OCTETS = 8;

/**
 * Gives the contents of the frames to `content`, wherever the chunks are split. What does not begin
 * with a header is taken as it is from there on: engines send a terminal's output without frames.
 */
export function createFrameReader(
  content: (octets: Uint8Array) => void,
): (chunk: Uint8Array) => void {
  let header = new Uint8Array(0);
  let missing = 0;
  let isRaw = false;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (isRaw) return content(chunk.subarray(at));
      if (missing > 0) {
        const part = chunk.subarray(at, at + missing);
        content(part);
        missing -= part.length;
        at += part.length;
        continue;
      }
      const part = chunk.subarray(at, at + HEADER_OCTETS - header.length);
      header = new Uint8Array([...header, ...part]);
      at += part.length;
      if (!isHeaderStart(header)) {
        isRaw = true;
        content(header);
      } else if (header.length === HEADER_OCTETS) {
        missing = new DataView(header.buffer).getUint32(4);
        header = new Uint8Array(0);
      }
    }
  };
}

function isHeaderStart(octets: Uint8Array): boolean {
  return octets[0]! <= 2 && octets.subarray(1, 4).every((octet) => octet === 0);
}
