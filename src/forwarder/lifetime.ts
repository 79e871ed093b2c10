/** For how long what an upstream said may be used again. */
import { readUint32 } from "../dns/message.ts";
import type { Rr } from "../dns/rr.ts";
import type { Scrubbed } from "./scrub.ts";
import type { GroupSettings } from "./settings.ts";

/** How long answers of a group may be kept. */
export type TtlLimits = Pick<
  GroupSettings,
  "minTtlSeconds" | "maxTtlSeconds" | "negativeTtlCapSeconds" | "bareDenialSeconds"
>;

/** A TTL with the top bit set is 0 (RFC 2181 8); then it is brought within the limits. */
export function usableTtl(
  ttl: number,
  { minTtlSeconds, maxTtlSeconds }: Pick<TtlLimits, "minTtlSeconds" | "maxTtlSeconds">,
): number {
  return Math.min(Math.max(ttl > 0x7fffffff ? 0 : ttl, minTtlSeconds), maxTtlSeconds);
}

/**
 * Seconds for which a scrubbed reply may be reused; 0: not at all. Answers and the links of a chain live
 * as long as the shortest TTL; a denial as long as the smaller of the SOA's TTL and its MINIMUM
 * (RFC 2308 5), and without an SOA as the settings say.
 */
export function lifetimeSeconds(scrubbed: Scrubbed, limits: TtlLimits): number {
  const { kind, answers, authority, soa } = scrubbed;
  if (kind === "broken") return 0;
  let seconds = limits.maxTtlSeconds;
  for (const rr of answers) seconds = Math.min(seconds, usableTtl(rr.ttl, limits));
  if (kind === "answer" || kind === "partial") {
    for (const rr of authority) seconds = Math.min(seconds, usableTtl(rr.ttl, limits));
    return seconds;
  }
  if (soa === null) return Math.min(limits.bareDenialSeconds, limits.negativeTtlCapSeconds);
  for (const rr of authority)
    if (rr !== soa) seconds = Math.min(seconds, usableTtl(rr.ttl, limits));
  return Math.min(seconds, denialSeconds(soa, limits));
}

/** TTL of a denial by its SOA (RFC 2308 5), MINIMUM being the last 32 bits of the data. */
export function denialSeconds(soa: Rr, limits: TtlLimits): number {
  const { maxTtlSeconds, negativeTtlCapSeconds } = limits;
  // Never raised: a name that comes to exist must not stay invisible for longer than its zone says.
  const cut = (ttl: number): number => usableTtl(ttl, { minTtlSeconds: 0, maxTtlSeconds });
  return Math.min(
    cut(soa.ttl),
    cut(readUint32(soa.data, soa.data.length - 4)),
    negativeTtlCapSeconds,
  );
}
