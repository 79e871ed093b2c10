const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Is this a UUID in its usual spelling (RFC 9562 section 4), of either case and any version? */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
