/**
 * The indexes of all services as they were at a moment, while they go on changing: what changes or goes
 * is noted before, for every view that somebody still holds. A view costs nothing to take.
 */
export type ServiceIndexViews = Set<WeakRef<Map<string, number>>>;

type Named = { readonly services: ReadonlyMap<string, { readonly index: number }> };

/** Gives the index that the service of a lower-case name had at the time of the call. */
export function viewServiceIndexes(
  tables: Named & { serviceIndexViews: ServiceIndexViews },
): (lower: string) => number | undefined {
  const { services, serviceIndexViews } = tables;
  const noted = new Map<string, number>();
  // Weak: a snapshot that nobody draws to its end must not be kept up to date for ever.
  serviceIndexViews.add(new WeakRef(noted));
  return (lower) => noted.get(lower) ?? services.get(lower)?.index;
}

/** To be called before the index of a service changes or its entry goes. */
export function noteServiceIndex(views: ServiceIndexViews, lower: string, index: number): void {
  for (const view of views) {
    const noted = view.deref();
    if (noted === undefined) views.delete(view);
    else if (!noted.has(lower)) noted.set(lower, index);
  }
}
