/** What tokens and roles have in common: their links and identities in bodies and in answers. */
import type { AclGrants, AclLink } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";

/** Links to policies or roles in a body. */
export const linksShape = { list: { struct: { ID: "string", Name: "string" } } } as const;

/** The members of a body that say where the rights come from. */
export const grantShapes = {
  Policies: linksShape,
  ServiceIdentities: {
    list: { struct: { ServiceName: "string", Datacenters: { list: "string" } } },
  },
  NodeIdentities: { list: { struct: { NodeName: "string", Datacenter: "string" } } },
} as const;

const grantsShape = { struct: grantShapes } as const;

/** Links of a body as a command has them. */
export function readLinks(links: Decoded<typeof linksShape>): AclLink[] {
  return (links ?? []).map(({ ID, Name }) => ({ id: ID, name: Name }));
}

/** Grants of a body as a command has them. */
export function readGrants(body: Decoded<typeof grantsShape>): AclGrants {
  const services = (body.ServiceIdentities ?? []).map(({ ServiceName, Datacenters }) => ({
    serviceName: ServiceName,
    datacenters: Datacenters ?? [],
  }));
  const nodes = (body.NodeIdentities ?? []).map(({ NodeName, Datacenter }) => ({
    nodeName: NodeName,
    datacenter: Datacenter,
  }));
  return {
    policies: readLinks(body.Policies),
    ...(services.length === 0 ? {} : { serviceIdentities: services }),
    ...(nodes.length === 0 ? {} : { nodeIdentities: nodes }),
  };
}

/** Links as answers show them; the member is left out when there are none. */
export function showLinks<Name extends string>(
  name: Name,
  links: readonly AclLink[] | undefined,
): Partial<Record<Name, { ID: string; Name: string }[]>> {
  if (links === undefined || links.length === 0) return {};
  const shown = links.map((link) => ({ ID: link.id, Name: link.name }));
  // A computed key loses its literal type.
  return { [name]: shown } as Record<Name, { ID: string; Name: string }[]>;
}

/** Identities as answers show them; members that are empty are left out. */
export function showIdentities({ serviceIdentities, nodeIdentities }: AclGrants) {
  return {
    ...(serviceIdentities === undefined
      ? {}
      : {
          ServiceIdentities: serviceIdentities.map(({ serviceName, datacenters }) => ({
            ServiceName: serviceName,
            ...(datacenters.length === 0 ? {} : { Datacenters: datacenters }),
          })),
        }),
    ...(nodeIdentities === undefined
      ? {}
      : {
          NodeIdentities: nodeIdentities.map(({ nodeName, datacenter }) => ({
            NodeName: nodeName,
            Datacenter: datacenter,
          })),
        }),
  };
}
