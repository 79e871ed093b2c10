/**
 * The filters around the upstream servers. The cache stands behind them and keeps what came, so a change
 * of settings needs no flush.
 */
import type { Forward, ForwardRequest } from "../../dns/answer.ts";
import { EDE } from "../../dns/edns.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../../dns/rr.ts";
import type { Clock, Log } from "../../ports.ts";
import type { Answered } from "../reply.ts";
import { madeHere, withDns64 } from "./dns64.ts";
import { leadsInside } from "./rebind.ts";
import { emptied, withAliases, withoutBogus, withoutTypes } from "./records.ts";
import type { FilterCounts, FilterSettings, RebindSettings } from "./settings.ts";

const HINFO = 13;
const UNDERSCORE = 0x5f;
/** "RFC8482" as CPU, nothing as OS (RFC 8482 4.2). */
const minimalData = Uint8Array.from([7, ...Array.from("RFC8482", (c) => c.charCodeAt(0)), 0]);
const MINIMAL_TTL_SECONDS = 3600;
/** One line about rebinding in this time; the others are counted in the next one. */
const LOG_PAUSE_MS = 1000;

export type FilterDeps = {
  log: Log;
  clock: Pick<Clock, "monotonicMs">;
  counts: FilterCounts;
};

/** `afterChain`: what a name leads to by way of other zones, or of data of our own, is seen once more as a whole. */
export type Filter = ((ask: Forward, askElsewhere: Forward) => Forward) & {
  readonly afterChain: Change;
};

/** The filters of these settings, to be put around the asking of servers. */
export function createFilter(settings: FilterSettings, deps: FilterDeps): Filter {
  const { counts } = deps;
  const { types, dns64, minimalAny, win2k } = settings;
  const protect = settings.rebind === null ? null : createProtection(settings.rebind, deps);
  const change = createChange(settings, deps, protect);
  const filteredTypes = new Set(types);
  const wrap = (ask: Forward, askElsewhere: Forward): Forward => {
    const changed = change === null ? ask : withChange(ask, change);
    const typed = types.length === 0 ? changed : withTypes(changed, filteredTypes, counts);
    const forward =
      dns64 === null
        ? typed
        : withDns64({ ask: typed, askA: changed, askElsewhere }, dns64, () => counts.dns64++);
    if (!minimalAny && !win2k) return forward;
    return (request, done) => {
      if (minimalAny && request.qtype === TYPE.ANY && request.client.transport === "udp") {
        counts.minimalAny++;
        note(request, "minimal_any");
        done(madeHere([minimalRecord(request)]));
      } else if (win2k && isOfWindows(request)) {
        counts.win2k++;
        note(request, "filter_win2k");
        done({ ...madeHere([]), ede: [{ code: EDE.FILTERED, text: "" }] });
      } else forward(request, done);
    };
  };
  return Object.assign(wrap, { afterChain: protect ?? asItIs });
}

const asItIs: Change = (_request, answer) => answer;

type Change = (request: ForwardRequest, answer: Answered) => Answered;

function withChange(ask: Forward, change: Change): Forward {
  return (request, done) =>
    ask(request, (answer) => done(answer.ok ? change(request, answer) : answer));
}

/** null: nothing is configured. */
function createChange(
  settings: FilterSettings,
  { counts }: FilterDeps,
  protect: Change | null,
): Change | null {
  const { bogusNxdomain, alias } = settings;
  if (bogusNxdomain.length === 0 && alias.length === 0 && protect === null) return null;
  return (request, before) => {
    const allowed = withoutBogus(before, bogusNxdomain);
    if (allowed !== before) {
      counts.bogusNxdomain++;
      note(request, "bogus_nxdomain");
      return allowed;
    }
    const answer = withAliases(before, alias);
    if (answer !== before) counts.alias++;
    return protect === null ? answer : protect(request, answer);
  };
}

/** Takes away what leads inside. */
function createProtection(rebind: RebindSettings, deps: FilterDeps): Change {
  const { counts } = deps;
  const warn = createWarning(deps);
  return (request, answer) => {
    const owner = leadsInside(request, [...answer.answers, ...answer.additional], rebind);
    if (owner === undefined) return answer;
    counts.rebind++;
    note(request, "rebind_protection");
    warn(owner);
    return emptied(answer, RCODE.NOERROR, EDE.BLOCKED, "possible DNS rebinding");
  };
}

function withTypes(ask: Forward, types: ReadonlySet<number>, counts: FilterCounts): Forward {
  return (request, done) =>
    ask(request, (before) => {
      const after = before.ok ? withoutTypes(before, request.qtype, types) : before;
      if (after !== before) {
        counts.types++;
        note(request, "filter_types");
      }
      done(after);
    });
}

function note({ trace }: ForwardRequest, filter: string): void {
  trace?.add({ step: "filtered", filter });
}

/** One line per LOG_PAUSE_MS: whoever makes up names must not fill the log. */
function createWarning({ log, clock }: FilterDeps): (owner: string) => void {
  let quietUntilMs = -Infinity;
  let untold = 0;
  return (owner) => {
    const nowMs = clock.monotonicMs();
    if (nowMs < quietUntilMs) {
      untold++;
      return;
    }
    quietUntilMs = nowMs + LOG_PAUSE_MS;
    const more = untold > 0 ? { others: untold } : {};
    untold = 0;
    log("warn", "possible DNS-rebind attack detected", { name: owner, ...more });
  };
}

function minimalRecord({ qname }: ForwardRequest): Rr {
  return {
    owner: qname,
    type: HINFO,
    class: CLASS_IN,
    ttl: MINIMAL_TTL_SECONDS,
    data: minimalData,
  };
}

/** What old versions of Windows ask for again and again (dnsmasq `filterwin2k`). */
function isOfWindows({ qtype, qname }: ForwardRequest): boolean {
  if (qtype === TYPE.ANY) return qname.includes(UNDERSCORE);
  return qtype === TYPE.SOA || qtype === TYPE.SRV;
}
