/** Shared vocabulary of the cold DNS files: types only plus the numbers of RFC 1035 and successors. */

/** One resource record. Names, in owner and in data, are uncompressed wire names (RFC 1035 3.1). */
export type Rr = { owner: Uint8Array; type: number; class: number; ttl: number; data: Uint8Array };

/** Types of records and questions (IANA registry of DNS parameters). */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** The Internet (RFC 1035 section 3.2.4). */
export const CLASS_IN = 1;

/** RFC 1035 section 4.1.1. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
} as const;

/** Bits of the second 16-bit word of a header (RFC 1035 4.1.1, RFC 4035 3.2). */
export const FLAG = {
  QR: 0x8000,
  AA: 0x0400,
  TC: 0x0200,
  RD: 0x0100,
  RA: 0x0080,
  AD: 0x0020,
  CD: 0x0010,
} as const;

/** A message in parts. `question` is the question section as wire octets (QNAME, QTYPE, QCLASS), empty if none. */
export type Message = {
  id: number;
  flags: number;
  question: Uint8Array;
  answers: Rr[];
  authority: Rr[];
  additional: Rr[];
};
