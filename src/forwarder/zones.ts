/** Zones as the configuration gives them: which names are asked of which group of servers. Types only. */

/** Where questions for the names of a zone go. */
export type ZoneTarget =
  /** To the servers of this group (GroupSettings.name); "" is the one of all names without a zone. */
  | { readonly kind: "forward"; readonly group: string }
  /** Nowhere: NXDOMAIN, or NODATA where there is other data for the name. */
  | { readonly kind: "local" };

/** One entry of `forwarder.zones`, or of the zones of a view. */
export type Zone = {
  /**
   * As they are written: "corp.example", "*.corp.example" (below it only), "*corp.example" (by text),
   * "" (names of one label), "10.0.0.0/8" or "2001:db8::/33" (the reverse zone). What they match is for
   * rules.ts to say.
   */
  readonly names: readonly string[];
  readonly target: ZoneTarget;
  /** Key path for messages: `forwarder.zones[0]`. */
  readonly where: string;
};
