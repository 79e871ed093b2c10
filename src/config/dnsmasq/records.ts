/** Lines that give records: `cname`, `srv-host`, `txt-record` and the like. */
import { note, refuse, usableName, type Draft, type Handler } from "./draft.ts";
import { shown, splitList } from "./line.ts";
import type { Statement } from "./statements.ts";

/** `cname`: `alias[,alias...],target[,ttl]`. */
export const readCname: Handler = (draft, statement) => {
  const parts = splitList(statement.value);
  const last = shown(parts.at(-1) ?? "");
  const hasTtl = parts.length > 2 && /^\d*$/.test(last);
  const ttl = hasTtl ? Number(parts.pop()) : undefined;
  if (parts.length < 2) return refuse(draft, statement, "expected an alias, a comma and a target");
  const target = usableName(draft, statement, parts.pop() ?? "");
  if (target === undefined) return;
  for (const part of parts) {
    const name = usableName(draft, statement, part);
    if (name === undefined) continue;
    const same = draft.records.find((each) => each.type === "CNAME" && isSame(each.name, name));
    if (same !== undefined)
      return refuse(draft, statement, `${name} is an alias already at ${same.place}`);
    add(draft, statement, { name, type: "CNAME", data: absolute(target), ttl });
  }
};

/** `srv-host`: `name[,target[,port[,priority[,weight]]]]`. */
export const readSrv: Handler = (draft, statement) => {
  const [owner = "", target = "", ...numbers] = splitList(statement.value);
  const [port = "1", priority = "0", weight = "0"] = numbers.map(shown);
  if (![port, priority, weight].every(isUint16))
    return refuse(draft, statement, "port, priority and weight must be from 0 to 65535");
  const name = usableName(draft, statement, owner);
  const host = usableName(draft, statement, target);
  if (name === undefined || host === undefined) return;
  const data = `${Number(priority)} ${Number(weight)} ${Number(port)} ${absolute(host)}`;
  add(draft, statement, { name, type: "SRV", data });
};

/** `mx-host`: `name[,target[,preference]]`; without a target that of `mx-target`, or this host. */
export const readMx: Handler = (draft, statement) => {
  const [owner = "", target = "", preference = "1"] = splitList(statement.value);
  if (!isUint16(shown(preference)))
    return refuse(draft, statement, "the preference must be from 0 to 65535");
  const name = usableName(draft, statement, owner);
  const host = usableName(draft, statement, target);
  if (name === undefined || host === undefined) return;
  add(draft, statement, { name, type: "MX", data: `${Number(shown(preference))} ${host}` });
};

/** `txt-record`: `name[,text...]`; texts of more than 255 octets become several. */
export const readTxt: Handler = (draft, statement) => {
  const comma = statement.value.indexOf(",");
  const [owner = ""] = splitList(statement.value);
  const texts =
    comma < 0
      ? [""]
      : statement.value
          .slice(comma + 1)
          .replace(/^ +/, "")
          .split(",");
  const name = usableName(draft, statement, owner);
  if (name === undefined) return;
  const data = texts
    .flatMap((text) => chunks(shown(text)))
    .map(quoted)
    .join(" ");
  add(draft, statement, { name, type: "TXT", data });
};

/** `ptr-record`: `name[,target]`. */
export const readPtr: Handler = (draft, statement) => {
  const [owner = "", target] = splitList(statement.value);
  const name = usableName(draft, statement, owner);
  if (name === undefined) return;
  if (target === undefined || target === "")
    return note(draft, statement, "without a target there is no record: left out");
  const host = usableName(draft, statement, target);
  if (host === undefined) return;
  add(draft, statement, { name, type: "PTR", data: absolute(host) });
};

/** `naptr-record`: `name,order,preference,flags,service,regexp[,replacement]`. */
export const readNaptr: Handler = (draft, statement) => {
  const [owner = "", order = "", preference = "", flags, service, regexp, replacement = ""] =
    splitList(statement.value, ",");
  if (regexp === undefined || !isUint16(shown(order)) || !isUint16(shown(preference)))
    return refuse(draft, statement, "expected name,order,preference,flags,service,regexp");
  const name = usableName(draft, statement, owner);
  const host = usableName(draft, statement, replacement);
  if (name === undefined || host === undefined) return;
  const texts = [flags, service, regexp].map((text) => quoted(bytes(shown(text ?? ""))));
  const numbers = `${Number(shown(order))} ${Number(shown(preference))}`;
  add(draft, statement, {
    name,
    type: "NAPTR",
    data: `${numbers} ${texts.join(" ")} ${absolute(host)}`,
  });
};

/** `caa-record`: `name,flags,tag,value`. */
export const readCaa: Handler = (draft, statement) => {
  const [owner = "", flags = "", tag, ...value] = splitList(statement.value);
  if (!/^\d+$/.test(shown(flags)) || tag === undefined || value.length === 0)
    return refuse(draft, statement, "expected name,flags,tag,value");
  const name = usableName(draft, statement, owner);
  if (name === undefined) return;
  const word = shown(tag);
  // Written as octets: dnsmasq checks neither the flags nor the tag.
  const data = [
    Number(shown(flags)) & 255,
    word.length & 255,
    ...bytes(word),
    ...bytes(shown(value.join(","))),
  ];
  add(draft, statement, { name, type: "CAA", data: generic(data) });
};

/** `dns-rr`: `name,type number[,octets in hexadecimal]`. */
export const readRr: Handler = (draft, statement) => {
  const [owner = "", type = "", hex = ""] = splitList(statement.value);
  const digits = shown(hex).replaceAll(/[: ]/g, "");
  if (!isUint16(shown(type)) || shown(type) === "" || !/^[\da-f]*$/i.test(digits))
    return refuse(draft, statement, "expected name,type number,octets in hexadecimal");
  const name = usableName(draft, statement, owner);
  if (name === undefined) return;
  const pairs = shown(hex)
    .split(/[: ]/)
    .flatMap((group) => group.match(/..?/g) ?? [])
    .map((pair) => parseInt(pair, 16));
  add(draft, statement, { name, type: `TYPE${Number(shown(type))}`, data: generic(pairs) });
};

/** One record more. A star in a name is itself; what it means in a zone of `auth-zone` is seen to in tree.ts. */
export function add(
  draft: Draft,
  statement: Statement,
  record: { name: string; type: string; data: string; ttl?: number | undefined },
): void {
  if (record.name === "") return note(draft, statement, "the name is empty: left out");
  const name = record.name.startsWith("*.") ? `\\${record.name}` : record.name;
  draft.records.push({ ...record, name, place: statement.place });
}

/** The name with its final dot, as data of records has it. */
export function absolute(name: string): string {
  return `${name}.`;
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function isUint16(digits: string): boolean {
  return /^\d*$/.test(digits) && Number(digits) <= 65535;
}

const utf8 = new TextEncoder();

function bytes(text: string): Uint8Array {
  return utf8.encode(text);
}

function chunks(text: string): Uint8Array[] {
  const octets = bytes(text);
  const parts: Uint8Array[] = [];
  for (let i = 0; i < octets.length || i === 0; i += 255) parts.push(octets.subarray(i, i + 255));
  return parts;
}

/** A character string of RFC 1035 5.1. */
function quoted(octets: Uint8Array): string {
  let text = "";
  for (const octet of octets) {
    const char = String.fromCharCode(octet);
    if (char === '"' || char === "\\") text += `\\${char}`;
    else text += octet < 0x20 || octet > 0x7e ? `\\${String(octet).padStart(3, "0")}` : char;
  }
  return `"${text}"`;
}

/** RFC 3597 5: data of any type. */
function generic(octets: readonly number[]): string {
  const hex = octets.map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return `\\# ${octets.length}${hex === "" ? "" : ` ${hex}`}`;
}
