/**
 * Questions in a stream of octets, each behind its length (RFC 1035 4.2.2), with ids of the stream's own:
 * whoever asks draws ids without knowing of the others (RFC 7766 6.2.1).
 */
import { createFraming } from "../dns/framing.ts";
import { HEADER_OCTETS, readUint16 } from "../dns/message.ts";
import type { Random } from "../ports.ts";
import type { Line, LineListener } from "./connections.ts";

/** Ids in use at a time, those of questions that were given up included; when full it takes no more. */
const MAX_IDS = 512;

/** The octets below: `write` frames are whole messages, `end` lets go of the connection. */
export type Octets = { write(frame: Uint8Array): void; end(): void };

/** `id`: of the one who asked. `on` null: nobody waits any more, the id is still not free. */
type Waiting = { readonly id: number; readonly wire: Uint8Array; on: LineListener | null };

/** A line over octets. Before `opened` what is asked is kept. */
export function createFramedLine(below: Octets, random: Random) {
  const framing = createFraming();
  const waiting = new Map<number, Waiting>();
  let isOpen = false;

  function freeId(): number {
    for (;;) {
      const id = random.uint32() & 0xffff;
      if (!waiting.has(id)) return id;
    }
  }

  function write(id: number, wire: Uint8Array): void {
    const frame = new Uint8Array(wire.length + 2);
    frame[0] = wire.length >> 8;
    frame[1] = wire.length;
    frame.set(wire, 2);
    frame[2] = id >> 8;
    frame[3] = id;
    below.write(frame);
  }

  function take(message: Uint8Array): void {
    const id = message.length < HEADER_OCTETS ? -1 : readUint16(message, 0);
    const found = waiting.get(id);
    if (found === undefined) {
      // Nobody's reply. It cannot be forged here, so each one that waits has to see what it is worth.
      const all = [...waiting.values()];
      for (const entry of all) {
        const { on } = entry;
        entry.on = null;
        on?.reply(message.slice());
      }
      return;
    }
    waiting.delete(id);
    message[0] = found.id >> 8;
    message[1] = found.id;
    found.on?.reply(message);
  }

  const line: Line = {
    get capacity() {
      return MAX_IDS - waiting.size;
    },
    ask(wire, on) {
      const id = freeId();
      const entry: Waiting = { id: readUint16(wire, 0), wire, on };
      waiting.set(id, entry);
      if (isOpen) write(id, wire);
      return () => {
        entry.on = null;
        if (!isOpen) waiting.delete(id);
      };
    },
    close: () => below.end(),
  };
  return {
    line,
    /** The connection stands. */
    opened: (): void => {
      isOpen = true;
      for (const [id, { wire }] of waiting) write(id, wire);
    },
    /** What has come. */
    received: (octets: Uint8Array): void => {
      framing.push(octets);
      for (let message = framing.take(); message !== undefined; message = framing.take())
        take(message);
    },
  };
}
