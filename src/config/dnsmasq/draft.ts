/** What the lines of a dnsmasq configuration come to, while they are read. */
import { domainToASCII } from "node:url";
import { fail, ok, type Result } from "../../base.ts";
import { parseName } from "../../dns/name.ts";
import type { InterfaceAddress } from "../interface-address.ts";
import { shown } from "./line.ts";
import { createPatterns, type Patterns } from "./patterns.ts";
import type { Statement } from "./statements.ts";

/** One record of `forwarder.records`. */
export type RecordDraft = {
  name: string;
  type: string;
  data: string;
  /** Seconds; undefined: that of `local-ttl`. */
  ttl?: number | undefined;
  wildcard?: true;
  place: string;
};

export type Draft = {
  /** Scalars and lists of our JSON by their dotted key, with the place that gave them. */
  readonly values: Map<string, { value: unknown; place: string }>;
  /** By pattern as `forwarder.zones` writes it; "." for every name. */
  readonly names: Patterns;
  readonly records: RecordDraft[];
  /** Names of addresses that have a PTR record from `host-record`; the first name has it. */
  readonly reverse: Set<string>;
  /** Lines whose meaning depends on others, by keyword. */
  readonly later: Map<string, Statement[]>;
  readonly errors: string[];
  readonly notes: string[];
  readonly machine: { hostname: string; addresses: readonly InterfaceAddress[] };
};

/** Nothing said yet. */
export function createDraft(machine: Draft["machine"]): Draft {
  return {
    values: new Map(),
    names: createPatterns(),
    records: [],
    reverse: new Set(),
    later: new Map(),
    errors: [],
    notes: [],
    machine,
  };
}

/** What one keyword does to the draft. */
export type Handler = (draft: Draft, statement: Statement) => void;

/** Refuses the line: dnsmasq does not start with it either. */
export function refuse(draft: Draft, { place, keyword }: Statement, why: string): undefined {
  draft.errors.push(`${place}: ${keyword}: ${why}`);
}

/** Leaves the line, or a part of it, out. */
export function note(draft: Draft, { place, keyword }: Statement, why: string): undefined {
  draft.notes.push(`${place}: ${keyword}: ${why}`);
}

/** A scalar; a later line takes the place of an earlier one. */
export function put(draft: Draft, { place }: Statement, key: string, value: unknown): void {
  draft.values.set(key, { value, place });
}

/** One more text of a list. */
export function append(draft: Draft, { place }: Statement, key: string, text: string): void {
  const before = draft.values.get(key);
  const list = before === undefined ? [] : (before.value as string[]); // made here alone
  list.push(text);
  draft.values.set(key, { value: list, place: before?.place ?? place });
}

/** The number that a line says, from 0 to `max`; an empty value is 0, as in dnsmasq. */
export function numberOf(
  draft: Draft,
  statement: Statement,
  text: string = statement.value,
  max = 2_147_483_647,
): number | undefined {
  const digits = shown(text);
  if (/^\d*$/.test(digits) && Number(digits) <= max) return Number(digits);
  refuse(draft, statement, `expected a number from 0 to ${max}, got ${JSON.stringify(digits)}`);
  return undefined;
}

/**
 * A domain name without its final dot, other scripts as their ASCII form. The error says why dnsmasq
 * refuses it; a name that dnsmasq takes though no question can have it is given with `usable` false.
 */
export function nameOf(value: string): Result<{ name: string; usable: boolean }, string> {
  const text = shown(value).replace(/\.$/, "");
  const ascii = /[^\x20-\x7e]/.test(text) ? domainToASCII(text) : text;
  if (ascii === "" && text !== "") return fail(`${JSON.stringify(text)} is no domain name`);
  const escaped = ascii.replaceAll(/[\\ ]/g, (char) => (char === " " ? "\\032" : "\\\\"));
  const parsed = parseName(escaped);
  if (!parsed.ok && parsed.error === "label too long")
    return fail(`${JSON.stringify(text)} has a label of more than 63 octets`);
  return ok({ name: escaped, usable: parsed.ok });
}

/** A name that can be used; what cannot is told as an error or a note, and undefined. */
export function usableName(draft: Draft, statement: Statement, value: string): string | undefined {
  const name = nameOf(value);
  if (!name.ok) return refuse(draft, statement, name.error);
  if (name.value.usable) return name.value.name;
  note(draft, statement, `${JSON.stringify(shown(value))} is the name of nothing: left out`);
  return undefined;
}
