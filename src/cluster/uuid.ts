const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Is this a UUID in its usual spelling (RFC 9562 section 4), of either case and any version? */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** What Consul's tables say when they look for an id that is not a UUID; undefined if it is one. */
export function idProblem(text: string): string | undefined {
  if (isUuid(text)) return undefined;
  if (text.length !== 36) return "index error: UUID must be 36 characters";
  return `index error: Invalid UUID: ${JSON.stringify(text)}`;
}
