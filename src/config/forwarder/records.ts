/** `forwarder.records`: single records of every type. */
import { fail, ok, type Result } from "../../base.ts";
import { foldName, formatName, parseName } from "../../dns/name.ts";
import { parseType } from "../../dns/presentation.ts";
import { CLASS_IN, TYPE } from "../../dns/rr.ts";
import { parseDuration } from "../../duration.ts";
import { parseData } from "../../forwarder/local/presentation.ts";
import { findLoop, type LocalRecord } from "../../forwarder/local/records.ts";
import { describe } from "../kinds.ts";
import { asciiDomain } from "./domain-text.ts";
import { readEntries, type Entry, type Problems } from "./members.ts";

/** TTLs have 31 bits (RFC 2181 section 8). */
const MAX_TTL_SECONDS = 0x7fffffff;
/** Types that are no data: they only stand in questions, or belong to the message. */
const NO_DATA = new Set<number>([TYPE.OPT, 249, 250, 251, 252, 253, 254, 255, 0]);

/** The records; those that say no TTL have `ttlSeconds`. A name that CNAMEs lead back to itself is an error. */
export function readRecords(
  raw: unknown,
  where: string,
  ttlSeconds: number,
  problems: Problems,
): LocalRecord[] {
  const known = ["name", "type", "data", "ttl", "wildcard"];
  const records = readEntries(raw, where, known, problems).flatMap((entry) => {
    const record = readRecord(entry, ttlSeconds);
    if (record.ok) return [record.value];
    problems.push(`${entry.where}${record.error}`);
    return [];
  });
  const loop = findLoop(records, { low: 0, high: 0 });
  if (loop !== undefined)
    problems.push(`${where}: the CNAME of ${formatName(loop)} leads back to itself`);
  return records;
}

function readRecord({ value }: Entry, ttlSeconds: number): Result<LocalRecord, string> {
  const text = (key: string): Result<string, string> => {
    const member = value[key];
    return typeof member === "string"
      ? ok(member)
      : fail(
          `.${key}: expected a text, got ${member === undefined ? "nothing" : describe(member)}`,
        );
  };
  const name = text("name");
  if (!name.ok) return name;
  const type = text("type");
  if (!type.ok) return type;
  const presentation = text("data");
  if (!presentation.ok) return presentation;
  const { wildcard = false } = value;
  if (typeof wildcard !== "boolean")
    return fail(`.wildcard: expected true or false, got ${describe(wildcard)}`);
  const isWild = wildcard || name.value.startsWith("*.");
  const owner = parseName(asciiDomain(name.value.replace(/^\*\./, "")));
  if (!owner.ok || name.value === "")
    return fail(
      `.name: ${JSON.stringify(name.value)} is no domain name${owner.ok ? "" : `: ${owner.error}`}`,
    );
  const number = parseType(type.value);
  if (number === undefined || NO_DATA.has(number))
    return fail(`.type: ${JSON.stringify(type.value)} is no type of records; TYPE123 names any`);
  const data = parseData(number, presentation.value);
  if (!data.ok) return fail(`.data: ${type.value}: ${data.error}`);
  const ttl = readTtl(value["ttl"], ttlSeconds);
  if (!ttl.ok) return ttl;
  return ok({
    owner: foldName(owner.value),
    type: number,
    class: CLASS_IN,
    ttl: ttl.value,
    data: data.value,
    wildcard: isWild,
  });
}

function readTtl(raw: unknown, otherwise: number): Result<number, string> {
  if (raw === undefined || raw === null) return ok(otherwise);
  const parsed = typeof raw === "string" ? parseDuration(raw) : undefined;
  const seconds = parsed?.ok === true ? Math.floor(parsed.value / 1000) : raw;
  if (typeof seconds !== "number" || !Number.isInteger(seconds))
    return fail(`.ttl: expected seconds, or a duration such as "1m", got ${describe(raw)}`);
  return seconds >= 0 && seconds <= MAX_TTL_SECONDS
    ? ok(seconds)
    : fail(`.ttl: must be from 0 to ${MAX_TTL_SECONDS}, got ${seconds}`);
}
