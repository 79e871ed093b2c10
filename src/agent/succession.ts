/** One agent takes the place of another on the same data directory without a question being lost. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fail, ok, type Result } from "../base.ts";
import type { Dns } from "./dns.ts";
import type { Forwarder } from "../forwarder/forward.ts";
import { readSnapshot, removePartial, writeSnapshot } from "../forwarder/snapshot/driver.ts";
import type { HttpListeners, StartHttp } from "../http/listen.ts";
import type { Cancel, HttpAddress, InheritedSocket, Log, Timers } from "../ports.ts";
import { offerHandover, takeOver, type Predecessor } from "./handover.ts";
import { createAdmission } from "./admission.ts";
import { createLending, type Lendable, type Lending } from "./lending.ts";
import { forgetPassedOn, listenForPassedOn, type Fetch } from "./pass-on.ts";

/** Beside the store, where `forwarder.cache_file` names no other place. */
const CACHE_FILE = "handover-cache";

/** What the runtime does for it. */
export type SuccessionPlatform = {
  /** New connections at these TCP ports, shared with one other process, go to us until it is cancelled. */
  steerToUs(ports: ReadonlySet<number>): Cancel;
  /** Ours go to the other process; resolves when what was on its way has arrived. */
  passOn(ports: ReadonlySet<number>): Promise<void>;
  /** Tells the service manager (sd_notify(3)). */
  notify(state: string): void;
  /** The service manager restarts an agent of which it does not hear for so long; 0: it does not. */
  watchdogMs: number;
  /** Sockets that are the service manager's. */
  inheritedSockets: readonly InheritedSocket[];
  /** Sends SIGHUP; no error if that process has ended. */
  tellToReload(pid: number): void;
  /** For requests that the one before passes on. */
  startHttp: StartHttp;
  /** Ends the process at once. */
  exit(code: number): never;
};

/** This agent's place between the one before and the one after. */
export type Succession = {
  /** Another agent still answers; sockets are shared with it. */
  readonly isSuccessor: boolean;
  /** Whether the one before listens there, so that we share it with that one. */
  isShared: (at: HttpAddress) => boolean;
  /** Store and journal. */
  readonly lending: Lending;
  /**
   * `fetch` that lets requests which may write wait while another agent has the store, and passes all on
   * that do not wait for a change once that one has it for good. To be called once.
   */
  admitting(fetch: Fetch): Fetch;
  /** One more step of the start is done: the one before waits as long as there are such. */
  progress(): void;
  /** The cache of the one before, if this is a successor. */
  warm(forwarder: Pick<Forwarder, "restore">): Promise<void>;
  /**
   * Everything listens. Has the one before leave, and waits for our own successor from here on. Rejects
   * if this agent is not to take over: it must end.
   */
  complete(parts: SuccessionParts): Promise<void>;
  /**
   * Reloads by `run`; while another agent has the store when it is known who goes on. If that one does, it
   * is told to reload: it has read its configuration before.
   */
  reload(run: () => Promise<Result<void, string>>): Promise<Result<void, string>>;
  /** Tells the service manager that this agent begins to stop. */
  announceEnd: () => void;
  /** Gives up what was begun and not completed; ends the wait for a successor. */
  close: () => Promise<void>;
};

/** What there is to be handed over. */
export type SuccessionParts = {
  engine: Lendable;
  journal: Lendable;
  forwarder: Pick<Forwarder, "snapshot">;
  dns: Dns;
  http: Pick<HttpListeners, "succeed">;
  /** All listeners over TCP, those of HTTP on Unix sockets too. */
  listening: () => readonly HttpAddress[];
  /** This agent was told to stop: it must not take the place of one that runs. */
  isStopping: () => boolean;
  /** Ends this agent: its successor answers. */
  end: () => void;
};

/** Signs of life in the time that the service manager waits for one: a late one does not matter. */
const WAKES = 4;
/** Exit code without a store. */
const STORE_FAILED = 1;

/**
 * As a successor (`wanted`) resolves when the one before has closed its store; where none runs it is a
 * start like any other. Rejects if the store cannot be had. `dataDir` undefined: nothing is handed over.
 */
export async function beginSuccession(options: {
  dataDir: string | undefined;
  wanted: boolean;
  cacheFile: string;
  maxHeaderOctets: number;
  platform: SuccessionPlatform;
  timers: Timers;
  log: Log;
}): Promise<Succession> {
  const { dataDir, wanted, platform, timers, log } = options;
  if (wanted && dataDir === undefined)
    throw new Error("-takeover: there is nothing to take over without data_dir");
  const predecessor = wanted && dataDir !== undefined ? await askFor(dataDir, log) : undefined;
  const cachePath = options.cacheFile || (dataDir === undefined ? "" : join(dataDir, CACHE_FILE));
  const lending = createLending(false);
  const admission = createAdmission({ isLent: predecessor !== undefined, timers, log });
  const isShared = (at: HttpAddress): boolean => predecessor?.listening.has(wordOf(at)) ?? false;
  let steps = 0;
  predecessor?.report(() => steps, timers);
  let isDone = predecessor === undefined;
  let isLeaving = false;
  void predecessor?.refused.then((reason) => {
    if (isDone) return;
    // At once: it waits for the store.
    log("error", "the agent before goes on; this one ends", { pid: predecessor.pid, reason });
    platform.exit(STORE_FAILED);
  });
  let stopOffering: Cancel = () => {};
  let successorPid: number | undefined;
  let stopWaking: Cancel = () => {};

  /** As long as this thread has its turns. */
  function stayAwake(): void {
    if (platform.watchdogMs === 0 || isLeaving) return;
    platform.notify("WATCHDOG=1");
    stopWaking = timers.after(platform.watchdogMs / WAKES, stayAwake);
  }

  /** A socket that the service manager holds is one and the same in both processes. */
  function portsOf(listening: readonly HttpAddress[]): ReadonlySet<number> {
    const ports = listening.flatMap((at) => ("port" in at ? [at.port] : []));
    return new Set(
      ports.filter((port) => !platform.inheritedSockets.some((at) => at.port === port)),
    );
  }

  async function take(from: Predecessor, all: SuccessionParts): Promise<void> {
    const { http, listening, isStopping } = all;
    if (isStopping()) throw new Error("not taking over: told to stop");
    const passed =
      dataDir === undefined
        ? undefined
        : await listenForPassedOn({ ...options, ...platform, dataDir, fetch: admission.fetch });
    const stopSteering = platform.steerToUs(portsOf(listening().filter(isShared)));
    const answer = await from.ready(passed?.path);
    if (!answer.ok) {
      stopSteering();
      await passed?.stop();
      throw new Error(`not taking over: ${answer.error}`);
    }
    isDone = true;
    http.succeed();
    admission.takeBack();
    log("info", "taken over; the agent before answers what it has and ends", { pid: from.pid });
    void from.ended.then(() => {
      stopSteering();
      return passed?.stop();
    });
  }

  /** It is for the successor alone; one that was killed has left it. */
  async function forgetCache(): Promise<void> {
    if (options.cacheFile !== "" || cachePath === "") return;
    rmSync(cachePath, { force: true });
    await removePartial(cachePath);
  }

  function offer(dataDir: string, all: SuccessionParts): void {
    const { engine, journal, forwarder, dns, listening, end } = all;
    async function takeBack(): Promise<void> {
      try {
        await engine.takeBack();
        await journal.takeBack();
      } catch (error) {
        log("error", "the store cannot be taken back", { reason: String(error) });
        platform.exit(STORE_FAILED);
      }
      lending.takeBack();
      admission.takeBack();
      await forgetCache();
    }
    stopOffering = offerHandover(
      dataDir,
      {
        async give() {
          admission.lend();
          await admission.finished();
          lending.lend();
          try {
            await writeSnapshot(cachePath, forwarder);
          } catch (error) {
            log("warn", "dns: the cache is not handed over", { error: String(error) });
          }
          try {
            await journal.lend();
            await engine.lend();
          } catch (error) {
            await takeBack();
            throw error;
          }
        },
        takeBack,
        listening: () => listening().map(wordOf),
        async leave(pid, requests) {
          isLeaving = true;
          successorPid = pid;
          stopWaking();
          platform.notify(`MAINPID=${pid}`);
          await dns.udp.leave(dns.udp.addresses);
          lending.giveUp();
          admission.giveUp(requests);
          log("info", "the successor answers: leaving", { pid });
          void platform.passOn(portsOf(listening())).then(end);
        },
      },
      { timers, log },
    );
  }

  return {
    isSuccessor: predecessor !== undefined,
    isShared,
    lending,
    admitting(fetch) {
      admission.serve(fetch);
      return admission.fetch;
    },
    progress() {
      steps++;
    },
    async warm(forwarder) {
      if (predecessor === undefined || cachePath === "") return;
      try {
        const restored = await readSnapshot(cachePath, forwarder);
        if (restored.ok) log("info", "dns: cache taken over", { ...restored.value });
        else log("warn", "dns: cache not taken over", { error: restored.error });
      } catch (error) {
        log("warn", "dns: cache not taken over", { error: String(error) });
      }
    },
    async complete(all) {
      if (predecessor !== undefined) await take(predecessor, all);
      platform.notify("READY=1");
      stayAwake();
      if (dataDir === undefined) return;
      await forgetCache();
      if (predecessor === undefined) forgetPassedOn(dataDir);
      offer(dataDir, all);
    },
    async reload(run) {
      if (await lending.settled()) return run();
      if (successorPid === undefined) return fail("too many wait for the successor");
      log("info", "the successor is told to reload", { pid: successorPid });
      platform.tellToReload(successorPid);
      return ok(undefined);
    },
    announceEnd() {
      // While another agent answers, the service does not stop.
      if (isDone && !isLeaving) platform.notify("STOPPING=1");
    },
    close() {
      stopOffering();
      stopWaking();
      if (!isDone) predecessor?.abandon();
      return Promise.resolve();
    },
  };
}

async function askFor(dataDir: string, log: Log): Promise<Predecessor | undefined> {
  const asked = await takeOver(dataDir);
  if (!asked.ok) throw new Error(`the agent that runs on ${dataDir} stays: ${asked.error}`);
  const predecessor = asked.value;
  if (predecessor === undefined) log("info", "-takeover: no agent runs on the data directory");
  else log("info", "the agent before has given the store", { pid: predecessor.pid });
  return predecessor;
}

function wordOf(at: HttpAddress): string {
  return "path" in at ? at.path : `${at.address} ${at.port}`;
}
