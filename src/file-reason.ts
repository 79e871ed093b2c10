/**
 * What a failure of the file system says, in Go's order and words: `open x.json: no such file or
 * directory`. `path` is told where the system does not name it.
 */
export function fileReason(error: unknown, path?: string): string {
  if (!(error instanceof Error)) return String(error);
  const parts = /^[A-Z\d]+: (.*), (\w+)(?: '(.*)')?$/s.exec(error.message);
  if (parts === null) return error.message;
  const [, words = "", operation, named = path] = parts;
  const reason = words === "illegal operation on a directory" ? "is a directory" : words;
  return named === undefined ? `${operation}: ${reason}` : `${operation} ${named}: ${reason}`;
}
