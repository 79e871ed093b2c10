/**
 * Addresses of host names for this process's own use, the same that DNS clients are given: asked of the
 * upstreams, and the last known ones while these do not answer.
 */
import { formatAddress } from "../address.ts";
import type { Timers } from "../ports.ts";
import type { Forward } from "./answer.ts";
import { UpstreamNames } from "./chain.ts";
import { createKeptTargets, type StaleTargets } from "./kept-targets.ts";
import { isWithin, parseName } from "./name.ts";
import { TYPE } from "./rr.ts";

/**
 * IPv4 addresses of a host name; empty for what only the system can know (one label, a name of ours) and
 * for what the upstreams deny or have never told. Resolves in less than 2 s if an address was ever known.
 */
export type HostAddresses = (host: string) => Promise<readonly string[]>;

/** `domains`: ours, in presentation form. `clock` gives monotonic milliseconds. */
export function createHostAddresses(deps: {
  forward: Forward;
  domains: readonly string[];
  clock: () => number;
  timers: Timers;
  /** How last known addresses are used now; null: not at all. */
  stale: () => StaleTargets | null;
}): HostAddresses {
  const { forward, clock, timers, stale } = deps;
  const kept = createKeptTargets();
  const ours = deps.domains.flatMap((text) => {
    const zone = parseName(text);
    return text !== "" && zone.ok ? [zone.value] : [];
  });
  return (host) => {
    const parsed = parseName(host);
    if (!parsed.ok || !/[^.]\.[^.]/.test(host)) return Promise.resolve([]);
    const name = parsed.value;
    if (ours.some((zone) => isWithin(name, zone))) return Promise.resolve([]);
    return new Promise((resolve) => {
      const whenAll = () => {
        const records = names.records(name).filter(({ type }) => type === TYPE.A);
        resolve(records.map(({ data }) => formatAddress(data)));
      };
      const client = { address: "127.0.0.1", port: 0, transport: "udp" } as const;
      const limits = stale();
      const names = new UpstreamNames({
        forward,
        client,
        kept,
        stale: limits,
        clock,
        timers,
        whenAll,
      });
      names.records(name);
      if (names.pendingCount === 0) whenAll(); // the answer was there
    });
  };
}
