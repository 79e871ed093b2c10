/** The groups of servers of the present settings, and what stays known of them when these change. */
import type { ForwarderSettings, GroupSettings } from "./settings.ts";
import { createUpstreams, sameServers, type Server, type Upstreams } from "./upstreams.ts";

export type Groups = {
  get(name: string): Upstreams | undefined;
  /**
   * Takes other settings. A group with the same servers and limits as before keeps its id, so what is
   * kept of it; a server that stays keeps what is known of it, in whichever group. `hasLeft`: there are
   * ids that nobody has any more. `isRenumbered`: ids have run out, and have other meanings now.
   */
  use(settings: ForwarderSettings): { hasLeft: boolean; isRenumbered: boolean };
  /** Is it the id of a group? */
  isId(groupId: number): boolean;
  /** Are these still the servers of their group? */
  isCurrent(upstreams: Upstreams): boolean;
  /** Each with all that makes its answers what they are, in words: the same after a restart. */
  prints(): { id: number; print: string }[];
  /** Every server once. */
  servers(): readonly Server[];
  /** Names of the groups that ask each server. */
  askedBy(): ReadonlyMap<Server, readonly string[]>;
};

/** Keys of the cache have 16 bits for the id. */
const MAX_ID = 0xffff;

export function createGroups(settings: ForwarderSettings): Groups {
  let groupCount = 0;
  let groups = new Map<string, Upstreams>();
  let ids: ReadonlySet<number> = new Set();

  function use({ groups: wanted }: ForwarderSettings): ReturnType<Groups["use"]> {
    const servers = new Map<string, Server>();
    for (const { servers: known } of groups.values())
      for (const server of known) servers.set(server.label, server);
    const next = new Map<string, Upstreams>();
    const isRenumbered = groupCount + wanted.length > MAX_ID;
    if (isRenumbered) groupCount = 0;
    for (const group of wanted) {
      const built = createUpstreams(group, groupCount + 1, (label) => servers.get(label));
      for (const server of built.servers) servers.set(server.label, server);
      const before = isRenumbered ? undefined : groups.get(group.name);
      const isSame =
        before !== undefined &&
        sameServers(before, built) &&
        !keepsOtherwise(before.settings, group);
      // What is under way by other limits is not kept by these.
      if (isSame) next.set(group.name, { ...built, groupId: before.groupId });
      else {
        groupCount++;
        next.set(group.name, built);
      }
    }
    const former = ids;
    groups = next;
    ids = new Set([...groups.values()].map(({ groupId }) => groupId));
    return { hasLeft: [...former].some((id) => !ids.has(id)), isRenumbered };
  }

  use(settings);
  return {
    get: (name) => groups.get(name),
    use,
    isId: (groupId) => ids.has(groupId),
    isCurrent: ({ settings: { name }, groupId }) => groups.get(name)?.groupId === groupId,
    prints: () => [...groups.values()].map(printOf),
    servers: () => [...new Set([...groups.values()].flatMap(({ servers }) => servers))],
    askedBy() {
      const names = new Map<Server, string[]>();
      for (const [name, { servers }] of groups)
        for (const server of servers) {
          const known = names.get(server);
          if (known === undefined) names.set(server, [name]);
          else known.push(name);
        }
      return names;
    },
  };
}

/** Is what was kept under one of them wrong under the other? */
function keepsOtherwise(a: GroupSettings, b: GroupSettings): boolean {
  return (
    a.minTtlSeconds !== b.minTtlSeconds ||
    a.maxTtlSeconds !== b.maxTtlSeconds ||
    a.negativeTtlCapSeconds !== b.negativeTtlCapSeconds ||
    a.bareDenialSeconds !== b.bareDenialSeconds ||
    a.trustAd !== b.trustAd ||
    ignoredBy(a) !== ignoredBy(b)
  );
}

/** Addresses with which a reply is none, as text. */
function ignoredBy({ ignoredAddresses }: GroupSettings): string {
  return ignoredAddresses
    .map(({ octets, prefixLength }) => `${octets.join(".")}/${prefixLength}`)
    .join();
}

function printOf({ groupId, settings, servers }: Upstreams): { id: number; print: string } {
  const { name, minTtlSeconds, maxTtlSeconds, negativeTtlCapSeconds, trustAd } = settings;
  const { bareDenialSeconds } = settings;
  const labels = servers.map(({ label }) => label);
  const print = [
    name,
    labels,
    minTtlSeconds,
    maxTtlSeconds,
    negativeTtlCapSeconds,
    trustAd,
    bareDenialSeconds,
    ignoredBy(settings),
  ];
  return { id: groupId, print: JSON.stringify(print) };
}
