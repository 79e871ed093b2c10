/** The part of a service's JSON that the catalog, the agent and its files have in common. */
import type { ServiceFields } from "./command.ts";
import type { Decoded } from "./decode.ts";
import type { TaggedAddress } from "./model.ts";

/** Members of NodeService in Consul 1.10 `agent/structs` but for its name, which differs by place. */
export const instanceMembers = {
  Kind: "string",
  ID: "string",
  Tags: { list: "string" },
  Address: "string",
  TaggedAddresses: { map: { struct: { Address: "string", Port: "int" } } },
  Meta: { map: "string" },
  Port: "int",
  SocketPath: "string",
  Weights: { pointer: { struct: { Passing: "int", Warning: "int" } } },
  EnableTagOverride: "bool",
  Proxy: "raw",
  Connect: "raw",
} as const;

type InstanceBody = Decoded<{ struct: typeof instanceMembers }>;

/** The fields as they were given, nothing checked; weights that are absent are 1. */
export function toInstanceFields(body: InstanceBody, service: string): ServiceFields {
  const { TaggedAddresses: tagged, Weights: weights } = body;
  return {
    id: body.ID,
    service,
    kind: body.Kind,
    tags: body.Tags ?? [],
    address: body.Address,
    taggedAddresses:
      tagged &&
      Object.fromEntries(
        Object.entries(tagged).map(([tag, { Address: address, Port: port }]) => [
          tag,
          { address, port },
        ]),
      ),
    meta: body.Meta,
    port: body.Port,
    socketPath: body.SocketPath,
    weights: { passing: weights?.Passing ?? 1, warning: weights?.Warning ?? 1 },
    enableTagOverride: body.EnableTagOverride,
    proxy: body.Proxy,
    connect: body.Connect,
  };
}

/** Tagged addresses as the agent keeps them: null where there are none. */
export function nullIfEmpty(
  tagged: Readonly<Record<string, TaggedAddress>> | null,
): Readonly<Record<string, TaggedAddress>> | null {
  return tagged === null || Object.keys(tagged).length === 0 ? null : tagged;
}
