/** What tokens and roles have in common when they are shown: links and identities. */
import type { Decoded } from "../../cluster/decode.ts";

/** Links to policies or roles. */
export const linksShape = { list: { struct: { ID: "string", Name: "string" } } } as const;

/** Identities of services. */
const serviceIdentitiesShape = {
  list: { struct: { ServiceName: "string", Datacenters: { list: "string" } } },
} as const;

/** Identities of nodes. */
const nodeIdentitiesShape = {
  list: { struct: { NodeName: "string", Datacenter: "string" } },
} as const;

/** Members of tokens and roles that give rights. */
export const grantShapes = {
  Policies: linksShape,
  ServiceIdentities: serviceIdentitiesShape,
  NodeIdentities: nodeIdentitiesShape,
} as const;

const grantsShape = { struct: grantShapes } as const;

/** How ACLs are shown; `meta`: with hash and indexes. */
export type Look = { format: "json" | "pretty"; meta: boolean };

/** What gives rights. */
export type Grants = Decoded<typeof grantsShape>;
type Links = Decoded<typeof linksShape>;

/** Lines of `title` and one for each; none if there are none. */
export function linkLines(title: string, links: Links): string[] {
  return titled(
    title,
    (links ?? []).map(({ ID, Name }) => `${ID} - ${Name}`),
  );
}

/** The same for the identities. */
export function identityLines({ ServiceIdentities, NodeIdentities }: Grants): string[] {
  return [
    ...titled(
      "Service Identities",
      (ServiceIdentities ?? []).map(
        ({ ServiceName, Datacenters }) =>
          `${ServiceName} (Datacenters: ${(Datacenters ?? []).join(", ") || "all"})`,
      ),
    ),
    ...titled(
      "Node Identities",
      (NodeIdentities ?? []).map(
        ({ NodeName, Datacenter }) => `${NodeName} (Datacenter: ${Datacenter})`,
      ),
    ),
  ];
}

/** Grants for JSON, in the order of Consul's client; empty members are left out. */
export function grantsJson({ Policies, ServiceIdentities, NodeIdentities }: Grants) {
  return {
    Policies: filled(Policies),
    ServiceIdentities: filled(ServiceIdentities)?.map(({ ServiceName, Datacenters }) => ({
      ServiceName,
      Datacenters: filled(Datacenters),
    })),
    NodeIdentities: filled(NodeIdentities),
  };
}

/** The list, undefined if there is nothing in it. */
export function filled<T>(list: T[] | null): T[] | undefined {
  return list === null || list.length === 0 ? undefined : list;
}

/** Hash and indexes of anything that -meta is asked for. */
export function metaLines(
  of: { Hash: string; CreateIndex: number; ModifyIndex: number },
  width: number,
): string[] {
  return [
    `${"Hash:".padEnd(width)}${Buffer.from(of.Hash, "base64").toString("hex")}`,
    `${"Create Index:".padEnd(width)}${of.CreateIndex}`,
    `${"Modify Index:".padEnd(width)}${of.ModifyIndex}`,
  ];
}

function titled(title: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `   ${line}`)];
}
