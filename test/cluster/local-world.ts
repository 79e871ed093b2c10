/** A local agent on a real catalog, with time, randomness, disk and the fate of proposals in our hand. */
import type { Command } from "../../src/cluster/command.ts";
import type { CheckDefinition } from "../../src/cluster/definition.ts";
import { parseCheck, parseService } from "../../src/cluster/definition.ts";
import type { Outcome } from "../../src/cluster/engine.ts";
import type { ProbeResult } from "../../src/cluster/checks/check.ts";
import { createAuthorizer, type Authorizer } from "../../src/cluster/acl.ts";
import { mergeRules } from "../../src/cluster/acl-rules.ts";
import type { LocalConfig } from "../../src/cluster/local-admission.ts";
import {
  createLocalAgent,
  type LocalAgent,
  type LocalSettings,
} from "../../src/cluster/local-agent.ts";
import type { LocalJournal, StoredKind } from "../../src/cluster/local-store.ts";
import { describeOwnNode, type OwnNode } from "../../src/cluster/own-node.ts";
import { createState } from "../../src/cluster/state.ts";

export type Disk = Map<string, string>;

/** A journal in a map, keyed `kind/id`. `broken`: every change fails with this text. */
function createDiskJournal(disk: Disk, broken: () => string | undefined): LocalJournal {
  const change = (run: () => void): Promise<void> => {
    const problem = broken();
    if (problem !== undefined) return Promise.reject(new Error(problem));
    run();
    return Promise.resolve();
  };
  return {
    load: () =>
      Promise.resolve(
        [...disk].map(([name, text]) => {
          const slash = name.lastIndexOf("/");
          const id = name.slice(slash + 1).replaceAll("%2F", "/");
          return { kind: name.slice(0, slash) as StoredKind, id, text };
        }),
      ),
    put: ({ kind, id, text }) =>
      change(() => void disk.set(`${kind}/${id.replaceAll("/", "%2F")}`, text)),
    remove: (kind, id) => change(() => void disk.delete(`${kind}/${id.replaceAll("/", "%2F")}`)),
    close: () => Promise.resolve(),
  };
}

/** Lets all promises that can settle without time passing settle. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export const ownNode = describeOwnNode({
  name: "node-a",
  id: "11111111-2222-3333-4444-555555555555",
  advertiseAddress: "127.0.0.1",
  advertiseWanAddress: "127.0.0.1",
  nodeMeta: { zone: "z1" },
  server: { port: 8300, version: "0.1.0" },
});

export type LocalWorld = ReturnType<typeof createLocalWorld>;

/** Call `restart` for a new agent on the same disk and catalog. */
export function createLocalWorld(options: Partial<LocalSettings> & { seed?: number } = {}) {
  const settings: LocalSettings = {
    checkUpdateIntervalMs: 0,
    checkOutputMaxSize: 4096,
    discardCheckOutput: false,
    enableScriptChecks: false,
    enableLocalScriptChecks: false,
    ...options,
  };
  const state = createState();
  const disk: Disk = new Map();
  const logged: string[] = [];
  const woken: string[] = [];
  const proposed: Command[] = [];
  /** Times of these. */
  const proposedAtMs: number[] = [];
  let nowMs = 0;
  let index = 0;
  let seed = options.seed ?? 1;
  let timers: { atMs: number; run: () => void }[] = [];
  /** What becomes of the next proposals; "committed" when empty. */
  const fates: ("committed" | "refused" | "unknown" | "lost answer")[] = [];
  /** Proposals wait here until `release` when held. */
  let held: (() => void)[] | undefined;
  let brokenDisk: string | undefined;
  let onPropose: (command: Command) => void = () => {};
  /** By secret; others may do everything. null: no such token. */
  const rights = new Map<string, Authorizer | null>();
  const probeResults = new Map<string, ProbeResult>();

  const uint32 = () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0);

  function applyCommand(command: Command): Outcome {
    const applied = state.apply(++index, command, 0);
    agent.catalogChanged(applied.topics);
    return { outcome: "committed", index, result: applied.result };
  }

  async function propose(command: Command): Promise<Outcome> {
    proposed.push(command);
    onPropose(command);
    proposedAtMs.push(nowMs);
    const fate = fates.shift() ?? "committed";
    if (held) await new Promise<void>((resolve) => held!.push(resolve));
    else await Promise.resolve();
    if (fate === "refused") return { outcome: "refused", reason: "no leader" };
    if (fate === "unknown") return { outcome: "unknown", reason: "leader lost" };
    const outcome = applyCommand(command);
    return fate === "lost answer" ? { outcome: "unknown", reason: "leader lost" } : outcome;
  }

  function create(): LocalAgent {
    timers = [];
    return createLocalAgent({
      own: () => own,
      reader: state.reader,
      propose,
      writerOf({ token }) {
        const found = rights.get(token);
        const held = found === undefined ? createAuthorizer(mergeRules([]), "allow") : found;
        return { rights: held ?? undefined, accessorId: () => `accessor of ${token}` };
      },
      journal: createDiskJournal(disk, () => brokenDisk),
      probe: (check: CheckDefinition) => ({
        result: Promise.resolve(
          probeResults.get(check.name) ?? { status: "critical", output: "nobody there" },
        ),
        cancel: () => {},
      }),
      settings: () => settings,
      memberCount: () => 1,
      wake: (topics) => void woken.push(...topics),
      clock: { monotonicMs: () => nowMs, wallMs: () => 1_700_000_000_000 + nowMs },
      timers: {
        after(delayMs, run) {
          const timer = { atMs: nowMs + delayMs, run };
          timers.push(timer);
          return () => void (timers = timers.filter((other) => other !== timer));
        },
      },
      random: { uint32, uuid: () => "" },
      log: (level, message, fields) =>
        void logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    });
  }

  let own = ownNode;
  let agent = create();
  const none: LocalConfig = { services: [], checks: [] };

  return {
    get agent() {
      return agent;
    },
    reader: state.reader,
    settings,
    disk,
    logged,
    woken,
    proposed,
    proposedAtMs,
    fates,
    probeResults,
    rights,
    watchProposals: (listener: (command: Command) => void) => void (onPropose = listener),
    /** Another name or id from the next restart on. */
    become: (other: OwnNode) => void (own = other),
    uint32,
    breakDisk: (problem: string | undefined) => void (brokenDisk = problem),
    hold: () => void (held ??= []),
    /** The proposal that waits longest goes on; the others stay held. */
    async releaseOne() {
      held?.shift()?.();
      await settle();
    },
    async release() {
      const waiting = held ?? [];
      held = undefined;
      for (const resume of waiting) resume();
      await settle();
    },
    /** A write to the catalog by somebody else. */
    edit: applyCommand,
    /** Time passes: timers run in order, and what they start settles. */
    async pass(ms: number) {
      const endMs = nowMs + ms;
      for (;;) {
        timers.sort((a, b) => a.atMs - b.atMs);
        const next = timers[0];
        if (next === undefined || next.atMs > endMs) break;
        timers.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        await settle();
      }
      nowMs = endMs;
      await settle();
    },
    /** The process ends without a word and another one starts. */
    async restart(config: LocalConfig = none) {
      await agent.stop();
      agent = create();
      await agent.start(config);
    },
    /** A new agent whose start is under way. */
    startAnew(): Promise<void> {
      agent = create();
      return agent.start(none);
    },
    async register(body: Record<string, unknown>, replace = false) {
      const parsed = parseService(body);
      if (!parsed.ok) throw new Error(parsed.error.text);
      return agent.registerService(parsed.value, replace);
    },
    async check(body: Record<string, unknown>) {
      const parsed = parseCheck(body);
      if (!parsed.ok) throw new Error(parsed.error.text);
      return agent.registerCheck(parsed.value);
    },
  };
}

/** What the catalog says about a check of node-a: "status output". */
export function inCatalog({ reader }: LocalWorld, checkId: string): string | undefined {
  const check = reader.check("node-a", checkId);
  return check && `${check.status} ${check.output}`.trim();
}

/** A world whose agent has started without configuration. */
export async function startedWorld(
  options: Parameters<typeof createLocalWorld>[0] = {},
): Promise<LocalWorld> {
  const world = createLocalWorld(options);
  await world.restart();
  return world;
}

/** Ids of the services of node-a. */
export function servicesInCatalog({ reader }: LocalWorld): string[] {
  return reader.servicesOfNode("node-a").map(({ id }) => id);
}
