/** `forwarder.port_range`: the ports that questions to upstream servers come from. */
import { fail, ok, type Result } from "../../base.ts";

/** Both ends belong to it. */
export type PortRange = { min: number; max: number };

/** With fewer a guess would be too easy, and questions would run out of ports. */
const MIN_PORTS = 16;

/** "1024-65535"; "" is null: the system's own range. */
export function parsePortRange(text: string): Result<PortRange | null, string> {
  if (text === "") return ok(null);
  const [, from, to] = /^\s*(\d{1,5})\s*-\s*(\d{1,5})\s*$/.exec(text) ?? [];
  if (from === undefined || to === undefined)
    return fail(`"${text}" is not a range such as 1024-65535`);
  const min = Number(from);
  const max = Number(to);
  if (min < 1 || max > 65_535) return fail(`"${text}" goes beyond the ports from 1 to 65535`);
  if (max - min + 1 < MIN_PORTS) return fail(`"${text}" holds fewer than ${MIN_PORTS} ports`);
  return ok({ min, max });
}
