/** What every answer and every request check needs of the settings, computed once per reload. */
import { LRUCache } from "lru-cache";
import { assert } from "../base.ts";
import { isInside, parseNetwork } from "../config/network.ts";
import { createHeaderStock, type HeaderStock } from "./header-stock.ts";
import type { HttpDeps, HttpSettings } from "./call.ts";
import { createGuard, type Guard } from "./guard.ts";
import { createOwnAddresses } from "./own-addresses.ts";

/**
 * `?cached` reads remembered for their X-Cache header, and the characters of their keys together; the
 * least recently used ones are forgotten.
 */
const maxSeenReads = 4096;
const maxSeenCharacters = 2 ** 20;

/** Derived settings of the HTTP side. */
export type Edge = {
  readonly settings: HttpSettings;
  /** Headers of the answers of routes, with those that every one of them has. */
  readonly stock: HeaderStock;
  /** On answers outside the routes: 404, `/`. */
  readonly bareHeaders: Readonly<Record<string, string>>;
  isBlocked(path: string): boolean;
  /** Judges Host and Origin of every request. */
  readonly guard: Guard;
  /** Who may write by address; undefined: everybody, and nobody needs to ask for the address. */
  mayWrite: ((address: string) => boolean) | undefined;
  /** Keys of the `?cached` reads answered so far. */
  readonly seenReads: LRUCache<string, true>;
};

/** A getter for the edge of the current settings; it rebuilds only when the settings object changed. */
export function createEdge(deps: HttpDeps): () => Edge {
  let current: Edge | undefined;
  const seenReads = new LRUCache<string, true>({
    max: maxSeenReads,
    maxSize: maxSeenCharacters,
    sizeCalculation: (_, key) => key.length,
  });
  return () => {
    const settings = deps.settings();
    if (current === undefined || current.settings !== settings)
      current = buildEdge(deps, settings, seenReads);
    return current;
  };
}

function buildEdge(deps: HttpDeps, settings: HttpSettings, seenReads: Edge["seenReads"]): Edge {
  const { blockEndpoints, allowWriteHttpFrom } = settings;
  const networks = allowWriteHttpFrom.map((text) => {
    const network = parseNetwork(text);
    assert(network.ok, "the configuration takes networks in CIDR form only");
    return network.value;
  });
  return {
    settings,
    stock: createHeaderStock({
      ...settings.responseHeaders,
      ...(settings.translateWanAddrs ? { "X-Consul-Translate-Addresses": "true" } : {}),
      "X-Consul-Default-Acl-Policy": deps.acl.enabled ? deps.acl.defaultPolicy : "allow",
    }),
    bareHeaders: settings.responseHeaders,
    guard: createGuard({
      allowedHosts: settings.allowedHosts,
      allowedOrigins: [...settings.allowedOrigins, ...sharedWith(settings.responseHeaders)],
      ownNames: settings.ownNames,
      domains: settings.domains,
      isOwnAddress: createOwnAddresses(deps.clock),
    }),
    isBlocked: (path) => blockEndpoints.some((prefix) => path.startsWith(prefix)),
    mayWrite: networks.length > 0 ? (address) => isInside(networks, address) : undefined,
    seenReads,
  };
}

/** Whom the operator's own answer headers let in: `Access-Control-Allow-Origin` names one origin or `*`. */
function sharedWith(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers)
    .filter(([name]) => name.toLowerCase() === "access-control-allow-origin")
    .map(([, origin]) => origin.trim());
}
