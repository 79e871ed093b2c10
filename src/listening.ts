/** What an operator reads when a socket cannot be bound; the same words for DNS and HTTP. */

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program uses it (EADDRINUSE)",
  EACCES: "not permitted (EACCES); ports below 1024 need CAP_NET_BIND_SERVICE",
  EADDRNOTAVAIL: "no interface has this address (EADDRNOTAVAIL)",
};

/**
 * One line: who (`DNS over UDP`, `HTTP`) cannot listen where, and why. `error`: the system's word for
 * it (`EACCES`), or an Error that may carry it as `code`.
 */
export function cannotListen(
  who: string,
  at: { address: string; port: number } | { path: string },
  error: unknown,
): string {
  const where = "path" in at ? at.path : `${at.address} port ${at.port}`;
  return `${who} cannot listen on ${where}: ${reasonOf(error)}`;
}

function reasonOf(error: unknown): string {
  const word = error instanceof Error ? ("code" in error ? String(error.code) : "") : String(error);
  if (Object.hasOwn(reasons, word)) return reasons[word]!;
  return error instanceof Error ? error.message : word;
}
