/** A resolver over a real state machine and answer table, asked as clients ask. */
import dnsPacket, { type DecodedPacket } from "dns-packet";
import { createAcl, type AclSettings } from "../../src/cluster/acl.ts";
import type { Command } from "../../src/cluster/command.ts";
import { createState } from "../../src/cluster/state.ts";
import type { Forward, ForwardAnswer, ForwardRequest } from "../../src/dns/answer.ts";
import { formatName } from "../../src/dns/name.ts";
import { createResolver, type ResolverDeps } from "../../src/dns/resolve.ts";
import { dnsDefaults, type DnsSettings } from "../../src/dns/settings.ts";
import type { Client, Timers } from "../../src/ports.ts";
import { ask as askTable, createBench, seeded } from "./prepared.ts";

export const udp: Client = { address: "127.0.0.1", port: 4000, transport: "udp" };
export const tcp: Client = { ...udp, transport: "tcp" };

export type WorldOptions = {
  settings?: Partial<DnsSettings>;
  acl?: Partial<AclSettings>;
  /** Replies of the upstreams; "later" names are answered by `release`. */
  upstream?: (request: ForwardRequest) => ForwardAnswer | "later";
  gate?: ResolverDeps["gate"];
  viewOf?: (client: Client) => string;
};

/** Everything a test of the resolver needs; time stands still unless it is advanced. */
export function createWorld({ settings, acl, gate, upstream, viewOf }: WorldOptions = {}) {
  let nowMs = 1000;
  let wallMs = 1_700_000_000_000;
  let index = 0;
  const bench = createBench({ octets: 4 << 20, clock: () => nowMs });
  const state = createState();
  const asked: string[] = [];
  const forwarded: ForwardRequest[] = [];
  const waiting: { request: ForwardRequest; done: (answer: ForwardAnswer) => void }[] = [];
  const freshness = { leader: true, ageMs: 0 };
  const forward: Forward = (request, done) => {
    forwarded.push(request);
    asked.push(`${formatName(request.qname)} ${request.qtype}`);
    const answer = upstream?.(request) ?? ({ ok: false, reason: "failed" } as const);
    if (answer === "later") waiting.push({ request, done });
    else done(answer);
  };
  let planned: { atMs: number; run: () => void }[] = [];
  const timers: Timers = {
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      planned.push(timer);
      return () => void (planned = planned.filter((other) => other !== timer));
    },
  };
  let now: DnsSettings = { ...dnsDefaults, nodeName: "edge-1", ...settings };
  const resolver = createResolver({
    settings: now,
    catalog: state.reader,
    acl: createAcl(
      state.acl,
      {
        enableKeyListPolicy: false,
        enabled: false,
        defaultPolicy: "allow",
        datacenter: now.datacenter,
        nodeName: now.nodeName,
        tokens: { initialManagement: "", agentRecovery: "", default: "", dns: "" },
        ...acl,
      },
      () => wallMs,
    ),
    forward,
    resolveTarget: forward,
    table: bench.table,
    clock: () => nowMs,
    timers,
    ...(gate === undefined ? {} : { gate }),
    ...(viewOf === undefined ? {} : { viewOf }),
    wallMs: () => wallMs,
    random: seeded(99),
    freshness: () => freshness,
  });

  /** Reply of the main thread; null if there is none (yet). */
  function compute(query: Uint8Array, client: Client = udp): Uint8Array | null {
    let reply: Uint8Array | null = null;
    resolver.resolve({ query, client }, (wire) => (reply = wire));
    return reply;
  }

  return {
    state,
    resolver,
    freshness,
    table: bench.table,
    /** Questions that went upstream: `name type`. */
    asked,
    forwarded,
    apply(command: Command): void {
      const applied = state.apply(++index, command, 0);
      if (!applied.result.ok) throw new Error(applied.result.error);
      resolver.touch(applied.topics);
    },
    reload(change: Partial<DnsSettings>): void {
      now = { ...now, ...change };
      resolver.reload(now);
    },
    advance(ms: number): void {
      nowMs += ms;
      wallMs += ms;
      const due = planned.filter(({ atMs }) => atMs <= nowMs);
      planned = planned.filter(({ atMs }) => atMs > nowMs);
      for (const { run } of due) run();
    },
    compute,
    /** Reply out of the answer table as a worker gives it; null for a miss. */
    fromTable(query: Uint8Array): Uint8Array | null {
      const reply = askTable(bench.responder, query, nowMs);
      return typeof reply === "number" ? null : reply;
    },
    /** Lets the upstream answer what it was asked and has kept back. */
    release(answer: ForwardAnswer): void {
      for (const { done } of waiting.splice(0)) done(answer);
    },
  };
}

export type World = ReturnType<typeof createWorld>;

export function decode(wire: Uint8Array | null): DecodedPacket {
  if (wire === null) throw new Error("no reply");
  return dnsPacket.decode(Buffer.from(wire));
}

/** `owner ttl TYPE data` of each record, OPT left out. */
export function lines(records: DecodedPacket["answers"]): string[] {
  return (records ?? []).filter(({ type }) => type !== "OPT").map(line);
}

function line(record: NonNullable<DecodedPacket["answers"]>[number]): string {
  const { name, type, ttl, data } = record as unknown as Record<string, unknown>;
  return `${String(name)}. ${String(ttl)} ${String(type)} ${text(data)}`;
}

function text(data: unknown): string {
  if (Array.isArray(data)) return data.map((part) => `"${String(part)}"`).join(" ");
  if (typeof data !== "object" || data === null) return String(data);
  return Object.values(data).join(" ");
}

/** A good reply of an upstream. */
export function good(over: Partial<Extract<ForwardAnswer, { ok: true }>> = {}): ForwardAnswer {
  return {
    ok: true,
    rcode: 0,
    aa: false,
    ad: false,
    ra: true,
    answers: [],
    authority: [],
    additional: [],
    cacheableSeconds: 0,
    spentMs: 0,
    fromCache: false,
    edns: null,
    tc: false,
    ...over,
  };
}
