/** Flags that give rights to a token or a role, and how they are put together with what is there. */
import type { HttpClient } from "../client.ts";
import { CommandFailure } from "../command.ts";
import { flag } from "../flags.ts";
import { quoted } from "../answer.ts";
import { wholeId } from "./ids.ts";
import type { Grants } from "./show-grants.ts";

/** A link as a request names it. */
export type Link = { ID: string; Name: string };
type ServiceIdentity = { ServiceName: string; Datacenters: string[] | null };
type NodeIdentity = { NodeName: string; Datacenter: string };

/** Of tokens and roles. */
export const grantFlags = {
  "policy-id": flag.texts("Id of a policy, or the beginning of one; may be repeated.", {
    placeholder: "id",
  }),
  "policy-name": flag.texts("Name of a policy; may be repeated.", { placeholder: "name" }),
  "service-identity": flag.texts(
    "Rights of a service: NAME or NAME:DATACENTER,DATACENTER; may be repeated.",
    { placeholder: "name" },
  ),
  "node-identity": flag.texts("Rights of a node: NAME:DATACENTER; may be repeated.", {
    placeholder: "name",
  }),
};

/** Of tokens only. */
export const roleFlags = {
  "role-id": flag.texts("Id of a role, or the beginning of one; may be repeated.", {
    placeholder: "id",
  }),
  "role-name": flag.texts("Name of a role; may be repeated.", { placeholder: "name" }),
};

/** Links that the flags name, names first. Ids are made whole. */
export async function readLinks(
  http: HttpClient,
  kind: "policy" | "role",
  { ids, names }: { ids: readonly string[]; names: readonly string[] },
): Promise<Link[]> {
  const links = names.map((name) => ({ ID: "", Name: name }));
  for (const id of ids)
    links.push({
      ID: await wholeId(http, kind, id, `Error resolving ${kind} ID ${id}`),
      Name: "",
    });
  return links;
}

/** `-service-identity`. Throws Consul's sentence for more than one colon. */
export function readServiceIdentities(texts: readonly string[]): ServiceIdentity[] {
  return texts.map((text) => {
    const [name = "", datacenters, ...more] = text.split(":");
    if (more.length > 0)
      throw new CommandFailure(`Malformed -service-identity argument: ${quoted(text)}`);
    return { ServiceName: name, Datacenters: datacenters?.split(",") ?? null };
  });
}

/** `-node-identity`. Throws Consul's sentence unless there is one colon. */
export function readNodeIdentities(texts: readonly string[]): NodeIdentity[] {
  return texts.map((text) => {
    const [name = "", datacenter, ...more] = text.split(":");
    if (datacenter === undefined || more.length > 0)
      throw new CommandFailure(`Malformed -node-identity argument: ${quoted(text)}`);
    return { NodeName: name, Datacenter: datacenter };
  });
}

/** Links that are held and those that are not among them yet. */
export function mergeLinks(held: readonly Link[] | null, added: readonly Link[]): Link[] {
  const links = [...(held ?? [])];
  for (const link of added)
    if (!links.some(({ ID, Name }) => (link.ID === "" ? Name === link.Name : ID === link.ID)))
      links.push(link);
  return links;
}

/** An identity of the same service is replaced. */
export function mergeServiceIdentities(
  held: Grants["ServiceIdentities"],
  added: readonly ServiceIdentity[],
): ServiceIdentity[] {
  const names = new Set(added.map(({ ServiceName }) => ServiceName));
  const replaced = (held ?? []).map((each) =>
    names.has(each.ServiceName)
      ? added.findLast(({ ServiceName }) => ServiceName === each.ServiceName)!
      : each,
  );
  const known = new Set(replaced.map(({ ServiceName }) => ServiceName));
  return [...replaced, ...added.filter(({ ServiceName }) => !known.has(ServiceName))];
}

/** Identities that are held and those that are not among them yet. */
export function mergeNodeIdentities(
  held: Grants["NodeIdentities"],
  added: readonly NodeIdentity[],
): NodeIdentity[] {
  const all = [...(held ?? [])];
  for (const one of added)
    if (!all.some((each) => each.NodeName === one.NodeName && each.Datacenter === one.Datacenter))
      all.push(one);
  return all;
}
