/** Unsigned numbers of 64 bits in parameters and bodies. */
import { fail, ok, type Result } from "../base.ts";

/** Greatest number of 64 bits. */
const UINT64_MAX = 2n ** 64n - 1n;

/** The number; the error is that of Go's strconv.ParseUint with base 10. */
export function parseUint64(text: string): Result<bigint, string> {
  const problem = `strconv.ParseUint: parsing ${JSON.stringify(text)}: `;
  if (!/^\d+$/.test(text)) return fail(`${problem}invalid syntax`);
  // Zeros in front do not count; what is longer than 20 digits need not be computed.
  const digits = text.replace(/^0+(?=\d)/, "");
  if (digits.length > 20 || BigInt(digits) > UINT64_MAX)
    return fail(`${problem}value out of range`);
  return ok(BigInt(digits));
}
