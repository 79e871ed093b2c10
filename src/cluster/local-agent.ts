/**
 * This agent's own services and checks at work: registrations are kept on disk and in the catalog
 * before they are acknowledged, checks run, TTLs expire, maintenance hides. No socket, file or
 * clock of its own: all are handed in.
 */
import { fail, ok, type Result } from "../base.ts";
import type { Cancel, Clock, Log, Random, Timers } from "../ports.ts";
import type { Writer } from "./blocked.ts";
import { createChangeLog } from "./checks/change-log.ts";
import { cutOutput, intervalOf, outputLimit } from "./checks/check.ts";
import type { KindFigures } from "./checks/figures.ts";
import type { Probe } from "./checks/schedule.ts";
import type { Command } from "./command.ts";
import {
  isStatus,
  kindOfCheck,
  type CheckDefinition,
  type ScriptSettings,
  type ServiceDefinition,
} from "./definition.ts";
import type { Outcome } from "./engine.ts";
import {
  MIN_DEREGISTER_AFTER_MS,
  applyConfiguration,
  newLocalState,
  outputDue,
  overdueServices,
  registerCheck,
  registerService,
  removeCheck,
  removeService,
  setMaintenance,
  updateCheck,
  type LocalCheck,
  type LocalOutput,
  type LocalService,
} from "./local.ts";
import { createAdmission, type LocalConfig } from "./local-admission.ts";
import { createRunners } from "./local-runners.ts";
import { restoreLocal } from "./local-restore.ts";
import {
  encodeCheck,
  encodeService,
  encodeStatus,
  type LocalJournal,
  type StoredKind,
} from "./local-store.ts";
import type { CatalogReader, Topic } from "./model.ts";
import type { OwnNode } from "./own-node.ts";
import { createSyncer, type SyncCounts } from "./sync.ts";

/** Options that a reload may change. */
export type LocalSettings = ScriptSettings & {
  /** `check_update_interval`; 0: every new output is written at once. */
  checkUpdateIntervalMs: number;
  /** `check_output_max_size` in octets. */
  checkOutputMaxSize: number;
  /** `discard_check_output`. */
  discardCheckOutput: boolean;
};

/** What the local agent needs of the rest. */
export type LocalAgentDeps = {
  /** describeOwnNode(...); may change with a reload. */
  own(): OwnNode;
  reader: CatalogReader;
  /** Encodes and proposes; resolves after the command is durable and applied here. */
  propose(command: Command): Promise<Outcome>;
  /** With whose rights a service or check is written to the catalog. */
  writerOf(entry: Pick<LocalService, "token" | "source">): Writer;
  /** createLocalJournal(...) of journal/driver.ts, or noJournal. */
  journal: LocalJournal;
  /** createProbe() of checks/driver.ts. */
  probe: Probe;
  /** Sockets that checks may use at the same time; createSchedule knows the default. */
  maxSockets?: number;
  settings(): LocalSettings;
  /** Members of the gossip pool; 1 while there is none. */
  memberCount(): number;
  /** Ends the waits of those who hold on `localTopic(id)`. */
  wake(topics: readonly Topic[]): void;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
};

/** Topic of blocking reads (content hash) of one local service. */
export function localTopic(serviceId: string): Topic {
  return `agent-service:${serviceId}`;
}

/** Errors are texts for the client; most mean status 500, see http/agent-*.ts. */
export type LocalAgent = {
  readonly services: ReadonlyMap<string, LocalService>;
  readonly checks: ReadonlyMap<string, LocalCheck>;
  /** undefined once disk and configuration have been loaded; until then resolves when they are. */
  readonly loading: Promise<void> | undefined;
  /**
   * Loads what was kept on disk, takes the configuration over, writes the catalog. Call once. `takesOver`: another
   * agent answered until now, so checks go on with the status that the catalog has of them.
   */
  start(config: LocalConfig, options?: { takesOver?: boolean }): Promise<void>;
  /** Entries of the configuration become exactly these; those registered by API stay. */
  reload(config: LocalConfig): Promise<void>;
  /** Resolves when the service is on disk and in the catalog. */
  registerService(
    service: ServiceDefinition,
    replaceExistingChecks: boolean,
  ): Promise<Result<void, string>>;
  registerCheck(check: CheckDefinition): Promise<Result<void, string>>;
  /** Unknown ids are fine. */
  deregisterService(id: string): Promise<Result<void, string>>;
  deregisterCheck(id: string): Promise<Result<void, string>>;
  /** Sets a TTL check; the error says that there is none of that id. */
  updateTtl(id: string, status: string, output: string): Promise<Result<void, string>>;
  /** Without serviceId: the node. The error names an unknown service. */
  setMaintenance(target: {
    serviceId?: string;
    enable: boolean;
    reason: string;
    /** Secret of whoever asked for it: the check is written with its rights. */
    token?: string;
  }): Promise<Result<void, string>>;
  /** To be called with the topics of every applied command: aliases of other nodes look again. */
  catalogChanged(topics: Iterable<Topic>): void;
  /** To be called when a snapshot took the place of the catalog: it may not know what is registered here. */
  catalogReplaced(): void;
  /** To be called when a leader appears or goes. */
  leadershipChanged(hasLeader: boolean): void;
  /** For metrics and agent/self. */
  counts(): {
    services: number;
    checks: number;
    ttls: number;
    probes: number;
    runningProbes: number;
    waitingProbes: number;
    /** What runs came to, by kind. */
    runs: readonly KindFigures[];
    sync: SyncCounts;
  };
  /** Stops checks and timers, waits for files and proposals under way. */
  stop(): Promise<void>;
};

/** Time between looks for services that were critical for too long. Consul: CheckReapInterval. */
const REAP_INTERVAL_MS = 30_000;
/** Aliases of aliases settle in as many passes as they are deep; cycles end here. */
const MAX_ALIAS_PASSES = 8;

/** An agent that knows of nothing yet; `start` reads what was stored and begins to check. */
export function createLocalAgent(deps: LocalAgentDeps): LocalAgent {
  const state = newLocalState();
  const { clock, timers, random, log } = deps;
  const deferred = new Map<string, Cancel>();
  let reaper: Cancel = () => {};
  let isStopped = false;
  let loaded: () => void = () => {};
  let loading: Promise<void> | undefined = new Promise((resolve) => (loaded = resolve));

  const syncer = createSyncer(state, {
    ...deps,
    onOverride(id, fields) {
      state.services.set(id, { ...state.services.get(id)!, fields });
      deps.wake([localTopic(id)]);
    },
  });
  const runners = createRunners({ ...deps, state, report });
  const admission = createAdmission({ ...deps, state });
  const tellChange = createChangeLog(deps, "more checks changed");

  /** A result of a running check. Nobody waits for it. */
  function report(id: string, status: string, output: string): void {
    if (!isStopped) void perform(update(id, status, output));
  }

  function update(id: string, status: string, output: string): LocalOutput[] {
    const { checkUpdateIntervalMs, discardCheckOutput } = deps.settings();
    const nowMs = clock.monotonicMs();
    const options = { nowMs, checkUpdateIntervalMs, discardOutput: discardCheckOutput };
    const known = state.checks.get(id);
    if (known?.definition && known.fields.status !== status && isStatus(status)) {
      runners.figures.changed(kindOfCheck(known.definition), status);
      const fields = { check: id, service: known.fields.serviceId, before: known.fields.status };
      tellChange({ message: `check is now ${status}`, status, fields });
    }
    return updateCheck(state, id, { status, output }, options);
  }

  /** Does what the rules asked for; resolves when disk and catalog have it. */
  async function perform(outputs: readonly LocalOutput[]): Promise<Result<void, string>> {
    const work: Promise<void>[] = [];
    let touches = act(outputs, work);
    if (outputs.length > 0)
      for (const changed of followAliases()) touches = act(changed, work) || touches;
    if (touches) work.push(syncer.flush());
    const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return ok(undefined);
    const text = failed.reason instanceof Error ? failed.reason.message : String(failed.reason);
    log("error", "local state not kept on disk", { error: text });
    return fail(text);
  }

  /** Acts on each output in order; gives whether the catalog is touched. */
  function act(outputs: readonly LocalOutput[], work: Promise<void>[]): boolean {
    let touches = false;
    for (const output of outputs) {
      const { id } = output;
      switch (output.type) {
        case "sync-service":
          syncer.touchService(id);
          touches = true;
          break;
        case "sync-check":
          syncer.touchCheck(id);
          touches = true;
          break;
        case "sync-status":
          cancelDeferred(id);
          syncer.touchStatus(id);
          touches = true;
          break;
        case "save-service":
          work.push(save("services", id, encodeService(state.services.get(id)!)));
          break;
        case "save-check":
          work.push(save("checks", id, encodeCheck(state.checks.get(id)!)));
          break;
        case "drop-service":
          work.push(deps.journal.remove("services", id));
          break;
        case "drop-check":
          work.push(deps.journal.remove("checks", id));
          break;
        case "drop-status":
          work.push(deps.journal.remove("checks/state", id));
          break;
        case "service-changed":
          deps.wake([localTopic(id)]);
          break;
        case "start-check":
          startCheck(id, state.checks.get(id)?.definition ?? null);
          break;
        case "stop-check":
          stopCheck(id);
          break;
        case "defer-output":
          deferOutput(id);
          break;
      }
    }
    return touches;
  }

  function save(kind: StoredKind, id: string, text: string): Promise<void> {
    return deps.journal.put({ kind, id, text }, true);
  }

  function startCheck(id: string, check: CheckDefinition | null): void {
    if (check === null || isStopped) return stopCheck(id);
    cancelDeferred(id);
    if (check.intervalMs > 0 && check.intervalMs < intervalOf(check))
      log("warn", "check has an interval below the minimum of 1s", { check: id });
    const { deregisterCriticalServiceAfterMs: afterMs } = check;
    if (afterMs > 0 && afterMs < MIN_DEREGISTER_AFTER_MS)
      log("warn", "check has a deregister interval below the minimum of 1m", { check: id });
    runners.start(id, check, outputLimit(check, deps.settings().checkOutputMaxSize));
  }

  function stopCheck(id: string): void {
    runners.stop(id);
    cancelDeferred(id);
  }

  /** The output that waited is written with what is written now. */
  function cancelDeferred(id: string): void {
    deferred.get(id)?.();
    deferred.delete(id);
  }

  /** Outputs of each pass over the aliases, until nothing changes any more. */
  function* followAliases(): Generator<LocalOutput[]> {
    for (let pass = 0; pass < MAX_ALIAS_PASSES; pass++) {
      const changed: LocalOutput[] = [];
      for (const { id, result } of runners.aliasResults())
        changed.push(...update(id, result.status, result.output));
      if (changed.length === 0) return;
      yield changed;
    }
  }

  /** Consul waits half the interval and up to one whole at random, so that writers spread. */
  function deferOutput(id: string): void {
    const intervalMs = deps.settings().checkUpdateIntervalMs;
    const delayMs = intervalMs / 2 + (random.uint32() / 2 ** 32) * intervalMs;
    cancelDeferred(id);
    deferred.set(
      id,
      timers.after(delayMs, () => {
        deferred.delete(id);
        void perform(outputDue(state, id));
      }),
    );
  }

  function reap(): void {
    for (const id of overdueServices(state, clock.monotonicMs())) {
      log("info", "service was critical for too long and is deregistered", { service: id });
      void perform(removeService(state, id));
    }
    reaper = timers.after(REAP_INTERVAL_MS, reap);
  }

  function configure(config: LocalConfig): LocalOutput[] {
    const { outputs, errors } = applyConfiguration(state, admission.config(config));
    for (const error of errors) log("error", `configuration: ${error}`);
    return outputs;
  }

  return {
    services: state.services,
    checks: state.checks,
    get loading() {
      return loading;
    },
    async start(config, { takesOver = false } = {}) {
      const entries = await deps.journal.load();
      const outputs = restoreLocal(state, {
        entries,
        configure: () => configure(config),
        refusalOf: (check) => admission.refusal([check], "api"),
        resultOf: (id) => (takesOver ? deps.reader.check(deps.own().node.node, id) : undefined),
        nowMs: clock.wallMs(),
        log,
      });
      reaper = timers.after(REAP_INTERVAL_MS, reap);
      loading = undefined;
      loaded();
      await perform(outputs);
      await syncer.syncAll();
    },
    async reload(config) {
      await perform(configure(config));
      await syncer.syncAll();
    },
    registerService(service, replaceExistingChecks) {
      const admitted = admission.service(service);
      if (!admitted.ok) return Promise.resolve(admitted);
      return perform(registerService(state, service, { source: "api", replaceExistingChecks }));
    },
    registerCheck(check) {
      const admitted = admission.check(check);
      return performResult(admitted.ok ? registerCheck(state, check, "api") : admitted);
    },
    deregisterService: (id) => perform(removeService(state, id)),
    deregisterCheck: (id) => perform(removeCheck(state, id)),
    updateTtl(id, status, output) {
      const check = state.checks.get(id);
      if (check === undefined || check.definition === null || !runners.ttls.has(id))
        return Promise.resolve(fail(`CheckID ${JSON.stringify(id)} does not have associated TTL`));
      const limit = outputLimit(check.definition, deps.settings().checkOutputMaxSize);
      const kept = cutOutput(output, limit);
      const expiresMs = clock.wallMs() + runners.ttls.update(id, kept)!;
      // Not durable: the next update, a moment later, would replace it anyway.
      const text = encodeStatus({ checkId: id, status, output: kept, expiresMs });
      const saved = deps.journal.put({ kind: "checks/state", id, text }, false);
      return Promise.allSettled([saved, perform(update(id, status, kept))]).then(([file]) => {
        if (file.status === "rejected")
          log("error", "TTL state not kept on disk", { check: id, error: String(file.reason) });
        return ok(undefined);
      });
    },
    setMaintenance(target) {
      const set = setMaintenance(state, target);
      const { enable, serviceId, reason } = target;
      if (set.ok && set.value.length > 0) {
        const what = `${serviceId === undefined ? "node" : "service"} ${enable ? "entered" : "left"}`;
        log("info", `${what} maintenance mode`, {
          ...(serviceId === undefined ? {} : { service: serviceId }),
          ...(enable && reason !== "" ? { reason } : {}),
        });
      }
      return performResult(set);
    },
    catalogChanged(topics) {
      for (const topic of topics)
        if (topic.startsWith("node:") && topic === `node:${deps.own().node.node.toLowerCase()}`)
          syncer.nodeTouched(deps.reader.index);
      if (!runners.watchesAny(topics)) return;
      // not inside `apply`: what this proposes must not come before the command is answered
      void Promise.resolve().then(() => perform([...followAliases()].flat()));
    },
    catalogReplaced: () => void syncer.syncAll(),
    leadershipChanged: (hasLeader) => syncer.leadershipChanged(hasLeader),
    counts() {
      const { scheduled, running, waiting } = runners.probes;
      return {
        services: state.services.size,
        checks: state.checks.size,
        ttls: runners.ttls.count,
        probes: scheduled,
        runningProbes: running,
        waitingProbes: waiting,
        runs: runners.figures.read(),
        sync: syncer.counts,
      };
    },
    async stop() {
      isStopped = true;
      runners.close();
      reaper();
      for (const cancel of deferred.values()) cancel();
      await syncer.close();
      await deps.journal.close();
    },
  };

  function performResult(result: Result<LocalOutput[], string>): Promise<Result<void, string>> {
    return result.ok ? perform(result.value) : Promise.resolve(result);
  }
}
