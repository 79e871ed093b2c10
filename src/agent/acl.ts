/** ACLs of this agent: who may do what, its own tokens, the bootstrap file, the end of expired tokens. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createAcl, type Acl } from "../cluster/acl.ts";
import { ANONYMOUS_SECRET, type AclReader } from "../cluster/acl-state.ts";
import type { Command } from "../cluster/command.ts";
import type { Outcome } from "../cluster/engine.ts";
import type { LocalAgentDeps } from "../cluster/local-agent.ts";
import type { Config } from "../config/options.ts";
import type { HttpDeps } from "../http/call.ts";
import type { Cancel, Clock, Log, Random, Timers } from "../ports.ts";
import { loadAgentTokens, type AgentTokens } from "./acl-tokens.ts";
import { ensureInitialManagement } from "./initial-management.ts";
import { aclSettings } from "./settings.ts";

/** Between two looks for expired tokens. They are refused at once; only their records wait. */
const REAP_MS = 1000;
/** Tokens removed per look, so that no entry of the log grows with their number; the rest wait for the next. */
const REAP_MAX = 256;

/** What agent.ts hands on. */
export type Acls = Pick<HttpDeps, "bootstrapReset"> & {
  acl: Acl;
  setToken: AgentTokens["set"];
  /** With which this agent does what it does of itself; "" for the default token. */
  agentToken: () => string;
  reloadTokens: AgentTokens["reload"];
  /** With whose rights a service or check of this agent is written to the catalog. */
  writerOf: LocalAgentDeps["writerOf"];
  /** To be called where a state without the initial management token may have been taken over. */
  asNewLeader: () => Promise<void>;
  stop: Cancel;
};

/** Loads the tokens and makes the initial management token. Rejects if either cannot be done. */
export async function createAcls(deps: {
  reader: AclReader;
  config: Config;
  dataDir: string | undefined;
  propose: (command: Command) => Promise<Outcome>;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
  /** Answers given to those who show no token may be others now. */
  tokensChanged: () => void;
}): Promise<Acls> {
  const { reader, config, dataDir, propose, clock, timers, random, log } = deps;
  const tokens = await loadAgentTokens({ config, dataDir, log, changed: deps.tokensChanged });
  const settings = { ...aclSettings(config), tokens: tokens.current };
  /** For the log, which never gets the secret. */
  const accessorOf = (secret: string) =>
    reader.tokenBySecret(secret || ANONYMOUS_SECRET)?.accessorId ?? "";
  const asNewLeader = () => ensureInitialManagement(propose, reader, config, { random, clock });
  await asNewLeader();
  const acl = createAcl(reader, settings, () => clock.wallMs());
  return {
    acl,
    writerOf({ token, source }) {
      const secret = token || (source === "config" ? tokens.configFileServiceRegistration : "");
      const found = acl.authorizer(secret);
      return {
        rights: found === "ACL not found" ? undefined : found,
        accessorId: () => accessorOf(secret || acl.defaultToken),
      };
    },
    setToken: tokens.set,
    agentToken: () => tokens.agent,
    reloadTokens: tokens.reload,
    asNewLeader,
    bootstrapReset: createBootstrapReset(dataDir),
    stop: config["acl.enabled"] ? startTokenReaper({ reader, propose, clock, timers }) : () => {},
  };
}

/**
 * `<data_dir>/acl-bootstrap-reset`, in which an operator writes the index that a refused bootstrap
 * named, to be allowed another one. Anything else in it reads as 0, which is no index.
 */
function createBootstrapReset(dataDir: string | undefined): HttpDeps["bootstrapReset"] {
  if (dataDir === undefined)
    return { read: () => Promise.resolve(0), remove: () => Promise.resolve() };
  const path = join(dataDir, "acl-bootstrap-reset");
  return {
    async read() {
      const text = await readFile(path, "utf8").catch(() => "");
      return /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : 0;
    },
    remove: () => rm(path, { force: true }),
  };
}

/** The leader's timer that removes tokens whose time is over. */
export function startTokenReaper(deps: {
  reader: Pick<AclReader, "expiring" | "version">;
  propose: (command: Command) => Promise<unknown>;
  clock: Pick<Clock, "wallMs">;
  timers: Timers;
}): Cancel {
  const { reader, propose, clock, timers } = deps;
  let cancel: Cancel;
  let seen: object | undefined;
  let nextMs = -Infinity;
  function look(): void {
    const expiredMs = clock.wallMs();
    if (reader.version === seen && expiredMs < nextMs) return;
    seen = reader.version;
    nextMs = Infinity;
    const accessorIds: string[] = [];
    for (const [accessorId, atMs] of reader.expiring) {
      nextMs = Math.min(nextMs, atMs);
      if (atMs <= expiredMs && accessorIds.length < REAP_MAX) accessorIds.push(accessorId);
    }
    // Refused or not: the next look finds what is still there.
    if (accessorIds.length > 0) void propose({ type: "acl-tokens-reap", accessorIds, expiredMs });
  }
  function arm(): void {
    cancel = timers.after(REAP_MS, () => {
      look();
      arm();
    });
  }
  arm();
  return () => cancel();
}
