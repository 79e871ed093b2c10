/** Runs a check once, by the prober of its kind. */
import { kindOfCheck, type CheckKind } from "../definition.ts";
import type { DialOptions } from "./dial/driver.ts";
import { createDockerProbe } from "./docker/driver.ts";
import { createGrpcProbe } from "./grpc/driver.ts";
import { createH2pingProbe } from "./h2ping/driver.ts";
import { createHttpProbe } from "./http/driver.ts";
import { critical, type Prober } from "./run/driver.ts";
import type { Probe } from "./schedule.ts";
import { createScriptProbe, type ProgramOptions } from "./script/driver.ts";
import { createTcpProbe } from "./tcp/driver.ts";
import { createUdpProbe } from "./udp/driver.ts";

/** What checks may do on this agent. */
export type ProbeOptions = DialOptions & {
  /** Without it no check runs a program, whatever it says: for checks that strangers may write. */
  programs?: ProgramOptions & {
    /** DOCKER_HOST; "" means the usual socket. */
    dockerHost: string;
  };
};

/** Runs checks of every kind that has an interval; see Probe. One of another kind is critical. */
export function createProbe(options: ProbeOptions): Probe {
  const probers: Partial<Record<CheckKind, Prober>> = {
    http: createHttpProbe(options),
    tcp: createTcpProbe(options),
    udp: createUdpProbe(options),
    grpc: createGrpcProbe(options),
    h2ping: createH2pingProbe(options),
  };
  if (options.programs !== undefined) {
    probers.script = createScriptProbe(options.programs);
    probers.docker = createDockerProbe(options.programs.dockerHost);
  }
  return (check, outputMaxOctets) => {
    const abort = new AbortController();
    const prober = probers[kindOfCheck(check)] ?? notRunnable;
    return {
      result: prober(check, { outputMaxOctets }, abort.signal),
      cancel: () => abort.abort(),
    };
  };
}

const notRunnable: Prober = (check) =>
  Promise.resolve(critical(`checks of type ${JSON.stringify(kindOfCheck(check))} do not run`));
