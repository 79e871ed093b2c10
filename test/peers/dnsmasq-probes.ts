/** Messages by octet: what dns-packet would not write, or not so. */

/** One message and what it is called; `name`: whom the servers are asked for, if anybody looks. */
export type Probe = {
  readonly label: string;
  readonly name?: string;
  readonly transport?: "udp" | "tcp";
  /** Octets that the client takes over UDP; without it 512. */
  readonly limit?: number;
  readonly wire: (id: number) => Uint8Array;
};

type Edns = {
  size?: number;
  version?: number;
  flags?: number;
  /** Options in hexadecimal, codes and lengths among them. */
  options?: string;
};

/** What is special about a message; all else is as a stub resolver has it. */
export type Parts = {
  flags?: number;
  opcode?: number;
  counts?: readonly [questions: number, answers: number, authority: number, additional: number];
  qtype?: number;
  qclass?: number;
  edns?: Edns;
  /** Instead of the question: octets in hexadecimal. */
  question?: string;
  /** Behind it all, in hexadecimal. */
  tail?: string;
  /** The message ends after so many octets. */
  octets?: number;
};

const RD = 0x100;
const IN = 1;
const A = 1;

/** A name as labels; `\ddd` is an octet. "" is the root. */
export function nameOctets(text: string): Buffer {
  const labels = text === "" ? [] : text.split(".");
  return Buffer.concat([
    ...labels.map((label) => {
      const octets = Buffer.from(
        label.replaceAll(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number(code))),
        "latin1",
      );
      return Buffer.concat([Buffer.from([octets.length]), octets]);
    }),
    Buffer.from([0]),
  ]);
}

/** A question for `name`, written as `parts` say. */
export function message(id: number, name: string, parts: Parts = {}): Buffer {
  const { flags = RD, opcode = 0, qtype = A, qclass = IN, edns, question, tail = "" } = parts;
  const counts = parts.counts ?? [1, 0, 0, edns === undefined ? 0 : 1];
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flags | (opcode << 11), 2);
  for (const [i, count] of counts.entries()) header.writeUInt16BE(count, 4 + 2 * i);
  const asked =
    question === undefined
      ? Buffer.concat([nameOctets(name), uint16(qtype), uint16(qclass)])
      : Buffer.from(question, "hex");
  const opt = edns === undefined ? Buffer.alloc(0) : optOf(edns);
  const whole = Buffer.concat([header, asked, opt, Buffer.from(tail, "hex")]);
  return parts.octets === undefined ? whole : whole.subarray(0, parts.octets);
}

function optOf({ size = 1232, version = 0, flags = 0, options = "" }: Edns): Buffer {
  const data = Buffer.from(options, "hex");
  const head = Buffer.from([0, 0, 41]);
  const ttl = Buffer.from([0, version]);
  return Buffer.concat([head, uint16(size), ttl, uint16(flags), uint16(data.length), data]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

/** A probe for a name that servers may be asked for. */
export function probe(label: string, name: string, parts: Parts & { tcp?: true } = {}): Probe {
  return {
    label,
    name: name.toLowerCase(),
    transport: parts.tcp === true ? "tcp" : "udp",
    limit: Math.max(512, parts.edns?.size ?? 512),
    wire: (id) => message(id, name, parts),
  };
}

/** The same of what may get no reply. */
export function oddity(label: string, name: string, parts: Parts & { tcp?: true } = {}): Probe {
  const { transport, limit, wire } = probe(label, name, parts);
  return { label, transport: transport!, limit: limit!, wire };
}
