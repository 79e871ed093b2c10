/**
 * The text of the journal: one line per change, `CHECKSUM SEQUENCE DURABLE +|- KIND "ID" JSON`. The
 * first line says how many changes were written together with it. A line names the sequence number
 * up to which all was durable when it was written: so an unfinished end can be told from damage.
 * Zeros follow the last line, room for the next ones.
 */
import { fail, ok, type Result } from "../../base.ts";
import { crc32 } from "../../crc32.ts";
import type { StoredEntry, StoredKind } from "../local-store.ts";

/** A change of one entry; without `text` it goes. */
export type Change = Omit<StoredEntry, "text"> & { text: string | null };

/** What a journal holds. */
export type Journal = {
  entries: Map<string, StoredEntry>;
  /** Of the last line. */
  sequence: number;
  /** Octets that the first write of the file had. */
  baseOctets: number;
  /** Octets up to the end of the last whole line. */
  octets: number;
  /** Octets behind that, without the zeros at the end: a write that was never acknowledged. */
  cutOctets: number;
};

const FORMAT = 1;
const NEWLINE = 10;
const CHECKSUM_OCTETS = 9;
const CHANGE =
  /^(\d+) (\d+) ([+-]) (services|checks|checks\/state) ("(?:[^"\\]|\\.)*")(?: (.*))?$/s;
const HEADER = /^waypost-journal (\d+) (\d+) (\d+)$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Name of an entry among all kinds. */
export function keyOf({ kind, id }: Pick<StoredEntry, "kind" | "id">): string {
  return `${kind}/${id}`;
}

/** The first line: `count` changes follow it, the first with the number after `sequence`. */
export function headerLine(sequence: number, count: number): Uint8Array {
  return line(`waypost-journal ${FORMAT} ${sequence} ${count}`);
}

/** Line of a change. `text` must be JSON in one line. */
export function changeLine(
  { kind, id, text }: Change,
  sequence: number,
  durable: number,
): Uint8Array {
  const start = `${sequence} ${durable} ${text === null ? "-" : "+"} ${kind} ${JSON.stringify(id)}`;
  return line(text === null ? start : `${start} ${text}`);
}

function line(text: string): Uint8Array {
  const octets = encoder.encode(`00000000 ${text}\n`);
  octets.set(encoder.encode(hex(crc32(octets.subarray(CHECKSUM_OCTETS, -1)))));
  return octets;
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}

/** Text of a line behind its checksum; undefined if that is wrong. */
function readLine(octets: Uint8Array): string | undefined {
  const text = octets.subarray(CHECKSUM_OCTETS);
  const sum = decoder.decode(octets.subarray(0, CHECKSUM_OCTETS));
  if (sum !== `${hex(crc32(text))} `) return undefined;
  return decoder.decode(text);
}

type Numbered = { change: Change; sequence: number; durable: number };

function parseChange(text: string): Numbered | undefined {
  const [, sequence, durable, sign, kind, id, json] = CHANGE.exec(text) ?? [];
  if (id === undefined || (sign === "+") !== (json !== undefined)) return undefined;
  const change = {
    kind: kind as StoredKind, // the pattern has these words only
    id: JSON.parse(id) as string, // and a string here
    text: json ?? null,
  };
  return { change, sequence: Number(sequence), durable: Number(durable) };
}

/** Every line of `octets` that ends; `at` is the offset of its first octet. */
function* linesOf(octets: Uint8Array, from = 0): Generator<{ octets: Uint8Array; at: number }> {
  for (let at = from; ;) {
    const end = octets.indexOf(NEWLINE, at);
    if (end < 0) return;
    yield { octets: octets.subarray(at, end), at };
    at = end + 1;
  }
}

/**
 * What the octets of a journal say. An end that was being written when the program or the power was
 * gone is left out. The error says which line is damaged, or that a newer version wrote the file.
 */
export function readJournal(octets: Uint8Array): Result<Journal, string> {
  const lines = linesOf(octets);
  const first = lines.next();
  const header = first.done ? undefined : readLine(first.value.octets);
  const [, format, from, count] = HEADER.exec(header ?? "") ?? [];
  if (first.done || header === undefined || format === undefined)
    return fail("line 1 is not that of a journal");
  if (Number(format) !== FORMAT)
    return fail(`it has format ${format}, this waypost knows ${FORMAT}`);
  const baseSequence = Number(from) + Number(count);
  const start = first.value.octets.length + 1;
  const journal: Journal = {
    entries: new Map(),
    sequence: Number(from),
    baseOctets: start,
    octets: start,
    cutOctets: 0,
  };
  let number = 1;
  for (const { octets: each, at } of lines) {
    number++;
    const text = readLine(each);
    if (text === undefined) break;
    const read = parseChange(text);
    if (read === undefined) return fail(`line ${number} cannot be understood`);
    if (read.sequence !== journal.sequence + 1)
      return fail(`line ${number} does not follow from line ${number - 1}`);
    apply(journal.entries, read.change);
    journal.sequence = read.sequence;
    journal.octets = at + each.length + 1;
    if (read.sequence === baseSequence) journal.baseOctets = journal.octets;
  }
  journal.cutOctets = octets.findLastIndex((octet) => octet !== 0) + 1 - journal.octets;
  const lost = durableIn(octets, journal.octets, baseSequence) > journal.sequence;
  return lost ? fail(`line ${number} does not match its checksum`) : ok(journal);
}

/** Up to which number lines behind `from` say that all was durable. */
function durableIn(octets: Uint8Array, from: number, baseSequence: number): number {
  let durable = baseSequence;
  for (const { octets: each } of linesOf(octets, from)) {
    const text = readLine(each);
    const read = text === undefined ? undefined : parseChange(text);
    if (read) durable = Math.max(durable, read.durable);
  }
  return durable;
}

/** Does the change to the entries. */
export function apply(entries: Map<string, StoredEntry>, { kind, id, text }: Change): void {
  if (text === null) entries.delete(keyOf({ kind, id }));
  else entries.set(keyOf({ kind, id }), { kind, id, text });
}
