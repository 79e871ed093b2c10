/** What this agent takes on: checks that it can run, names that it warns of. */
import { fail, ok, type Result } from "../base.ts";
import type { Log } from "../ports.ts";
import {
  problemOfTaggedAddresses,
  refusalOfCheck,
  type CheckDefinition,
  type ScriptSettings,
  type ServiceDefinition,
  type Source,
} from "./definition.ts";
import { dnsNameProblem } from "./dns-names.ts";
import type { LocalState } from "./local.ts";

/** Services and checks of the configuration, already parsed. */
export type LocalConfig = {
  services: readonly ServiceDefinition[];
  checks: readonly CheckDefinition[];
};

/** Decides about definitions; errors are texts for the client. */
export type Admission = {
  /** Why one of these checks cannot run here. */
  refusal(checks: readonly CheckDefinition[], source: Source): string | undefined;
  /** A service that comes by API. */
  service(service: ServiceDefinition): Result<void, string>;
  /** A check that comes by API. That its service is unknown is told by whoever registers it. */
  check(check: CheckDefinition): Result<void, string>;
  /** Without what cannot run here, which is told in the log. */
  config(config: LocalConfig): LocalConfig;
};

/** `settings` are those of the time of each question. */
export function createAdmission(deps: {
  state: LocalState;
  settings(): ScriptSettings;
  log: Log;
}): Admission {
  const { state, log } = deps;

  function refusal(checks: readonly CheckDefinition[], source: Source): string | undefined {
    for (const check of checks) {
      const problem = refusalOfCheck(check, source, deps.settings());
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** Once per name: a service that registers itself every minute is not new. */
  function warnOfName({ fields: { id, service } }: ServiceDefinition): void {
    if (state.services.get(id)?.fields.service === service) return;
    const problem = dnsNameProblem(service);
    if (problem !== undefined) log("warn", problem, { service });
  }

  function admits(what: string, checks: readonly CheckDefinition[]): boolean {
    const problem = refusal(checks, "config");
    if (problem !== undefined) log("error", `${what} of the configuration left out: ${problem}`);
    return problem === undefined;
  }

  return {
    refusal,
    service(service) {
      const { fields, checks } = service;
      const problem = problemOfTaggedAddresses(fields.taggedAddresses) ?? refusal(checks, "api");
      if (problem !== undefined) return fail(problem);
      warnOfName(service);
      return ok(undefined);
    },
    check(check) {
      const isOwnerKnown = check.serviceId === "" || state.services.has(check.serviceId);
      const problem = isOwnerKnown ? refusal([check], "api") : undefined;
      return problem === undefined ? ok(undefined) : fail(problem);
    },
    config(config) {
      for (const service of config.services) warnOfName(service);
      return {
        services: config.services.filter(({ fields, checks }) =>
          admits(`service ${JSON.stringify(fields.id)}`, checks),
        ),
        checks: config.checks.filter((check) =>
          admits(`check ${JSON.stringify(check.checkId)}`, [check]),
        ),
      };
    },
  };
}
