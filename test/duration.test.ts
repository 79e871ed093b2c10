import fc from "fast-check";
import t from "tap";
import { formatDuration, parseDuration } from "../src/duration.ts";

// Accepted text, milliseconds, and what Go's Duration.String prints for that value.
const accepted: [text: string, ms: number, printed: string][] = [
  ["0", 0, "0s"],
  ["+0", 0, "0s"],
  ["0s", 0, "0s"],
  ["5s", 5000, "5s"],
  ["30s", 30_000, "30s"],
  ["90s", 90_000, "1m30s"],
  ["1m30s", 90_000, "1m30s"],
  ["30s1m", 90_000, "1m30s"],
  ["60m", 3_600_000, "1h0m0s"],
  ["1.5h", 5_400_000, "1h30m0s"],
  ["87600h", 315_360_000_000, "87600h0m0s"],
  ["500ms", 500, "500ms"],
  ["1.5ms", 1.5, "1.5ms"],
  ["250us", 0.25, "250\u00b5s"],
  ["250\u00b5s", 0.25, "250\u00b5s"],
  ["250\u03bcs", 0.25, "250\u00b5s"],
  ["1ns", 0.000001, "1ns"],
  [".5s", 500, "500ms"],
  ["1.s", 1000, "1s"],
  ["-1.5h", -5_400_000, "-1h30m0s"],
  ["+5s", 5000, "5s"],
  ["2h45m30.25s", 9_930_250, "2h45m30.25s"],
  ["0.3333333333333333333h", 1_200_000, "20m0s"],
  ["100.00100s", 100_001, "1m40.001s"],
];
t.test("accepted, and printed as Go prints them", async (t) => {
  for (const [text, ms, printed] of accepted) {
    t.same(parseDuration(text), { ok: true, value: ms }, text);
    t.equal(formatDuration(ms), printed, `${text} printed`);
  }
});

const refused: [text: string, error: string][] = [
  ["", 'time: invalid duration ""'],
  ["-", 'time: invalid duration "-"'],
  ["+", 'time: invalid duration "+"'],
  ["s", 'time: invalid duration "s"'],
  [".", 'time: invalid duration "."'],
  [".s", 'time: invalid duration ".s"'],
  ["abc", 'time: invalid duration "abc"'],
  ["5", 'time: missing unit in duration "5"'],
  ["1m5", 'time: missing unit in duration "1m5"'],
  ["5d", 'time: unknown unit "d" in duration "5d"'],
  ["5 s", 'time: unknown unit " s" in duration "5 s"'],
  ["5constructor", 'time: unknown unit "constructor" in duration "5constructor"'],
  ["9".repeat(1000), `time: invalid duration "${"9".repeat(256)}..."`],
  ["1ns".repeat(1000), `time: invalid duration "${"1ns".repeat(86).slice(0, 256)}..."`],
  ["3000000h", 'time: invalid duration "3000000h"'],
  ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'],
];
t.test("refused with Go's words", async (t) => {
  for (const [text, error] of refused) t.same(parseDuration(text), { ok: false, error }, text);
});

t.test("what is printed parses to the same value", async () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 43), max: 2 ** 43 }), (ms) => {
      const parsed = parseDuration(formatDuration(ms));
      return parsed.ok && parsed.value === ms;
    }),
  );
});

t.test("no text throws", async () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(..."0123456789.+-nusmhd \u00b5".split("")) }),
      (text) => {
        parseDuration(text);
      },
    ),
  );
});
