/** Counters of the parts in the form that metrics read. */
import process from "node:process";
import { kindOfCheck } from "../cluster/definition.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import type { State } from "../cluster/state.ts";
import type { LoadedConfig } from "../config.ts";
import type { Resolver } from "../dns/resolve.ts";
import type { DnsTimings } from "../metrics/consul.ts";
import type { LocalFigures, ResolverFigures, Sources } from "../metrics/family.ts";

/** Name and version of what runs this program. */
export function runtimeName(): string {
  const { bun, node } = process.versions;
  return bun === undefined ? `node${node}` : `bun${bun}`;
}

/** The parts that answer questions under this configuration, with their zones. */
export function answeringParts({ config, upstreams, zones }: LoadedConfig): {
  zone: string;
  name: string;
}[] {
  const dotted = (domain: string): string => (domain.endsWith(".") ? domain : `${domain}.`);
  const domains = [config.domain, config.alt_domain].filter((domain) => domain !== "");
  const forwards = upstreams.length + zones.groups.length > 0;
  return [
    ...domains.map((domain) => ({ zone: dotted(domain), name: "catalog" })),
    ...(forwards ? [{ zone: ".", name: "forward" }] : []),
    ...(forwards && config["forwarder.cache"] ? [{ zone: ".", name: "cache" }] : []),
    { zone: ".", name: "local" },
    { zone: ".", name: "acl" },
    { zone: ".", name: "prometheus" },
    ...(config["forwarder.query_log"] === "" ? [] : [{ zone: ".", name: "log" }]),
  ];
}

/** What the main thread computed. */
export function resolverFigures(resolver: Resolver): ResolverFigures {
  const { counters } = resolver;
  const { malformed, truncated, stale, staleTargets } = counters;
  const replies = counters.replies();
  const publisher = resolver.publishStats();
  return { malformed, truncated, stale, staleTargets, replies, publisher };
}

/** `consul.dns.*` of the JSON form. */
export function dnsTimings({ counters }: Resolver): DnsTimings {
  const { domainQuery, ptrQuery, stale } = counters;
  return { domain: { ...domainQuery }, ptr: { ...ptrQuery }, stale };
}

/** Sizes of the catalog. */
export function catalogFigures(state: State): ReturnType<Sources["catalog"]> {
  const { nodes, services: instances, checks } = state.counts();
  const { reader } = state;
  return { nodes, services: reader.serviceNames().size, instances, checks, index: reader.index };
}

/** This agent's services and checks; checks that nothing runs are of the kind `maintenance`. */
export function localFigures(local: LocalAgent): LocalFigures {
  const { services, runningProbes, waitingProbes, runs, sync } = local.counts();
  const checks = new Map<string, LocalFigures["checks"][number]>();
  for (const { definition, fields } of local.checks.values()) {
    const kind = definition === null ? "maintenance" : kindOfCheck(definition);
    const { status } = fields;
    const known = checks.get(`${kind} ${status}`);
    if (known === undefined) checks.set(`${kind} ${status}`, { kind, status, count: 1 });
    else known.count++;
  }
  return { services, checks: [...checks.values()], runningProbes, waitingProbes, runs, sync };
}
