/** The twelve words of Go's strconv.ParseBool. */
const booleans = new Map(
  ["1", "t", "T", "TRUE", "true", "True"]
    .map((word): [string, boolean] => [word, true])
    .concat(["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false])),
);

/** A boolean as Go spells it in query parameters, flags and variables; undefined for any other text. */
export function parseBoolean(text: string): boolean | undefined {
  return booleans.get(text);
}
