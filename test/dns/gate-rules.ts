import type { GateRules } from "../../src/dns/gate-writer.ts";

/** The secret of cookies. */
const SECRET = Uint8Array.from({ length: 16 }, (_, i) => i);

/** Everybody is answered as often as he likes, and gets cookies. */
export const everybody: GateRules = {
  allow: [],
  deny: [],
  local: [],
  othersAnswered: true,
  exempt: [],
  views: [],
  ratePerSecond: 0,
  slip: 2,
  payloadOctets: 1232,
  cookies: true,
  secrets: [SECRET],
};
