/** The lines of dnsmasq 2.90's `log-queries`, without what stands before them (date, program). */
import { formatAddress } from "../address.ts";
import { EDE } from "./edns.ts";
import type { ExtendedError } from "./answer.ts";
import { equalNames, parseReverseName } from "./name.ts";
import { formatStrings, TYPE_NAMES, typeName } from "./presentation.ts";
import {
  originOf,
  shownName,
  type LoggedReply,
  type Narrate,
  type Origin,
} from "./query-log-story.ts";
import { RCODE, TYPE, type Rr } from "./rr.ts";
import type { Note } from "./trace.ts";

/** Records of one answer that get a line; of a long one dnsmasq's reader wants the first. */
const RECORDS_MAX = 64;
/** After it numbers begin anew, as in dnsmasq. */
const MAX_SERIAL = 0xffff_ffff;
/** "network error" and the like. */
const errorNames = new Map<number, string>(
  Object.entries(EDE).map(([name, code]) => [code, name.toLowerCase().replaceAll("_", " ")]),
);

/** `query[A] name from ip`, `forwarded name to server`, `reply name is data` and so on. */
export const dnsmasqLines: Narrate = ({ qname, qtype, client }, _at, line) => {
  const name = shownName(qname);
  let origin: Origin = "reply";
  let file = "";
  let errors: readonly ExtendedError[] = [];
  line(`query[${TYPE_NAMES[qtype] ?? `type=${qtype}`}] ${name} from ${client.address}`);
  return {
    noted(note) {
      origin = originOf(note) ?? origin;
      if (note.step === "local") file = fileOf(note);
      else if (note.step === "sent") line(`forwarded ${name} to ${shownServer(note.server)}`);
      else if (note.step === "forwarded") ({ errors } = note);
    },
    ended(reply) {
      if (reply === null) return;
      const isStale = errors.some(
        ({ code }) => code === EDE.STALE_ANSWER || code === EDE.STALE_NXDOMAIN_ANSWER,
      );
      // Expired data is at hand, and yet the servers were asked and have answered.
      const source = isStale
        ? "cached-stale"
        : origin === "cached-stale"
          ? "reply"
          : origin === "config" && file !== ""
            ? file
            : origin;
      for (const what of told(qname, qtype, reply, source, errors)) line(`${source} ${what}`);
    },
  };
};

/**
 * The same, each line behind a number that tells questions apart, and the client's address and port
 * (`extra`); with `proto` behind UDP or TCP first (2.91).
 */
export function createExtraLines(proto: boolean): Narrate {
  let serial = 0;
  return (request, at, line) => {
    serial = serial >= MAX_SERIAL ? 1 : serial + 1;
    const { address, port, transport } = request.client;
    const first = proto ? `${transport === "udp" ? "UDP" : "TCP"} ` : "";
    const front = `${first}${serial} ${address}/${port} `;
    return dnsmasqLines(request, at, (text) => line(`${front}${text}`));
  };
}

/** Hosts files and blocklists are named, as dnsmasq names its files; "" for what the configuration says. */
function fileOf({ source, detail = "" }: Extract<Note, { step: "local" }>): string {
  const isOfFile = source === "records" || source === "blocklist";
  return isOfFile && detail.includes("/") ? detail : "";
}

function* told(
  qname: Uint8Array,
  qtype: number,
  { rcode, answers }: NonNullable<LoggedReply>,
  source: string,
  errors: readonly ExtendedError[],
): Generator<string> {
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) {
    yield `error is ${shownRcode(rcode)}${shownErrors(errors)}`;
    return;
  }
  let end = qname;
  let found = false;
  for (const record of answers.slice(0, RECORDS_MAX)) {
    for (const data of shownData(record, source)) yield `${shownOwner(record)} is ${data}`;
    if (record.type === TYPE.CNAME && qtype !== TYPE.CNAME && equalNames(record.owner, end))
      end = record.data;
    else found = true;
  }
  if (rcode === RCODE.NXDOMAIN) yield `${shownName(end)} is NXDOMAIN`;
  else if (!found) yield `${shownName(end)} is ${nodata(qtype)}`;
}

/** dnsmasq writes `192.0.2.1#53`; what it does not have (scheme, name, source) stays around that. */
function shownServer(label: string): string {
  const [, scheme = "", v6, v4, rest = ""] =
    /^([a-z]+:\/\/)?(?:\[([^\]]*)\]|([^:]*)):(.*)$/.exec(label) ?? [];
  return `${scheme}${v6 ?? v4 ?? ""}#${rest}`;
}

function shownOwner({ owner, type }: Rr): string {
  const address = type === TYPE.PTR ? parseReverseName(owner) : undefined;
  return address === undefined ? shownName(owner) : formatAddress(address);
}

/** One line for each text of a TXT record. */
function shownData({ type, data }: Rr, source: string): string[] {
  if (type === TYPE.A || type === TYPE.AAAA) return [formatAddress(data)];
  if (type === TYPE.PTR && source !== "config") return [shownName(data)];
  if (type === TYPE.TXT && source === "reply") return texts(data);
  return [`<${typeName(type)}>`];
}

/** As formatData has them, without the quotes. */
function texts(data: Uint8Array): string[] {
  const found: string[] = [];
  // The parser has seen to it that the texts end where the data does.
  for (let at = 0; at < data.length; at += 1 + data[at]!) {
    const one = data.subarray(at, at + 1 + data[at]!);
    found.push(formatStrings(one)?.slice(1, -1) ?? "");
  }
  return found;
}

function nodata(qtype: number): string {
  if (qtype === TYPE.A) return "NODATA-IPv4";
  return qtype === TYPE.AAAA ? "NODATA-IPv6" : "NODATA";
}

function shownRcode(rcode: number): string {
  if (rcode === RCODE.SERVFAIL) return "SERVFAIL";
  if (rcode === RCODE.REFUSED) return "REFUSED";
  return rcode === RCODE.NOTIMP ? "not implemented" : String(rcode);
}

function shownErrors(errors: readonly ExtendedError[]): string {
  if (errors.length === 0) return "";
  const words = errors.map(({ code, text }) =>
    text === "" ? (errorNames.get(code) ?? String(code)) : text,
  );
  return ` (EDE: ${words.join(", ")})`;
}
