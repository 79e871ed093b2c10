import { HttpError } from "./call.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Is this a UUID in its usual spelling, of either case? */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}

/** Throws 500 for an id in a path that is not a UUID, as Consul's indexes do. */
export function requireUuid(text: string): void {
  if (!isUuid(text)) throw new HttpError(500, `index error: ${JSON.stringify(text)} is not a UUID`);
}
