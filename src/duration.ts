import { fail, ok, type Result } from "./base.ts";

/** Nanoseconds per unit, as Go's `time.ParseDuration` knows them (both micro signs). */
const unitNanoseconds: Record<string, number> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const maxNanoseconds = 2n ** 63n;
/** A longer text is invalid. Go reads any; the work for a client's body must not grow with it. */
const maxCharacters = 256;
const nanosecondsPerMs = 1_000_000n;

/**
 * A duration in the syntax of Go (`1m30s`, `1.5h`, `-500ms`, `0`) → milliseconds, with fractions
 * down to one nanosecond. The error is Go's own sentence, for example
 * `time: missing unit in duration "5"`. Source: Go `time.ParseDuration`.
 */
export function parseDuration(text: string): Result<number, string> {
  if (text.length > maxCharacters)
    return fail(`time: invalid duration ${JSON.stringify(`${text.slice(0, maxCharacters)}...`)}`);
  const invalid = fail(`time: invalid duration ${JSON.stringify(text)}`);
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return ok(0);
  if (rest === "") return invalid;
  let total = 0n;
  while (rest !== "") {
    const [number, whole, fraction] = /^(\d*)(?:\.(\d*))?/.exec(rest)!;
    if (!whole && !fraction) return invalid;
    rest = rest.slice(number.length);
    const unit = /^[^.0-9]*/.exec(rest)![0];
    if (unit === "") return fail(`time: missing unit in duration ${JSON.stringify(text)}`);
    const scale = Object.hasOwn(unitNanoseconds, unit) ? unitNanoseconds[unit] : undefined;
    if (scale === undefined)
      return fail(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`);
    rest = rest.slice(unit.length);
    total += BigInt(whole || "0") * BigInt(scale) + fractionNanoseconds(fraction ?? "", scale);
    if (total > maxNanoseconds) return invalid;
  }
  if (total === maxNanoseconds && !negative) return invalid;
  const ms = Number(total / nanosecondsPerMs) + Number(total % nanosecondsPerMs) / 1e6;
  return ok(negative ? -ms : ms);
}

/** Go computes the fraction in doubles and cuts it off; done the same way, so the last digit agrees. */
function fractionNanoseconds(digits: string, scale: number): bigint {
  if (digits === "") return 0n;
  const kept = BigInt(digits.slice(0, 19)) < maxNanoseconds ? 19 : 18; // more overflow Go's int64
  const used = digits.slice(0, kept);
  return BigInt(Math.trunc(Number(used) * (scale / 10 ** used.length)));
}

/**
 * Milliseconds → the text that Go's `Duration.String` gives: `0s`, `1.5ms`, `10s`, `1m30s`,
 * `1h0m0s`. Precision is one nanosecond.
 */
export function formatDuration(ms: number): string {
  const whole = Math.trunc(ms);
  const signed = BigInt(whole) * nanosecondsPerMs + BigInt(Math.round((ms - whole) * 1e6));
  const nanoseconds = signed < 0n ? -signed : signed;
  const sign = signed < 0n ? "-" : "";
  if (nanoseconds === 0n) return "0s";
  if (nanoseconds < 1_000n) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1_000_000n) return `${sign}${decimal(nanoseconds, 3)}\u00b5s`;
  if (nanoseconds < 1_000_000_000n) return `${sign}${decimal(nanoseconds, 6)}ms`;
  const minutes = nanoseconds / 60_000_000_000n;
  const seconds = `${decimal(nanoseconds % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return sign + seconds;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `value` with its decimal point `places` digits from the right, without trailing zeros. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "");
  const whole = digits.slice(0, -places);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
