/** The HTTP application over a real state machine, with a clock and timers that the test moves. */
import type { Hono } from "hono";
import { createAcl, type Acl, type AclSettings } from "../../src/cluster/acl.ts";
import { decode, encode, type Command } from "../../src/cluster/command.ts";
import type { BarrierMode, Outcome } from "../../src/cluster/engine.ts";
import { createEventBus } from "../../src/cluster/events.ts";
import { createSessionExpiry } from "../../src/cluster/session-expiry.ts";
import { createState, type State } from "../../src/cluster/state.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createWaiters, type Waiters } from "../../src/http/blocking.ts";
import type { HttpDeps, HttpEnv, HttpSettings, Route } from "../../src/http/call.ts";
import type { Cancel } from "../../src/ports.ts";

/** Time that stands still until `advance`, which runs what becomes due on the way. */
export class World {
  nowMs = 1000;
  #due: { atMs: number; run: () => void }[] = [];
  readonly clock = { monotonicMs: () => this.nowMs, wallMs: () => 1_700_000_000_000 + this.nowMs };
  readonly timers = {
    after: (delayMs: number, run: () => void): Cancel => {
      const entry = { atMs: this.nowMs + delayMs, run };
      this.#due.push(entry);
      return () => {
        this.#due = this.#due.filter((other) => other !== entry);
      };
    },
  };

  get timerCount(): number {
    return this.#due.length;
  }

  advance(ms: number): void {
    const until = this.nowMs + ms;
    for (;;) {
      const next = this.#due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > until) break;
      this.#due.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = until;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

const defaultSettings: HttpSettings = {
  translateWanAddrs: false,
  responseHeaders: {},
  blockEndpoints: [],
  allowWriteHttpFrom: [],
  allowedHosts: [],
  allowedOrigins: [],
  ownNames: ["n1"],
  domains: ["consul."],
  useCache: true,
  disableUnprintableCharFilter: false,
  discoveryMaxStaleMs: 0,
  disableCoordinates: false,
  sessionTtlMinMs: 10_000,
  defaultQueryTimeMs: 300_000,
  maxQueryTimeMs: 600_000,
  kvMaxValueOctets: 524_288,
  txnMaxRequestOctets: 524_288,
};

export type Server = {
  app: Hono<HttpEnv>;
  state: State;
  world: World;
  waiters: Waiters;
  /** What a reload with other settings does. */
  reload(changed: Partial<HttpSettings>): void;
  answers: string[];
  propose(command: Command): Promise<Outcome>;
  acl: Acl;
  /** Status, headers and body of a request; `body` is sent as JSON unless it is a text. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  /** Same, and the test must not wait for the answer yet. */
  start(method: string, path: string, options?: AskOptions): Pending;
};

export type AskOptions = {
  body?: unknown;
  headers?: Record<string, string>;
  from?: string;
  signal?: AbortSignal;
};
export type Answer = { status: number; headers: Headers; text: string; json: unknown };
export type Pending = { isDone: boolean; answer: Promise<Answer> };

/** `jitter` is what the random source gives, 0..1. */
export function createServer(
  options: {
    acl?: Partial<AclSettings>;
    bootstrapReset?: HttpDeps["bootstrapReset"];
    settings?: Partial<HttpSettings>;
    barrier?: (mode: BarrierMode) => Promise<"ok" | "no leader">;
    leader?: () => string | undefined;
    jitter?: () => number;
    waiterLimit?: number;
    more?: readonly Route[];
    /** What the filters of events look at. */
    localServices?: readonly { service: string; tags: readonly string[] }[];
    /** Gives back an outcome that the engine has instead of applying the command. */
    outcome?: (command: Command) => Outcome | undefined;
    /** Runs before a command is applied. */
    beforeApply?: () => Promise<void>;
  } = {},
): Server {
  const world = new World();
  const state = createState();
  const waiters = createWaiters({
    clock: world.clock,
    timers: world.timers,
    ...(options.waiterLimit === undefined ? {} : { limit: options.waiterLimit }),
  });
  const expiry = createSessionExpiry();
  let index = 0;
  let drawn = 0;
  const uuid = () => `10000000-0000-4000-8000-${(++drawn).toString(16).padStart(12, "0")}`;

  async function propose(command: Command): Promise<Outcome> {
    const decoded = decode(encode(command, world.clock.wallMs()));
    if (!decoded.ok) throw new Error(decoded.error);
    const other = options.outcome?.(decoded.value.command);
    if (other !== undefined) return other;
    await options.beforeApply?.();
    const applied = state.apply(++index, decoded.value.command, decoded.value.timeMs);
    waiters.wake(applied.topics);
    if (applied.topics.includes("sessions")) expiry.follow(state.reader, world.nowMs);
    return { outcome: "committed", index, result: applied.result };
  }

  const events = createEventBus({
    nodeName: "node-a",
    services: () => options.localServices ?? [],
    newId: uuid,
  });
  events.onChange(() => waiters.wake(["events"]));

  let settings: HttpSettings = { ...defaultSettings, ...options.settings };
  const answers: string[] = [];
  const deps: HttpDeps = {
    reader: state.reader,
    propose,
    barrier: options.barrier ?? (() => Promise.resolve("ok")),
    leadership: () => ({
      leader: options.leader ? options.leader() : "127.0.0.1:8300",
      self: true,
      epoch: 1,
    }),
    acl: createAcl(
      state.acl,
      {
        enableKeyListPolicy: false,
        enabled: false,
        defaultPolicy: "allow",
        datacenter: "dc1",
        nodeName: "node-a",
        tokens: { initialManagement: "", agentRecovery: "", default: "", dns: "" },
        ...options.acl,
      },
      world.clock.wallMs,
    ),
    aclReader: state.acl,
    bootstrapReset: options.bootstrapReset ?? {
      read: () => Promise.resolve(0),
      remove: () => Promise.resolve(),
    },
    sessionExpiry: expiry,
    events,
    updateCoordinate: (update) => void propose({ type: "coordinates", updates: [update] }),
    waiters,
    random: {
      uint32: () => Math.floor((options.jitter?.() ?? 0) * 2 ** 32),
      uuid,
    },
    clock: world.clock,
    info: {
      datacenter: "dc1",
      nodeName: "node-a",
      nodeId: "aaaaaaaa-0000-4000-8000-000000000001",
      version: "0.0.0",
      serverAddress: "127.0.0.1:8300",
    },
    settings: () => settings,
    log: (level, message, fields) => {
      if (level === "error") throw new Error(`${message} ${JSON.stringify(fields)}`);
    },
    exposition: () => Promise.resolve("up 1\n"),
    onAnswer: (route, method, status) => answers.push(`${method} ${route} ${status}`),
  };
  const app = createHttpApp(deps, options.more ?? []);

  async function ask(method: string, path: string, how: AskOptions = {}): Promise<Answer> {
    const { body } = how;
    const request = new Request(`http://localhost${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(how.headers ? { headers: how.headers } : {}),
      ...(how.signal ? { signal: how.signal } : {}),
    });
    const client = { address: how.from ?? "127.0.0.1", port: 40_000 };
    const response = await app.fetch(request, { client, keepOpen() {}, letIdle() {} });
    const text = await response.text();
    const isJson = response.headers.get("Content-Type") === "application/json";
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  }

  function reload(changed: Partial<HttpSettings>): void {
    settings = { ...settings, ...changed };
  }

  function start(method: string, path: string, how?: AskOptions): Pending {
    const pending: Pending = { isDone: false, answer: ask(method, path, how) };
    void pending.answer.finally(() => {
      pending.isDone = true;
    });
    return pending;
  }

  return { app, state, world, waiters, reload, answers, propose, ask, start, acl: deps.acl };
}

/** Registers service `name` on `node` through the API. */
export async function registerService(
  server: Server,
  node: string,
  name: string,
  more: Record<string, unknown> = {},
): Promise<void> {
  const answer = await server.ask("PUT", "/v1/catalog/register", {
    body: { Node: node, Address: "10.0.0.1", Service: { Service: name, ...more } },
  });
  if (answer.status !== 200) throw new Error(answer.text);
}
