/** Puts back the local services and checks that were kept on disk. */
import type { Result } from "../base.ts";
import type { Log } from "../ports.ts";
import { kindOfCheck, type CheckDefinition } from "./definition.ts";
import { registerService, restoreCheck, type LocalOutput, type LocalState } from "./local.ts";
import {
  decodeCheck,
  decodeService,
  decodeStatus,
  type StoredEntry,
  type StoredKind,
} from "./local-store.ts";

/**
 * Configuration first, then services, checks, TTL states of `entries`. Configuration wins over an
 * entry of the same id, and the entry goes. One that does not fit stays where it is and is named in
 * the log; nothing is lost silently. A check that may not run here any more stands, critical, with the
 * reason as its output. Source: Consul's loadServices and loadChecks, which purge such a check.
 */
export function restoreLocal(
  state: LocalState,
  from: {
    entries: readonly StoredEntry[];
    /** Registers what the configuration says. */
    configure(): LocalOutput[];
    /** Why a check cannot run here; undefined if it can. */
    refusalOf(check: CheckDefinition): string | undefined;
    /** What a check that is run last found, if that holds still: else its first status counts until it has run. */
    resultOf(checkId: string): { status: string; output: string } | undefined;
    /** Wall clock. */
    nowMs: number;
    log: Log;
  },
): LocalOutput[] {
  const { entries, log } = from;
  const outputs = from.configure();
  const refused = new Set<string>();

  for (const service of load(entries, "services", decodeService, log)) {
    const { id } = service.fields;
    const present = state.services.get(id);
    if (present?.source === "api") continue; // registered while we were reading: that is newer
    if (present) {
      log("warn", "service is defined in the configuration, its stored registration goes", { id });
      outputs.push({ type: "drop-service", id });
      continue;
    }
    const options = { source: "api", replaceExistingChecks: false } as const;
    outputs.push(...withoutSaves(registerService(state, { ...service, checks: [] }, options)));
  }

  for (const check of load(entries, "checks", decodeCheck, log)) {
    const id = check.fields.checkId;
    const present = state.checks.get(id);
    if (present?.source === "api") continue;
    if (present) {
      log("warn", "check is defined in the configuration, its stored registration goes", { id });
      outputs.push({ type: "drop-check", id });
      continue;
    }
    const restored = restoreCheck(state, check);
    const refusal = check.definition && from.refusalOf(check.definition);
    if (restored.ok && refusal) {
      log("error", `stored check is not started, it is critical: ${refusal}`, { id });
      refused.add(id);
      const stands = state.checks.get(id)!;
      state.checks.set(id, { ...stands, fields: { ...stands.fields, output: refusal } });
      outputs.push(...withoutSaves(restored.value).filter(({ type }) => type !== "start-check"));
    } else if (restored.ok) outputs.push(...withoutSaves(restored.value));
    else {
      log("warn", `stored check goes: ${restored.error}`, { id });
      outputs.push({ type: "drop-check", id }, { type: "drop-status", id });
    }
  }

  for (const last of load(entries, "checks/state", decodeStatus, log)) {
    const id = last.checkId;
    const check = state.checks.get(id);
    const isTtl = check?.definition && kindOfCheck(check.definition) === "ttl";
    if (!isTtl || last.expiresMs < from.nowMs) {
      log("debug", "stored state of a check has expired", { id });
      outputs.push({ type: "drop-status", id });
      continue;
    }
    const { status, output } = last;
    state.checks.set(id, { ...check, fields: { ...check.fields, status, output } });
  }

  for (const [id, check] of state.checks) {
    if (check.definition === null || kindOfCheck(check.definition) === "ttl") continue;
    const result = refused.has(id) ? undefined : from.resultOf(id);
    if (result === undefined) continue;
    const { status, output } = result;
    state.checks.set(id, { ...check, fields: { ...check.fields, status, output } });
  }
  return outputs;
}

/** What is on disk already is not written again. */
function withoutSaves(outputs: LocalOutput[]): LocalOutput[] {
  return outputs.filter(({ type }) => type !== "save-service" && type !== "save-check");
}

function load<T>(
  entries: readonly StoredEntry[],
  kind: StoredKind,
  decode: (text: string) => Result<T, string>,
  log: Log,
): T[] {
  const loaded: T[] = [];
  for (const { id, text } of entries.filter((entry) => entry.kind === kind)) {
    const decoded = decode(text);
    if (decoded.ok) loaded.push(decoded.value);
    else log("error", `cannot use ${kind}/${id}, it is left as it is: ${decoded.error}`);
  }
  return loaded;
}
