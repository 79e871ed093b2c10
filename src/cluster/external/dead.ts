/** Since when a node is out of reach: kept in the notes of its check, so that every leader knows. */
const PREFIX = "unreachable since ";

/** Notes of the node's check beside this status; the time that stands there already stays. */
export function noteOfDead(status: string, notes: string, wallMs: number): string {
  if (status !== "critical") return "";
  // oxlint-disable-next-line no-restricted-globals -- writes down a time that is given, reads no clock
  return Number.isNaN(timeOf(notes)) ? `${PREFIX}${new Date(wallMs).toISOString()}` : notes;
}

/** Milliseconds that a node with these notes has been out of reach; 0 where they say nothing. */
export function deadForMs(notes: string, wallMs: number): number {
  const sinceMs = timeOf(notes);
  return Number.isNaN(sinceMs) ? 0 : Math.max(0, wallMs - sinceMs);
}

function timeOf(notes: string): number {
  // oxlint-disable-next-line no-restricted-globals -- reads what stands there, no clock
  return notes.startsWith(PREFIX) ? Date.parse(notes.slice(PREFIX.length)) : NaN;
}
