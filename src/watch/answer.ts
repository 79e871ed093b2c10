/** What an answer of the API means to a watch: the data that its handler gets, and where to go on from. */
import { fail, ok, type Result } from "../base.ts";
import { decodeShape } from "../cluster/decode.ts";
import { parseKvPairs, renderKvPair } from "../cluster/kv-pair.ts";
import { escapeAsGo } from "../go-json.ts";
import type { WatchPlan, WatchType } from "./plan.ts";

/** An answer of the API. */
export type WatchAnswer = {
  status: number;
  /** Of one header, null if it is absent. */
  header(name: string): string | null;
  text: string;
};

/** What a handler is told. */
export type WatchData = {
  /** The new value as compact JSON, as Consul's handlers get it. */
  json: string;
  /** Of the answer; "0" for a watch that has none. Up to 20 digits. */
  index: string;
};

/** The parameter that makes a query of this type wait, and the header that says where it stands. */
export function cursorOf(type: WatchType): { parameter: "index" | "hash"; header: string } {
  return type === "agent_service"
    ? { parameter: "hash", header: "X-Consul-ContentHash" }
    : { parameter: "index", header: "X-Consul-Index" };
}

/** The data of an answer. The error is a sentence such as `Unexpected response code: 403 (ACL not found)`. */
export function readAnswer(plan: WatchPlan, answer: WatchAnswer): Result<string, string> {
  const { status, text } = answer;
  const isKv = plan.type === "key" || plan.type === "keyprefix";
  if (isKv && status === 404) return ok("null");
  if (status < 200 || status > 299)
    return fail(`Unexpected response code: ${status} (${text.trim()})`);
  if (isKv) {
    const pairs = parseKvPairs(text);
    if (!pairs.ok) return fail(`the answer is not understood: ${pairs.error}`);
    const texts = pairs.value.map(renderKvPair);
    return ok(plan.type === "key" ? (texts[0] ?? "null") : `[${texts.join(",")}]`);
  }
  try {
    return ok(escapeAsGo(JSON.stringify(JSON.parse(text))));
  } catch {
    return fail("the answer is not JSON");
  }
}

/** `json` indented by four as Go prints it: numbers of 64 bits keep their digits. */
export function indented(json: string): string {
  const marked = json.replaceAll(/"Flags":(\d+)/g, '"Flags":"$1"');
  const text = JSON.stringify(JSON.parse(marked), null, 4);
  return escapeAsGo(text.replaceAll(/"Flags": "(\d+)"/g, '"Flags": $1'));
}

const eventsShape = { list: { struct: { ID: "string" } } } as const;

/** The events of a list that come after the one with `lastId`. */
export type NewEvents = {
  json: string;
  count: number;
  lastId: string;
  /** The last one that was handled is not listed any more, so others may have come and gone. */
  mayHaveMissed: boolean;
};

/** Finds the new events in a list of /v1/event/list; `lastId` is "" before the first. */
export function newEvents(json: string, lastId: string): NewEvents {
  const events = JSON.parse(json) as unknown[]; // readAnswer printed it
  const decoded = decodeShape(eventsShape, events, { unknown: undefined });
  const ids = decoded.ok ? (decoded.value ?? []).map(({ ID }) => ID) : [];
  const at = lastId === "" ? -1 : ids.lastIndexOf(lastId);
  const fresh = events.slice(at + 1);
  return {
    json: escapeAsGo(JSON.stringify(fresh)),
    count: fresh.length,
    lastId: ids.at(-1) ?? lastId,
    mayHaveMissed: lastId !== "" && at < 0,
  };
}
