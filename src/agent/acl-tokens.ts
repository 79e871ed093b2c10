/**
 * The agent's own tokens: those of the configuration, replaced at run time by PUT /v1/agent/token.
 * With acl.enable_token_persistence the latter are kept in `<data_dir>/acl-tokens.json` and win over
 * the configuration at reloads and the next start, as in Consul, whose file has the same form; without
 * it they last until then.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AclSettings } from "../cluster/acl.ts";
import { sameJson } from "../cluster/same.ts";
import { absent, writeAtomically } from "../cluster/local/driver.ts";
import type { Config } from "../config/options.ts";
import type { TokenName } from "../http/agent-token.ts";
import type { Log } from "../ports.ts";

/** What tokens are in use, and how to change them. */
export type AgentTokens = {
  /** The same object always; its members change. */
  readonly current: AclSettings["tokens"];
  /** For services and checks of the configuration that name none; "" if there is none. */
  readonly configFileServiceRegistration: string;
  /** For what this agent does of itself; "" if there is none: the default token. */
  readonly agent: string;
  /** In use at once; resolves when it is on disk too, if it has to be. Rejects if it cannot be written. */
  set: (name: TokenName, secret: string) => Promise<void>;
  /** Takes those of a configuration that was read again; what is kept of the run time wins. */
  reload: (config: Config) => void;
};

const NAMES: readonly TokenName[] = [
  "default",
  "agent",
  "agent_recovery",
  "replication",
  "config_file_service_registration",
  "dns",
];

type Persisted = Partial<Record<TokenName, string>>;

/** `changed` is called after each change. Rejects when the file holds something else than tokens. */
export async function loadAgentTokens(deps: {
  config: Config;
  dataDir: string | undefined;
  log: Log;
  changed: () => void;
}): Promise<AgentTokens> {
  const { config, dataDir, log } = deps;
  const current: AclSettings["tokens"] = {
    initialManagement: config["acl.tokens.initial_management"],
    ...configured(config),
  };
  let configFileServiceRegistration = config["acl.tokens.config_file_service_registration"];
  let agent = config["acl.tokens.agent"];
  // One server replicates from nobody: that token is only kept.
  const use = (name: TokenName, secret: string) => {
    if (name === "config_file_service_registration") configFileServiceRegistration = secret;
    if (name === "agent") agent = secret;
    if (name === "default") current.default = secret;
    if (name === "dns") current.dns = secret;
    if (name === "agent_recovery") current.agentRecovery = secret;
  };
  const isKept = config["acl.enabled"] && config["acl.enable_token_persistence"];
  const path = isKept && dataDir !== undefined ? join(dataDir, "acl-tokens.json") : undefined;
  const persisted = path === undefined ? {} : await readPersisted(path);
  const usePersisted = (over: Config) => {
    for (const name of NAMES) {
      const secret = persisted[name];
      if (secret === undefined) continue;
      if (isConfigured(over, name))
        log("warn", `acl.tokens.${name} is not used: the one that was set at run time is kept`);
      use(name, secret);
    }
  };
  usePersisted(config);
  let written = Promise.resolve();
  return {
    current,
    get configFileServiceRegistration() {
      return configFileServiceRegistration;
    },
    get agent() {
      return agent;
    },
    set(name, secret) {
      use(name, secret);
      deps.changed();
      if (path === undefined || dataDir === undefined) return Promise.resolve();
      if (secret === "") delete persisted[name];
      else persisted[name] = secret;
      const text = `${JSON.stringify(persisted)}\n`;
      // One after the other: the file ends as the last of them says.
      written = written.catch(() => undefined).then(() => writeAtomically(dataDir, path, text));
      return written;
    },
    reload(next) {
      const before = { ...current };
      Object.assign(current, configured(next));
      configFileServiceRegistration = next["acl.tokens.config_file_service_registration"];
      agent = next["acl.tokens.agent"];
      usePersisted(next);
      if (!sameJson(before, current)) deps.changed();
    },
  };
}

/** The tokens that a reload may change: the first management token is made once. */
function configured(config: Config): Omit<AclSettings["tokens"], "initialManagement"> {
  return {
    agentRecovery: config["acl.tokens.agent_recovery"],
    default: config["acl.tokens.default"],
    dns: config["acl.tokens.dns"],
  };
}

function isConfigured(config: Config, name: TokenName): boolean {
  const key = `acl.tokens.${name}`;
  return Object.entries(config).some(([each, value]) => each === key && value !== "");
}

async function readPersisted(path: string): Promise<Persisted> {
  const text = await readFile(path, "utf8").catch(absent("{}"));
  const problem = new Error(`${path} does not hold tokens; restore it, or remove it`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw problem;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw problem;
  const given = new Map(Object.entries(parsed));
  const read: Persisted = {};
  for (const name of NAMES) {
    // Consul before 1.11 knows the recovery token as agent_master.
    const secret = given.get(name) ?? (name === "agent_recovery" ? given.get("agent_master") : "");
    if (secret === undefined || secret === "") continue;
    if (typeof secret !== "string") throw problem;
    read[name] = secret;
  }
  return read;
}
