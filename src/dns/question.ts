/** A question as a stub resolver sends it. */
import { DO } from "./message.ts";
import { encodeMessage } from "./encode.ts";
import { CLASS_IN, FLAG } from "./rr.ts";

/** What goes into the message. */
export type QuestionParts = {
  qname: Uint8Array;
  qtype: number;
  /** Octets that the asker takes over UDP; 0: without EDNS. */
  payload: number;
  rd: boolean;
  /** DNSSEC OK (RFC 3225); needs EDNS. */
  do: boolean;
};

/** The message, id 0, class IN. */
export function encodeQuestion({ qname, qtype, payload, rd, do: ok }: QuestionParts): Uint8Array {
  const question = new Uint8Array(qname.length + 4);
  question.set(qname);
  question.set([qtype >> 8, qtype, CLASS_IN >> 8, CLASS_IN], qname.length);
  const options = new Uint8Array(0);
  return encodeMessage(
    {
      id: 0,
      flags: rd ? FLAG.RD : 0,
      question,
      answers: [],
      authority: [],
      additional: [],
    },
    {
      compress: false,
      opt:
        payload === 0
          ? null
          : { payload, extendedRcode: 0, version: 0, flags: ok ? DO : 0, options },
    },
  );
}
