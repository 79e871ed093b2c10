/**
 * A question as it came in: what it asks, or why it gets an error or nothing. The order of the
 * checks and what each malformed message gets is Consul's (spec of the DNS interface, section 1).
 */
import { formatAddress } from "../address.ts";
import type { Client } from "../ports.ts";
import {
  DO,
  HEADER_OCTETS,
  parseMessage,
  readName,
  readOpt,
  readUint16,
  skipName,
  type Opt,
} from "./message.ts";
import { FLAG, RCODE, TYPE } from "./rr.ts";

/** The only opcode that is answered (RFC 1035 section 4.1.1). */
export const OPCODE_QUERY = 0;
const OPCODE_NOTIFY = 4;

/** A question that can be answered. */
export type Request = {
  id: number;
  opcode: number;
  /** RD and CD as in the request (only those of opcode QUERY are copied). */
  flags: number;
  /** Question section, names uncompressed, spelled as asked. */
  question: Uint8Array;
  /** QNAME as asked; the owner of the records that answer the question. */
  qname: Uint8Array;
  qtype: number;
  qclass: number;
  opt: Opt | null;
  /** Client subnet (RFC 7871) out of the OPT. */
  subnet: Subnet | null;
  /** Data of the COOKIE option that the reply carries (RFC 7873). */
  cookie: Uint8Array | null;
  /** From beyond loopback: a reply over UDP never exceeds the payload. */
  isGuest: boolean;
  ad: boolean;
  /** DO or AD or CD: wants more than a cached answer can tell. */
  wantsSecurity: boolean;
};

/** `address`: ceil(source / 8) octets, bits beyond the prefix clear. */
export type Subnet = { family: number; source: number; address: Uint8Array };

/** A message that cannot be answered, and what it gets. */
export type BadRequest = {
  /** null: no reply at all. */
  rcode: number | null;
  /** The question to repeat, if there is a readable one. */
  question: Uint8Array;
  /** Counted under this word. */
  problem:
    | "short"
    | "response"
    | "opcode"
    | "question count"
    | "record count"
    | "name"
    | "cut"
    | "record"
    | "opt"
    | "subnet"
    | "cookie";
};

const NOTHING = new Uint8Array(0);
const OPTION_SUBNET = 8;

/** What was asked; or the error. A `Request` has a member `qname`. */
export function parseRequest(query: Uint8Array): Request | BadRequest {
  if (query.length < HEADER_OCTETS) return bad(null, "short");
  const word = readUint16(query, 2);
  if ((word & FLAG.QR) !== 0) return bad(null, "response");
  const opcode = (word >> 11) & 15;
  if (opcode !== OPCODE_QUERY && opcode !== OPCODE_NOTIFY) return bad(RCODE.NOTIMP, "opcode");
  if (readUint16(query, 4) !== 1) return bad(RCODE.FORMERR, "question count");
  const answers = readUint16(query, 6);
  const authority = readUint16(query, 8);
  const additional = readUint16(query, 10);
  if (answers > 1 || authority > 1 || additional > 2) return bad(RCODE.FORMERR, "record count");
  const read = readName(query, HEADER_OCTETS);
  if (read === undefined) return bad(RCODE.FORMERR, "name");
  const { name: qname, end } = read;
  if (end + 4 > query.length) return bad(RCODE.FORMERR, "cut");
  const question = questionOf(query, qname, end);

  const request: Request = {
    id: readUint16(query, 0),
    opcode,
    flags: opcode === OPCODE_QUERY ? word & (FLAG.RD | FLAG.CD) : 0,
    question,
    qname,
    qtype: readUint16(query, end),
    qclass: readUint16(query, end + 2),
    opt: null,
    subnet: null,
    cookie: null,
    isGuest: false,
    ad: (word & FLAG.AD) !== 0,
    wantsSecurity: (word & (FLAG.AD | FLAG.CD)) !== 0,
  };
  if (answers + authority + additional === 0) return request;
  return readRecords(request, query, end + 4, answers + authority, additional);
}

/** Question section with its name uncompressed; `end` is where the name ends in `query`. */
function questionOf(query: Uint8Array, qname: Uint8Array, end: number): Uint8Array {
  if (end - HEADER_OCTETS === qname.length) return query.slice(HEADER_OCTETS, end + 4);
  const question = new Uint8Array(qname.length + 4);
  question.set(qname, 0);
  question.set(query.subarray(end, end + 4), qname.length);
  return question;
}

/** Reads past tolerated records and finds the OPT. Octets behind the last record are ignored. */
function readRecords(
  request: Request,
  query: Uint8Array,
  from: number,
  skipped: number,
  additional: number,
): Request | BadRequest {
  const { question } = request;
  let at = from;
  let hasOther = false;
  for (let i = 0; i < skipped + additional; i++) {
    const owner = at;
    at = skipName(query, at);
    if (at < 0 || at + 10 > query.length) return bad(RCODE.FORMERR, "cut", question);
    const end = at + 10 + readUint16(query, at + 8);
    if (end > query.length) return bad(RCODE.FORMERR, "cut", question);
    const isOpt = readUint16(query, at) === TYPE.OPT;
    // In another section it is no OPT (RFC 6891 section 6.1.1), and of no other type either.
    if (isOpt && i < skipped) return bad(RCODE.FORMERR, "opt", question);
    if (!isOpt) hasOther = true;
    else {
      const opt = at === owner + 1 ? readOpt(query, at) : undefined;
      if (opt === undefined || request.opt !== null) return bad(RCODE.FORMERR, "opt", question);
      const subnet = readSubnet(opt.options);
      if (subnet === undefined) return bad(RCODE.FORMERR, "subnet", question);
      request.opt = opt;
      request.subnet = subnet;
      if ((opt.flags & DO) !== 0) request.wantsSecurity = true;
    }
    at = end;
  }
  if (hasOther && !parseMessage(query).ok) return bad(RCODE.FORMERR, "record", question);
  return request;
}

/** The first client-subnet option; null if there is none, undefined for a malformed one (RFC 7871 6). */
function readSubnet(options: Uint8Array): Subnet | null | undefined {
  for (let at = 0; at < options.length; at += 4 + readUint16(options, at + 2)) {
    if (readUint16(options, at) !== OPTION_SUBNET) continue;
    const octets = readUint16(options, at + 2);
    if (octets < 4) return undefined;
    const family = readUint16(options, at + 4);
    const source = options[at + 6]!;
    const bits = family === 1 ? 32 : family === 2 ? 128 : 0;
    // An address family that we do not know says nothing to us.
    if (bits === 0 && family !== 0) return null;
    if (source > bits || octets - 4 > bits >> 3 || octets - 4 < (source + 7) >> 3) return undefined;
    const address = options.slice(at + 8, at + 8 + ((source + 7) >> 3));
    if ((source & 7) !== 0) address[address.length - 1]! &= (0xff00 >> (source & 7)) & 0xff;
    return { family, source, address };
  }
  return null;
}

function bad(
  rcode: number | null,
  problem: BadRequest["problem"],
  question: Uint8Array = NOTHING,
): BadRequest {
  return { rcode, question, problem };
}

/**
 * The reply to a bad request: RD copied, nothing else set; the opcode only with NOTIMP. null if there
 * must be none.
 */
export function errorReply(query: Uint8Array, { rcode, question }: BadRequest): Uint8Array | null {
  if (rcode === null) return null;
  const reply = new Uint8Array(HEADER_OCTETS + question.length);
  reply[0] = query[0]!;
  reply[1] = query[1]!;
  const opcode = rcode === RCODE.NOTIMP ? query[2]! & 0x78 : 0;
  reply[2] = 0x80 | opcode | (query[2]! & 0x01);
  reply[3] = rcode;
  if (question.length > 0) {
    reply[5] = 1;
    reply.set(question, HEADER_OCTETS);
  }
  return reply;
}

/** Address for `near=_ip`: the client subnet's if there is one, else the client's own. */
export function askerAddress({ subnet }: Request, client: Client): string {
  if (subnet === null || subnet.family === 0) return client.address;
  const full = new Uint8Array(subnet.family === 1 ? 4 : 16);
  full.set(subnet.address);
  return formatAddress(full);
}
