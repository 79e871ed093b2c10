/** What a failure of the file system says, in Go's order: `open x.json: no such file or directory`. */
export function fileReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts = /^[A-Z\d]+: (.*), (\w+)(?: '(.*)')?$/s.exec(error.message);
  if (parts === null) return error.message;
  const [, words, operation, path] = parts;
  return path === undefined ? `${operation}: ${words}` : `${operation} ${path}: ${words}`;
}
