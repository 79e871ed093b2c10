/** The addresses of this machine, for who has to know whether a client is on it. */
import { networkInterfaces } from "node:os";
import { formatAddress, parseAddress, unmapped } from "../address.ts";
import type { Clock } from "../ports.ts";

/** Until addresses that were looked up are looked up again. */
const FRESH_MS = 1000;

/** Tells whether an IP literal is an address of an interface here; one that is new may be missed for a second. */
export function createOwnAddresses(
  clock: Pick<Clock, "monotonicMs">,
  interfaces: typeof networkInterfaces = networkInterfaces,
): (literal: string) => boolean {
  let own: ReadonlySet<string> = new Set();
  let lookedMs = -Infinity;
  return (literal) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs >= FRESH_MS) {
      const all = Object.values(interfaces()).flatMap((each) => each ?? []);
      own = new Set(all.map(({ address }) => plain(address)));
      lookedMs = nowMs;
    }
    return own.has(plain(literal));
  };
}

/** Canonical, IPv4-mapped as IPv4, without a zone. */
function plain(literal: string): string {
  const parsed = parseAddress(literal.split("%", 1)[0]!);
  return parsed === undefined ? literal : formatAddress(unmapped(parsed));
}
