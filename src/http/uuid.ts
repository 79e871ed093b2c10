import { isUuid } from "../cluster/uuid.ts";
import { HttpError } from "./call.ts";

/** Throws 500 for an id in a path that is not a UUID, as Consul's indexes do. */
export function requireUuid(text: string): void {
  if (!isUuid(text)) throw new HttpError(500, `index error: ${JSON.stringify(text)} is not a UUID`);
}
