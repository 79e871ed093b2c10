/**
 * Rights of local entries: each is written with the token that came with it. What that token may not
 * write is left out of the catalog, and gets there when the token, or its policies, allow it.
 * Source: Consul's agent/local (tokens of services and checks) in 1.10, 1.16 for configuration files.
 */
import type { Authorizer } from "./acl.ts";
import type { LocalCheck, LocalService, LocalState } from "./local.ts";
import type { Cancel, Log, Timers } from "../ports.ts";

/** Time between two looks at what is blocked. Only then is anything looked at. */
const BLOCKED_LOOK_MS = 1_000;

/**
 * With whose rights an entry is written; `rights` is undefined if there is no such token (any more).
 * The accessor is for the log.
 */
export type Writer = { rights: Authorizer | undefined; accessorId(): string };

/** Entries that their tokens may not write, which are told once each in the log. */
export type Blocked = {
  mayWriteService(service: LocalService): boolean;
  mayWriteCheck(check: LocalCheck): boolean;
  /** Entries that are not written for want of rights. */
  readonly count: number;
  close(): void;
};

type Entry = { kind: "service" | "check"; id: string };

/** `allowed` is called with those that may be written at last. */
export function createBlocked(deps: {
  state: LocalState;
  nodeName(): string;
  writerOf(entry: Pick<LocalService, "token" | "source">): Writer;
  timers: Timers;
  log: Log;
  allowed(entries: readonly Entry[]): void;
}): Blocked {
  const { state, timers, log } = deps;
  /** By kind and id; at most the entries of the local state. */
  const blocked = new Map<string, Entry>();
  let timer: Cancel | undefined;

  function mayWrite(entry: LocalService | LocalCheck): boolean {
    const { rights } = deps.writerOf(entry);
    if (rights === undefined) return false;
    if (!("definition" in entry)) return rights.serviceWrite(entry.fields.service);
    const { serviceId } = entry.fields;
    if (serviceId === "") return rights.nodeWrite(deps.nodeName());
    const service = state.services.get(serviceId);
    return service !== undefined && rights.serviceWrite(service.fields.service);
  }

  function look(): void {
    timer = undefined;
    const allowed: Entry[] = [];
    for (const [name, entry] of blocked) {
      const now = state[`${entry.kind}s`].get(entry.id);
      if (now !== undefined && !mayWrite(now)) continue;
      blocked.delete(name);
      if (now !== undefined) allowed.push(entry);
    }
    if (allowed.length > 0) deps.allowed(allowed);
    arm();
  }

  function arm(): void {
    if (blocked.size > 0) timer ??= timers.after(BLOCKED_LOOK_MS, look);
  }

  function decide(entry: Entry, what: LocalService | LocalCheck): boolean {
    const name = `${entry.kind}:${entry.id}`;
    if (mayWrite(what)) {
      blocked.delete(name);
      return true;
    }
    if (blocked.has(name)) return false;
    blocked.set(name, entry);
    const subject = entry.kind === "service" ? "Service" : "Check";
    log("warn", `${subject} registration blocked by ACLs`, {
      [entry.kind]: entry.id,
      accessorID: deps.writerOf(what).accessorId(),
    });
    arm();
    return false;
  }

  return {
    mayWriteService: (service) => decide({ kind: "service", id: service.fields.id }, service),
    mayWriteCheck: (check) => decide({ kind: "check", id: check.fields.checkId }, check),
    get count() {
      return blocked.size;
    },
    close: () => timer?.(),
  };
}
