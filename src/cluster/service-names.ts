import type { ServiceEntry } from "./catalog-tables.ts";
import type { Catalog } from "./catalog.ts";
import { NOTHING } from "./sorted.ts";

/**
 * Service name as stored → distinct tags, in order of first appearance. Computed when asked for;
 * tags are collected again only for services whose tags or instances changed since.
 */
export function createServiceNames(catalog: Catalog): () => ReadonlyMap<string, readonly string[]> {
  let names = new Map<string, readonly string[]>();
  let computedAt = -1;
  let computedFrom: unknown = null;
  return () => {
    const { tables } = catalog;
    if (computedAt === tables.indexes.services && computedFrom === tables) return names;
    computedAt = tables.indexes.services;
    computedFrom = tables;
    names = new Map();
    for (const entry of tables.services.values()) {
      entry.names ??= namesOf(entry);
      for (const [name, tags] of entry.names) names.set(name, tags);
    }
    return names;
  };
}

function namesOf(entry: ServiceEntry): readonly (readonly [string, readonly string[]])[] {
  const tagsOf = new Map<string, Set<string> | null>();
  let [name, list]: [string, readonly string[]] = ["", NOTHING];
  for (const { service, tags } of entry.instances.items()) {
    // Instances mostly share one list of tags: looked at once.
    if (service === name && tags === list) continue;
    [name, list] = [service, tags];
    const known = tagsOf.get(service);
    if (tags.length === 0) tagsOf.set(service, known ?? null);
    else if (known) for (const tag of tags) known.add(tag);
    else tagsOf.set(service, new Set(tags));
  }
  return [...tagsOf].map(
    ([stored, tags]) => [stored, tags === null ? NOTHING : [...tags]] as const,
  );
}
